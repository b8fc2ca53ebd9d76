"""What is tried after a failed attempt (D9, G9)."""

from typing import get_args

import pytest

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.errors import Fault
from routeiq_appliance.pipeline.retry import (
    FAILURES,
    backoff_ceiling,
    following_groups,
    may_try_next,
    may_try_same,
)

_POLICY = CallPolicy(
    fallbacks={"small": ("large", "huge")},
    context_window_fallbacks={"small": ("long",)},
    default_fallbacks=("any",),
)


def _after(fault: Fault, first: str, failed: str, ranking: tuple[str, ...] = ()) -> tuple[str, ...]:
    return following_groups(fault, first=first, failed=failed, ranking=ranking, policy=_POLICY)


@pytest.mark.parametrize(
    ("fault", "same", "following", "counts"),
    [
        ("caller", False, False, False),
        ("context", False, False, False),
        ("rate_limited", False, True, False),
        ("unavailable", True, True, True),
        ("broken", True, True, True),
        ("timeout", False, True, True),
        ("misconfigured", False, True, True),
        ("unsupported", False, True, False),
    ],
)
def test_each_fault_has_its_consequences(fault: Fault, same: bool, following: bool, counts: bool) -> None:
    assert (may_try_same(fault), may_try_next(fault), fault in FAILURES) == (same, following, counts)


def test_every_fault_is_in_the_table_above() -> None:
    assert len(get_args(Fault)) == 8


def test_pauses_grow_to_a_ceiling() -> None:
    assert [backoff_ceiling(n) for n in range(1, 8)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_request_at_fault_goes_nowhere_else() -> None:
    assert _after("caller", "small", "small") == ()


def test_fallbacks_are_those_of_the_group_decided_for() -> None:
    assert _after("broken", "small", "small") == ("large", "huge")
    assert _after("timeout", "small", "large") == ("large", "huge")
    assert _after("broken", "other", "other") == ("any",)


def test_too_long_a_request_goes_to_the_longer_model() -> None:
    assert _after("context", "small", "small") == ("long",)


def test_auto_goes_on_with_the_next_of_its_ranking() -> None:
    assert _after("broken", "small", "small", ("small", "b", "c")) == ("small", "b", "c", "large", "huge")
