"""A suite of the site's own: what is read, and that each fault is named with its line."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_router.calibration.suite.shipped import shipped_suite
from routeiq_router.calibration.suite_file import MAX_PROMPT_CHARS, parse_suite, read_suites
from routeiq_router.errors import RouterError
from routeiq_signing.errors import RouteIQError

GOOD = {
    "id": "a",
    "prompt": "What is 2 + 2?",
    "answer": 4,
    "check": "number",
    "skill": "sums",
    "difficulty": 1,
}


def line(**changes) -> bytes:
    return json.dumps({**GOOD, **changes}).encode() + b"\n"


def test_a_suite_is_read_and_goes_after_the_shipped_one(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_bytes(line() + b"\n" + line(id="b", prompt="and 3 + 3?", answer=6))
    items = read_suites([path], shipped_suite())
    assert [item.id for item in items[-2:]] == ["a", "b"]
    assert len(items) == len(shipped_suite()) + 2


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "no prompt in it"),
        (line() + b"nonsense\n", ":2: not valid JSON"),
        (line() + b"[1]\n", ":2: not a JSON object"),
        (line() + line(), "id 'a' appears twice"),
        (line() + line(id="b", prompt="What is 2 + 2?"), "the prompt of 'b' appears twice"),
        (line(answer="4"), ":1: answer of a 'number' check: not a number"),
        (line(check="eval"), ":1: check is not one of"),
        (line(check=["number"]), ":1: check is not one of"),
        (line(difficulty=0), ":1: difficulty is not"),
        (line(difficulty=True), ":1: difficulty is not"),
        (line(skill=""), ":1: skill is not a text"),
        (line(id="a\x1b[2J"), ":1: id has control characters"),
        (line(id=7), ":1: id is not a text"),
        (line(prompt="x" * (MAX_PROMPT_CHARS + 1)), ":1: prompt is longer than"),
        (line(prompt="\ud800"), ":1: prompt has half a surrogate pair"),
        (line(more=1), ":1: unknown member 'more'"),
        (b'{"id": "a", "id": "b"}\n', ":1: not valid JSON: name 'id' appears twice"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "skill"}).encode(), ":1: 'skill' is missing"),
        (line(answer=float("nan")), ":1: not valid JSON: NaN"),
        (b"\xff\xfe\n", ":1: not UTF-8"),
        (b"[" * 100_000, ":1: "),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_suite_is_refused_with_its_line(data, told):
    with pytest.raises(RouterError) as caught:
        parse_suite(data, subject="own.jsonl")
    assert str(caught.value).startswith("own.jsonl")
    assert told in str(caught.value)


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_bytes_give_a_traceback(data):
    with contextlib.suppress(RouterError):
        parse_suite(data, subject="own.jsonl")


def test_a_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(RouteIQError, match="missing"):
        read_suites([tmp_path / "missing.jsonl"])
    with pytest.raises(RouteIQError, match="not a regular file"):
        read_suites([tmp_path])
