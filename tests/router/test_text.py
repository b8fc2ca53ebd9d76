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
