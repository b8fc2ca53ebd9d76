"""Patterns: what they find, which are refused, and that none takes long."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import ConfigError
from routeiq_appliance.policy.patterns import MAX_EXPANDED, compile_pattern, expanded, slowest


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("secret", "a secret b", True),
        ("^secret", "a secret", False),
        ("(?i)geheim|secret", "GEHEIM", True),
        (r"\b\d{3}-\d{2}-\d{4}\b", "it is 123-45-6789.", True),
        (r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}", "DE89 3704 0044 0532 0130 00", True),
        ("straße", "die Straße", False),
        ("(?i)straße", "die STRAßE", True),
        ("a.c", "a\nc", False),
    ],
)
def test_a_pattern_is_searched_for(pattern: str, text: str, *, found: bool) -> None:
    assert compile_pattern(pattern)(text) is found


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(", "unclosed group"),
        ("(?=a)", "look-around"),
        (r"(a)\1", "backreferences are not supported"),
        ("a{1,1000}", "too large"),
        ("(?:a{1,50}){1,50}b", "too large"),
        ("(((a{9}){9}){9}){9}", "too large"),
        (r"(?:\w{20}){14}", "size limit"),
    ],
)
def test_what_no_automaton_can_do_or_would_be_too_large_is_refused(pattern: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        compile_pattern(pattern)


def test_half_a_character_hides_nothing() -> None:
    """JSON may say `\\ud800`, which is no text: the engine would take none of it."""
    assert compile_pattern("secret")("\ud800 secret")


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        ("", 0),
        ("abc", 3),
        ("a|b", 3),
        ("a{3}", 3),
        ("a{2,5}b", 6),
        ("a{7,}", 7),
        ("(ab){3}", 6),
        ("((ab){3}c){2}", 14),
        ("[a-z]{4}", 4),
        (r"[]\]x]{4}", 4),
        (r"\p{Greek}{3}", 3),
        (r"\{3\}", 3),
        ("(" * 5, 0),
    ],
)
def test_repetitions_are_written_out(pattern: str, size: int) -> None:
    assert expanded(pattern) == size


@given(st.text(alphabet="ab(|)[]{}1,9?*+\\^$.pdwx", max_size=60))
def test_any_pattern_is_taken_or_refused(pattern: str) -> None:
    with contextlib.suppress(ConfigError):
        search = compile_pattern(pattern)
        assert expanded(pattern) <= MAX_EXPANDED
        assert search("ab" * 50) in {True, False}


@given(st.text(max_size=200), st.text(alphabet="abc\ud800é", max_size=20))
def test_any_text_is_searched(before: str, after: str) -> None:
    assert compile_pattern("needle")(f"{before}needle{after}")


def test_the_slowest_text_is_measured_and_scaled() -> None:
    ticks = iter(range(100))
    assert slowest("x", 100_000, lambda: float(next(ticks))) == 2.0
