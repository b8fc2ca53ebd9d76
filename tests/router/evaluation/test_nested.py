"""No prompt teaches what judges it, not even a near-copy of it."""

import numpy as np
import pytest

from routeiq_router.calibration.ability import fit_ability
from routeiq_router.errors import RouterError
from routeiq_router.evaluation.duplicates import near_other_parts
from routeiq_router.evaluation.nested import check_apart, nested
from routeiq_router.strategies.registry import strategy
from routeiq_router.training.selection import Training


def unit(rows):
    table = np.asarray(rows, dtype=np.float32)
    return table / np.linalg.norm(table, axis=1, keepdims=True)


def test_a_prompt_on_both_sides_is_refused():
    with pytest.raises(RouterError, match="1 prompts would both teach and judge"):
        check_apart(np.asarray([0, 1]), np.asarray([2]), [b"a", b"b", b"a"])


def test_nested_refuses_parts_that_leak(small_training):
    inputs, scores = small_training
    parts = np.arange(len(scores)) % 2
    digests = [b"same"] * len(scores)
    with pytest.raises(RouterError, match="would both teach and judge"):
        nested(
            [strategy("best")], Training(inputs, scores, parts), parts, digests,
            near={}, seed=0, most=None, advance=lambda _: None,
        )  # fmt: skip


def test_what_judges_never_teaches(small_training):
    """A part whose scores are all wrong changes the others' predictions, never its own."""
    inputs, scores = small_training
    parts = np.arange(len(scores)) % 3
    digests = [str(row).encode() for row in range(len(scores))]

    def run(table, near=None):
        training = Training(inputs, table, np.arange(len(table)) % 5)
        found = nested(
            [strategy("ridge")],
            training,
            parts,
            digests,
            near=near or {},
            seed=0,
            most=None,
            advance=lambda _: None,
        )
        return found["ridge"][0]

    spoiled = scores.copy()
    spoiled[parts == 0] = 1 - spoiled[parts == 0]
    true, lie = run(scores), run(spoiled)
    np.testing.assert_array_equal(true[parts == 0], lie[parts == 0])
    assert not np.array_equal(true[parts == 1], lie[parts == 1])
    # Left out as near-copies of what judges parts 1 and 2, they teach nobody.
    spoilt = np.flatnonzero(parts == 0)
    near = {1: spoilt, 2: spoilt}
    np.testing.assert_array_equal(run(scores, near)[parts == 1], run(spoiled, near)[parts == 1])


def test_near_copies_are_found_across_parts_only():
    vectors = unit([[1, 0, 0], [1, 0.01, 0], [1, 0.02, 0], [0, 1, 0], [0, 0, 1]])
    found = near_other_parts(vectors, np.asarray([0, 0, 1, 1, 1]), 0.99)
    assert {part: rows.tolist() for part, rows in found.items()} == {0: [2], 1: [0, 1]}


def test_a_threshold_above_one_finds_nothing():
    vectors = unit([[1, 0], [1, 0]])
    assert all(not len(rows) for rows in near_other_parts(vectors, np.asarray([0, 1]), 1.1).values())


class TestAbility:
    KNOWN = np.random.default_rng(0).random((400, 3))

    def test_a_model_like_a_known_one_is_told_by_its_answers(self):
        fitted = fit_ability(self.KNOWN, self.KNOWN[:, 1])
        new = np.asarray([[0.2, 0.9, 0.5], [0.9, 0.1, 0.5]])
        first, second = fitted.predict(new)
        assert first == pytest.approx(0.9, abs=0.1)
        assert second == pytest.approx(0.1, abs=0.15)

    def test_without_answers_it_is_as_good_as_the_known_ones_on_average(self):
        fitted = fit_ability(np.empty((0, 3)), np.empty(0))
        assert fitted.predict(np.asarray([[0.2, 0.4, 0.6]])).tolist() == pytest.approx([0.4])

    def test_a_model_that_always_fails_is_known_to(self):
        fitted = fit_ability(self.KNOWN, np.zeros(400))
        assert fitted.predict(self.KNOWN).mean() < 0.1
