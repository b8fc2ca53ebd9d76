"""docs/threat-model.md names a test for each defence; here each is looked for."""

import ast
import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent
DOCUMENT = TESTS.parent / "docs" / "threat-model.md"
DEFENCES = ("The medium", "Trust over time", "Models", "Registry", "Build", "Gateway")
ATTACKS = ("rollback", "freeze", "mix-and-match", "fast-forward", "arbitrary software", "endless data", "wrong key",
           "stolen release key", "extraneous file", "symlink swap", "toctou", "ssrf", "egress", "pickle")  # fmt: skip


@cache
def named_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


def sections() -> dict[str, str]:
    parts = DOCUMENT.read_text().split("\n## ")[1:]
    return {part.partition("\n")[0]: part for part in parts}


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", DOCUMENT.read_text())
    assert len(named) > 80
    missing = [f"{file}::{name}" for file, name in named if name not in named_in(TESTS / file)]
    assert missing == []


def test_every_line_of_a_defence_names_a_test() -> None:
    found = {title: text for title, text in sections().items() if title.startswith(DEFENCES)}
    assert len(found) == len(DEFENCES)
    for text in found.values():
        rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
        assert rows
        assert [row for row in rows if ".py::test_" not in row] == []


def test_the_attacks_that_must_be_answered_are() -> None:
    text = "".join(text for title, text in sections().items() if title.startswith(DEFENCES)).lower()
    assert [attack for attack in ATTACKS if attack not in text] == []
