"""`docs/api.md`: `python -m routeiq_appliance.api.reference.markdown > docs/api.md` writes it, a test compares."""

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby

from routeiq_appliance.api.reference.listing import Field, Listed, listed
from routeiq_appliance.api.reference.whole import whole_document

__all__ = ["render_api"]

_HEAD = """\
# API

Made from the routes by `python -m routeiq_appliance.api.reference.markdown`; a test compares. The same as OpenAPI:
`GET /openapi.json`; for browsers: `/docs` (a key as the password of HTTP Basic).

Every path needs a key (`Authorization: Bearer KEY`, or `x-api-key`) but liveliness and readiness. `viewer or admin`:
the master key, or a key with that role. `any key, of itself`: whoever is neither sees itself and no other key.
Errors have OpenAI's shape, `{"error": {"message", "type", "param", "code", "request_id"}}`, Anthropic's under
`/v1/messages`. Amounts are dollars, exact.

"""


def render_api(operations: Iterable[Listed]) -> str:
    """Return the document."""
    return _HEAD + "\n".join(_sections(list(operations)))


def _sections(operations: list[Listed]) -> Iterator[str]:
    known = {(item.method, item.path) for item in operations}
    for tag, found in groupby(operations, lambda item: item.tag):
        yield f"## {tag.capitalize()}\n"
        for item in found:
            if (item.method, f"/v1{item.path}") in known:
                yield f"### {item.method} {item.path}\n\nThe same as `/v1{item.path}`.\n"
            else:
                yield from _operation(item)


def _operation(item: Listed) -> Iterator[str]:
    yield f"### {item.method} {item.path}\n"
    if item.summary:
        yield f"{item.summary.strip()}\n"
    yield f"Who: {item.who}. Answers: {', '.join(item.statuses)}; {', '.join(item.media) or 'nothing'}.\n"
    if item.takes:
        yield "| takes | in | type | |"
        yield "|---|---|---|---|"
        yield from map(_row, item.takes)
        yield ""
    if item.gives:
        names = ", ".join(f"`{field.name}`" for field in item.gives)
        yield f"Gives: {names}.\n"


def _row(field: Field) -> str:
    needed = "required" if field.required else ""
    text = "; ".join(filter(None, (needed, " ".join(field.description.split()))))
    return f"| `{field.name}` | {field.place} | {_safe(field.type)} | {_safe(text)} |"


def _safe(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(render_api(listed(whole_document())))
