"""The console is built from the pool, twice to the same bytes, and points nowhere outside (A6)."""

import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from routeiq_signing.progress import QuietProgress
from routeiq_vendor.documents import read_document
from routeiq_vendor.errors import DownloadError, LockError
from routeiq_vendor.fetch import ensure_console
from routeiq_vendor.npm.build import build_console, console_sources, inputs_digest
from routeiq_vendor.npm.lock import ConsoleLock
from routeiq_vendor.npm.node import Node, unpack_node
from routeiq_vendor.npm.store import Tarball, fetch_tarballs
from routeiq_vendor.wheels.store import WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

NAMESPACES = {
    "http://www.w3.org/1998/Math/MathML",
    "http://www.w3.org/1999/xlink",
    "http://www.w3.org/2000/svg",
    "http://www.w3.org/XML/1998/namespace",
}
"""Names of XML, written like addresses; nobody goes there."""


class Page(HTMLParser):
    """Collects tags, and every attribute that makes a browser go somewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.inline: list[str] = []
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.setdefault(tag, dict(attrs))
        loading = {"href", "src", "srcset", "action", "poster", "data", "formaction", "ping", "background"}
        self.targets += [value or "" for name, value in attrs if name in loading]
        self.inline += [name for name, _ in attrs if name == "style" or name.startswith("on")]


@pytest.fixture(scope="module")
def workspace() -> Workspace:
    return Workspace.find(os.environ)


@pytest.fixture(scope="module")
def console(workspace: Workspace) -> Path:
    return ensure_console(workspace, QuietProgress(), offline=False)


@pytest.fixture(scope="module")
def tools(workspace: Workspace, console: Path) -> tuple[Node, tuple[Tarball, ...]]:
    """Node and the packages, from the pool alone."""
    assert console.is_dir()
    store = WheelStore(workspace.pool, workspace.torch_index)
    (wheel,) = store.fetch(load_lock(workspace.locks / "node.txt"), "node.txt", QuietProgress(), offline=True)
    node = unpack_node(wheel, workspace.build / "tools")
    lock = read_document(workspace.locks / "ui.lock.json", ConsoleLock)
    return node, fetch_tarballs(lock.packages, workspace.pool, lambda: node, QuietProgress(), offline=True)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_the_console_has_these_files_and_no_others(console: Path) -> None:
    assert set(contents(console)) == {"index.html", "console.css", "console.js", "licences.txt"}
    # The gateway sends it to a browser on the same site: no need to be small, reason to notice when it grows.
    assert (console / "console.js").stat().st_size < 400_000


def test_another_build_in_another_folder_gives_the_same_bytes(
    workspace: Workspace, console: Path, tools: tuple[Node, tuple[Tarball, ...]], tmp_path: Path
) -> None:
    node, tarballs = tools
    into = tmp_path / "a folder" / "out"
    build_console(workspace.ui, tarballs, node, workspace.pool, into, QuietProgress(), check=True)
    assert contents(into) == contents(console)
    assert [path.name for path in into.parent.iterdir()] == ["out"]
    for data in contents(into).values():
        assert str(tmp_path).encode() not in data
        assert str(workspace.root).encode() not in data


def test_what_is_built_is_not_built_again(
    workspace: Workspace, console: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    before = (console / "console.js").stat()
    assert ensure_console(workspace, QuietProgress(), offline=True) == console
    assert (console / "console.js").stat() == before


def test_every_source_and_lock_counts_for_the_place_of_the_output(
    workspace: Workspace, tmp_path: Path
) -> None:
    locks = [workspace.locks / "node.txt", workspace.locks / "ui.lock.json"]
    sources = console_sources(workspace.ui)
    assert {"index.html", "package-lock.json", "src/main.tsx", "src/views/Keys.tsx"} <= set(sources)
    changed = tmp_path / "money.ts"
    changed.write_bytes(sources["src/money.ts"].read_bytes() + b"\n")
    digests = {
        inputs_digest(locks, sources),
        inputs_digest(locks[:1], sources),
        inputs_digest(locks, {**sources, "src/money.ts": changed}),
        inputs_digest(locks, {**sources, "src/added.ts": changed}),
    }
    assert len(digests) == 4


def test_a_package_that_no_lock_names_fails_the_build_and_leaves_nothing(
    workspace: Workspace, tools: tuple[Node, tuple[Tarball, ...]], tmp_path: Path
) -> None:
    node, tarballs = tools
    kept = [tarball for tarball in tarballs if tarball.name != "react"]
    out = tmp_path / "out" / "console"
    with pytest.raises((DownloadError, LockError)):
        build_console(workspace.ui, kept, node, workspace.pool, out, QuietProgress())
    assert list(out.parent.iterdir()) == []


def test_a_type_error_fails_the_build_with_the_compilers_words(
    workspace: Workspace, tools: tuple[Node, tuple[Tarball, ...]], tmp_path: Path
) -> None:
    node, tarballs = tools
    ui = tmp_path / "ui"
    for name, path in console_sources(workspace.ui).items():
        (ui / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, ui / name)
    (ui / "src" / "money.ts").write_text("export const wrong: number = 'text';\n", encoding="utf-8")
    with pytest.raises(Exception, match=r"tsc: src/.*error TS"):
        build_console(ui, tarballs, node, workspace.pool, tmp_path / "out", QuietProgress(), check=True)


def test_no_file_names_an_external_address(console: Path) -> None:
    for name, data in contents(console).items():
        text = data.decode("utf-8")
        found = set(re.findall(r"(?i)\b(?:https?|wss?|ftp):/*[a-z0-9][^\s\"'`<>)]*", text))
        assert found <= NAMESPACES, name
        assert not (name.endswith(".css") and re.search(r"(?i)@import|url\(", text)), name


def test_the_page_loads_its_own_files_and_has_no_inline_code(console: Path) -> None:
    parsed = Page((console / "index.html").read_text(encoding="utf-8"))
    assert set(parsed.targets) == {"data:,", "/ui/console.js", "/ui/console.css"}
    assert not {"iframe", "object", "embed", "img", "style", "base", "form"} & set(parsed.tags)
    assert parsed.tags.count("script") == 1
    assert parsed.inline == []
    assert parsed.attributes["html"]["lang"] == "en"


def test_the_key_is_kept_nowhere_that_outlives_the_tab(workspace: Workspace) -> None:
    for name, path in console_sources(workspace.ui).items():
        if name.startswith("src/"):
            text = path.read_text(encoding="utf-8")
            for forbidden in (
                "localStorage", "indexedDB", "document.cookie", "dangerouslySetInnerHTML", "innerHTML", "eval(",
            ):  # fmt: skip
                assert forbidden not in text, name


def test_the_licences_of_what_is_shipped_are_beside_it(workspace: Workspace, console: Path) -> None:
    lock = read_document(workspace.locks / "ui.lock.json", ConsoleLock)
    shipped = {item.spec.replace("@", " ") for item in lock.packages.values() if item.shipped}
    text = (console / "licences.txt").read_text(encoding="utf-8")
    assert shipped == {line for line in text.splitlines() if re.fullmatch(r"[a-z-]+ \d+\.\d+\.\d+", line)}
    assert text.count("MIT License") == len(shipped)
