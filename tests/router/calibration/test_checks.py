"""Replies as models write them: what passes, what does not, and that nothing a model says breaks a check."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_router.calibration.checks import CHECKS, answer_fault, is_right

RIGHT = [
    ("number", 42, "42"),
    ("number", 42, "The answer is **42**."),
    ("number", 42, "6 * 7 = 42"),
    ("number", 42, "First 6, then 7.\n\nAnswer: 42"),
    ("number", 42, "So 40 and 2 more:\n42"),
    ("number", 42, "<think>Is it 41? or 43?</think>\n42"),
    ("number", 1234567, "1,234,567"),
    ("number", -7, "\u22127"),
    ("number", 0.5, "1/2"),
    ("number", 2.5, "2.50 metres"),
    ("number", 12, "\\boxed{12}"),
    ("exact", "yes", "Yes."),
    ("exact", "noclaf", "`noclaf`"),
    ("exact", ["Ada", "Hugo"], "Hugo"),
    ("exact", "2003-07-02", "The answer is 2003-07-02"),
    ("contains", "Paris", "The capital of France is Paris."),
    ("choice", "B", "B"),
    ("choice", "B", "B) Pb"),
    ("choice", "B", "**B**"),
    ("choice", "B", "The correct answer is (B)."),
    ("json", {"a": 1, "b": [2]}, '```json\n{"b": [2.0], "a": 1}\n```'),
    ("json", [{"a": 1}], 'Here it is: [{"a": 1}]'),
    ("set", ["red", "blue"], "Blue, red"),
    ("set", ["red", "blue"], "- blue\n- red"),
    ("list", ["9", "12", "74"], "9, 12, 74"),
    ("list", ["9", "12", "74"], "Sorted list: 9, 12 and 74."),
    ("list", ["a", "b"], "1. a\n2. b"),
]
WRONG = [
    ("number", 42, ""),
    ("number", 42, "   \n"),
    ("number", 42, "41"),
    ("number", 42, "42 or 43"),
    ("number", 42, "It is one of 40, 41, 42"),
    ("number", 42, "142"),
    ("number", 42, "4.2"),
    ("number", 42, "42.5"),
    ("number", 42, "x42"),
    ("number", 42, "42/0"),
    ("number", 42, "forty-two"),
    ("number", 42, "9" * 5000),
    ("number", 42, "The answer is 41, not 42"),
    ("exact", "yes", "yes and no"),
    ("exact", "yes", "no"),
    ("contains", "Paris", "Parisian"),
    ("choice", "B", "A dog, or B"),
    ("choice", "B", "A) Sn\nB) Pb"),
    ("choice", "B", "The answer is A, not B? The answer is B"),
    ("choice", "B", "Because"),
    ("json", {"a": 1}, '{"a": "1"}'),
    ("json", {"a": 1}, '{"a": true}'),
    ("json", {"a": 1}, '{"a": 1, "b": 2}'),
    ("json", {"a": 1}, '{"a": 1, "a": 1}'),
    ("json", {"a": 1}, "[" * 4000),
    ("set", ["red", "blue"], "red, blue, green"),
    ("set", ["red", "blue"], "red, red, blue"),
    ("list", ["9", "12"], "12, 9"),
    ("list", ["9", "12"], "9"),
]


@pytest.mark.parametrize(("check", "answer", "reply"), RIGHT)
def test_what_is_right_passes(check, answer, reply):
    assert answer_fault(check, answer) is None
    assert is_right(check, answer, reply)


@pytest.mark.parametrize(("check", "answer", "reply"), WRONG)
def test_what_is_wrong_does_not(check, answer, reply):
    assert not is_right(check, answer, reply)


@pytest.mark.parametrize(
    ("check", "answer"),
    [("number", "42"), ("number", True), ("number", 10**50), ("exact", ""), ("exact", []), ("exact", 3),
     ("choice", "b"), ("choice", "AB"), ("json", "x"), ("set", ["a", "A"]), ("list", []),
     ("list", [1]), ("exact", "x" * 3000)],
)  # fmt: skip
def test_an_answer_that_its_check_cannot_use_is_a_fault(check, answer):
    assert answer_fault(check, answer)


SAMPLES = {
    "number": 3, "exact": "a b", "contains": "a", "choice": "A", "json": {"a": [1]}, "set": ["a"], "list": ["a", "b"],
}  # fmt: skip


@given(reply=st.text(max_size=300), check=st.sampled_from(sorted(CHECKS)))
@settings(max_examples=300, deadline=None)
def test_no_reply_breaks_a_check(reply, check):
    assert is_right(check, SAMPLES[check], reply) in {True, False}


@pytest.mark.parametrize("check", sorted(CHECKS))
@pytest.mark.parametrize(
    "piece",
    ["9", "1,000", "a, ", "{[", "A) ", "answer is ", "=", "```", "\ufdfa", " \n", "-", "1/", "**", "\ud800"],
)
def test_a_megabyte_of_anything_is_judged_at_once(check, piece):
    # Whatever grows with the square of the reply would take minutes here.
    assert not is_right(
        check, SAMPLES[check] if check != "contains" else "zzz", piece * (2**20 // len(piece))
    )
