"""The static page in place of the console loads nothing and points nowhere outside (A6)."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "ui" / "static"
PAGES = sorted(STATIC.rglob("*.html"))


class Page(HTMLParser):
    """Collects tags, and every attribute that makes a browser go somewhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.setdefault(tag, dict(attrs))
        loading = {"href", "src", "srcset", "action", "poster", "data", "formaction", "ping", "background"}
        self.targets += [value or "" for name, value in attrs if name in loading]


def test_there_is_a_page() -> None:
    assert STATIC / "index.html" in PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_no_external_address(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"(?i)(?:[a-z]+:)?//[a-z0-9]", text)
    assert not re.search(r"(?i)@import|url\(", text)
    for target in Page(text).targets:
        assert target == "data:," or re.fullmatch(r"/[a-z0-9/_-]*", target), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs_no_script_and_can_be_read_aloud(page: Path) -> None:
    parsed = Page(page.read_text(encoding="utf-8"))
    assert not {"script", "iframe", "object", "embed", "img"} & set(parsed.tags)
    assert parsed.attributes["html"]["lang"] == "en"
    assert {"title", "main", "h1"} <= set(parsed.tags)
    assert parsed.tags.count("h1") == 1
