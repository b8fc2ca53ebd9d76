"""Asks the index that pip is configured for which files have a provenance, and downloads it: a program of its own.

Run by `index.py` with the interpreter that has pip: pip brings the host's index, proxy, certificates and credentials,
and is no library to import elsewhere. Standard input: `{"into": folder, "limit": bytes, "files": {project: [names]}}`.
Output: one JSON line a project, `{"project", "json", "found": {file name: path}, "fault"}`. The Simple API is asked for
as JSON (PEP 691, key `provenance`), an HTML answer is read too (attribute `data-provenance`); both as PEP 740 has them.
"""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

_ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
_PAGE = 64 << 20  # bytes; the largest pages have about 20 MB
_TIMEOUT = 30.0  # seconds without a byte


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        href, provenance = said.get("href"), said.get("data-provenance")
        if tag == "a" and href and provenance:
            self.found[unquote(urlsplit(href).path.rpartition("/")[2])] = provenance


def _read(session: Any, url: str, limit: int, accept: str = "*/*") -> tuple[bytes | None, str]:
    with session.get(url, headers={"Accept": accept}, timeout=_TIMEOUT, stream=True) as answer:
        if answer.status_code == 404:
            return None, ""
        answer.raise_for_status()
        content = b""
        for chunk in answer.iter_content(1 << 16):
            content += chunk
            if len(content) > limit:
                raise ValueError(f"more than {limit} bytes")
        return content, answer.headers.get("Content-Type", "").partition(";")[0]


def _provenances(content: bytes, kind: str) -> tuple[dict[str, str], bool]:
    """Return file name → URL of those that have one, and whether the index speaks JSON."""
    if kind.endswith("+json"):
        files = json.loads(content)["files"]
        return {item["filename"]: item["provenance"] for item in files if item.get("provenance")}, True
    links = _Links()
    links.feed(content.decode("utf-8", "replace"))
    return links.found, False


def _ask(
    session: Any, index: str, project: str, names: list[str], into: str, limit: int
) -> tuple[dict[str, str], bool]:
    page = f"{index.rstrip('/')}/{project}/"
    content, kind = _read(session, page, _PAGE, _ACCEPT)
    if content is None:
        return {}, False
    known, speaks_json = _provenances(content, kind)
    found: dict[str, str] = {}
    for name in names:
        if name in known:
            url = urljoin(page, known[name])
            if urlsplit(url).scheme not in {"https", urlsplit(page).scheme}:
                raise ValueError("the provenance's address is less safe than the index's")
            raw, _ = _read(session, url, limit)
            if raw is not None:
                path = Path(into) / f"{name}.provenance"
                path.write_bytes(raw)
                found[name] = str(path)
    return found, speaks_json


def main() -> int:
    """Answer each project in turn; a project's fault is its own."""
    from pip._internal.commands import create_command  # noqa: PLC0415

    wanted = json.load(sys.stdin)
    command = create_command("download")
    options, _ = command.parse_args(["--quiet", "nothing"])
    session = command._build_session(options)  # type: ignore[attr-defined]  # noqa: SLF001
    for project, names in wanted["files"].items():
        answer: dict[str, Any] = {"project": project, "json": False, "found": {}, "fault": ""}
        for index in [options.index_url, *options.extra_index_urls]:
            if urlsplit(index).scheme not in {"http", "https"} or answer["found"]:
                continue
            try:
                found, speaks_json = _ask(session, index, project, names, wanted["into"], wanted["limit"])
            except Exception as error:  # noqa: BLE001 - whatever pip's session raises; its text may hold credentials
                answer["fault"] = type(error).__name__
                continue
            answer["found"] = found
            answer["json"] = answer["json"] or speaks_json
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
