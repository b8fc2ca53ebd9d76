"""Which routing strategy decides for `auto`, and when a hint does (D1, C9)."""

import pytest

from routeiq_appliance.routing.precedence import Strategies, follow_hint
from routeiq_appliance.routing.simple import DeclaredOrder, Random, RoundRobin

_AVAILABLE = {"declared-order": DeclaredOrder(), "round-robin": RoundRobin(), "random": Random()}


def _strategies(config: str | None = None, environment: str | None = None) -> Strategies:
    return Strategies(_AVAILABLE, config=config, environment=environment)


@pytest.mark.parametrize(
    ("header", "principal", "live", "config", "environment", "chosen"),
    [
        ("random", "round-robin", "declared-order", "round-robin", "round-robin", "random"),
        (None, "random", "round-robin", "round-robin", "round-robin", "random"),
        (None, None, "random", "round-robin", "round-robin", "random"),
        (None, None, None, "random", "round-robin", "random"),
        (None, None, None, None, "random", "random"),
        (None, None, None, None, None, "declared-order"),
        ("ml", None, None, None, "random", "random"),
        ("best", "ml", "fast", "none", "random", "random"),
        ("best", "ml", "fast", "none", "other", "declared-order"),
    ],
)  # fmt: skip
def test_the_first_that_is_there_wins(
    header: str | None, principal: str | None, live: str | None, config: str | None, environment: str | None,
    chosen: str,
) -> None:  # D1  # fmt: skip
    strategies = _strategies(config, environment)
    assert strategies.choose(header=header, principal=principal, live=live)[0].name == chosen


def test_each_that_was_passed_over_is_named_with_its_reason() -> None:
    found, note = _strategies("ml", "random").choose(header="best", principal=None, live="x" * 500)
    assert found.name == "random"
    assert note is not None
    assert note.split("; ") == [
        "x-routeiq-strategy names `best`, which is no strategy",
        f"the live setting names `{'x' * 64}`, which is no strategy",
        "config.yaml names `ml`, which has no artifact here",
    ]


def test_nothing_is_noted_when_the_first_wish_is_granted() -> None:
    strategies = _strategies("ml", "nonsense")
    assert strategies.choose(header="random", principal="nonsense", live=None)[1] is None
    assert _strategies("random", "nonsense").choose(header=None, principal=None, live=None)[1] is None


def test_the_default_is_what_decides_without_any_wish() -> None:
    assert _strategies("random", "round-robin").default == "random"
    assert _strategies("ml", None).default == "declared-order"


@pytest.mark.parametrize(
    ("hint", "followed"),
    [
        ("small", "small"),
        ("s", "small"),
        ("large", None),
        ("l", None),
        ("", None),
        ("none", None),
        ("SMALL", None),
    ],
)
def test_a_hint_is_followed_among_the_candidates_only(hint: str, followed: str | None) -> None:  # C9
    found, why_not = follow_hint(hint, ("small", "middle"), {"s": "small", "l": "large"})
    assert found == followed
    assert (why_not is None) == (followed is not None)
    if why_not:
        assert why_not == f"the hint `{hint}` is no candidate for this key"


def test_a_groups_own_name_goes_before_an_alias() -> None:
    assert follow_hint("small", ("small", "large"), {"small": "large"})[0] == "small"


def test_no_hint_needs_no_reason() -> None:
    assert follow_hint(None, ("small",), {}) == (None, None)


def test_a_long_hint_is_cut_in_the_record() -> None:
    _, why_not = follow_hint("x" * 10_000, ("small",), {})
    assert why_not is not None
    assert len(why_not) < 120
