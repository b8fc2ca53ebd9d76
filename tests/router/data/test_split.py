import numpy as np

from routeiq_router.data.split import fold_numbers, held_out, prompt_fingerprints

PROMPTS = [f"prompt number {index}" for index in range(4000)]


def test_about_the_asked_share_is_held_out_and_always_the_same():
    side = held_out(PROMPTS, 0.1)
    assert 0.08 < side.mean() < 0.12
    assert np.array_equal(side, held_out(PROMPTS, 0.1))
    assert not held_out(PROMPTS, 0).any()


def test_a_larger_share_contains_the_smaller():
    assert (held_out(PROMPTS, 0.3) >= held_out(PROMPTS, 0.1)).all()


def test_copies_fall_on_one_side_and_into_one_fold():
    copies = [f"  {prompt.upper()} \n" for prompt in PROMPTS]
    assert np.array_equal(held_out(PROMPTS, 0.5), held_out(copies, 0.5))
    assert np.array_equal(fold_numbers(PROMPTS, 5), fold_numbers(copies, 5))
    assert np.array_equal(prompt_fingerprints(PROMPTS), prompt_fingerprints(copies))


def test_folds_side_and_salt_are_independent():
    outside, folds = held_out(PROMPTS, 0.5), fold_numbers(PROMPTS, 5)
    assert np.abs(np.bincount(folds[outside]) / outside.sum() - 0.2).max() < 0.04
    both = np.bincount(5 * folds + fold_numbers(PROMPTS, 5, salt=1), minlength=25)
    assert both.min() > 100
