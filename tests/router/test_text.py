import re

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from routeiq_router.limits import Limits
from routeiq_router.text import SURFACE_SIZE, clip_text, is_blank, prompt_digest, prompt_key, surface_features


@given(st.text())
def test_any_text_has_finite_features_a_key_and_a_digest(text):
    features = surface_features(text)
    assert features.shape == (SURFACE_SIZE,)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.abs(features).max() < 10
    assert len(prompt_key(text)) == 64
    assert len(prompt_digest(text)) == 32


def test_lone_surrogates_and_nul_do_not_reach_the_tokenizer():
    assert clip_text("a\ud800b\0c") == "ab c"


def test_of_a_long_prompt_head_and_tail_remain():
    limits = Limits(prompt_chars_head=4, prompt_chars_tail=3)
    assert clip_text("abcdefghij", limits) == "abcd hij"
    assert clip_text("abcdefg", limits) == "abcdefg"


def test_copies_that_differ_in_case_and_space_have_one_digest():
    assert prompt_digest("Who  is\nTHIS?") == prompt_digest("who is this?")
    assert prompt_digest("who is that?") != prompt_digest("who is this?")
    assert prompt_key("Who") != prompt_key("who")
    assert prompt_key("who", "sha256:1") != prompt_key("who", "sha256:2")


def test_blank_is_what_has_neither_letter_nor_digit():
    assert all(is_blank(text) for text in ("", " \n\t", "...!?", "\x00\x07", "🙂"))
    assert not any(is_blank(text) for text in ("a", "٣", "数", " .x"))


def test_features_tell_code_from_a_question():
    assert not np.array_equal(surface_features("def f(x):\n    return x"), surface_features("who is that?"))


_WORDS = (
    "def ", "class ", "return", "import ", "{", ";", "```", ">>>", "assert", "FUNCTION", "Python", "\\x", "$", "A)",
    "(b)", "C.", " ", "\n", "\t", "\r", "\x1c", "?", "7", "=", "who", "x", "\u017f", "\u0130",
)  # fmt: skip


def _counts(text: str) -> list[int]:
    """Count as the features' definition has it: each pattern alone, over the whole text."""
    patterns = (
        r"(?m)^\s*(?:\(?[A-Ea-e][).:])\s",
        r"\b(?:[A-E]\))|\([A-E]\)",
        r"(?m)\bdef |\bclass |\breturn\b|\bimport |[{};]\s*$|```",
        r"(?i)>>>|\bassert\b|\bfunction\b|\bPython\b",
        r"\\[a-zA-Z]+|\$[^$]+\$",
        r"\d",
        r"[=+*/^<>]",
        r"\?",
        r"\n",
        r"(?i)^(?:who|what|when|where|which|why|how)\b",
        r"\?\s*$",
        r"^[a-z]",
    )
    return [len(re.findall(pattern, text)) for pattern in patterns]


@given(st.lists(st.sampled_from(_WORDS), max_size=12).map("".join))
def test_features_are_the_counts_of_their_patterns(text):
    want = np.log1p(np.asarray(_counts(text), dtype=np.float64)) / 5
    np.testing.assert_array_equal(surface_features(text)[4::2], want.astype(np.float32))


def test_a_page_of_blank_lines_is_not_read_again_for_each_of_them():
    # The square of 16,384 lines took seconds; a marker after many of them still counts.
    features = surface_features("\n" * 16_000 + "A. yes\n\n  (B) no")
    np.testing.assert_array_equal(features[4], np.float32(np.log1p(np.float64(2)) / 5))
