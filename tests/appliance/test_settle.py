"""What a call used and cost, as its row says it: exact, never negative, and never free where nobody knows the price."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import from_json, to_json
from tests.appliance.deployments import deployment

from routeiq_appliance.pipeline.settle import cost_of, ledger_row
from routeiq_appliance.pipeline.types import (
    Attempt,
    Call,
    Decision,
    ModelAllowance,
    Price,
    Principal,
    Tally,
    Wishes,
)
from routeiq_appliance.state.shared.interface import Scope

_START = datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC)
_PICO = 10**12
_TOKENS = Price(input_token=1_000_000, output_token=2_000_000)
_PRINCIPAL = Principal(
    "k1", team_id="t1", user_id="u1", organization_id="o1",
    scopes=(Scope("key:k1"), Scope("team:t1", period=1_700_000_000)),
    model_limits={"small": ModelAllowance(rpm=1), "large": ModelAllowance(rpm=1)},
)  # fmt: skip


def _call(size: int = 30, **fields: Any) -> Call:
    return Call("c" * 32, "chat", "small", {}, {}, True, False, "secret prompt", size, _START, **fields)


def _tally(price: Price | None = _TOKENS, **fields: Any) -> Tally:
    given_fields = {
        "prompt_tokens": 3, "completion_tokens": 2, "counted": True, "worked": True, "status": 200,
        "outcome": "answered", "deployment": deployment("small-1", group="small", price=price),
    }  # fmt: skip
    return Tally(**{**given_fields, **fields})


def _decision(group: str = "small", **fields: Any) -> Decision:
    return Decision(group, (), "explicit", None, ((group, None),), "named", None, 0.000_25, **fields)


def _row(
    tally: Tally,
    call: Call | None = None,
    decision: Decision | None = None,
    *,
    lasted: timedelta = timedelta(0),
) -> dict[str, Any]:
    return ledger_row(call or _call(), _PRINCIPAL, decision or _decision(), tally, now=_START + lasted)


# What it cost


@pytest.mark.parametrize(
    ("price", "lasted", "cost"),
    [
        (_TOKENS, 9.0, 3 * 1_000_000 + 2 * 2_000_000),
        (Price(second=_PICO), 0.25, _PICO // 4),
        (Price(second=3), 0.5, 1),  # what is less than a pico-dollar is not charged
        (Price(call=7), 9.0, 7),
        (Price(input_token=1, output_token=10, second=1_000, call=5), 2.0, 3 + 20 + 2_000 + 5),
        (Price(), 9.0, 0),
    ],
)
def test_a_call_costs_its_tokens_its_seconds_and_itself(price: Price, lasted: float, cost: int) -> None:
    assert _row(_tally(price), lasted=timedelta(seconds=lasted))["cost"] == cost


def test_an_unpriced_call_has_no_cost_which_is_not_zero() -> None:
    row = _row(_tally(None))
    assert row["cost"] is None
    assert row["charges"] == []
    assert (row["prompt_tokens"], row["completion_tokens"]) == (3, 2)
    assert b'"cost":null' in to_json(row)


@pytest.mark.parametrize("price", [None, _TOKENS, Price(second=_PICO, call=_PICO)])
def test_a_call_that_no_upstream_worked_for_costs_nothing(price: Price | None) -> None:
    refused = _tally(price, worked=False, counted=False, prompt_tokens=0, completion_tokens=0, status=400)
    row = _row(refused, lasted=timedelta(seconds=9))
    assert (row["cost"], row["charges"], row["estimated"]) == (0, [], False)


def test_an_answer_from_the_cache_costs_nothing_and_says_what_it_saved() -> None:
    saved = {"tokens": 5}
    row = _row(Tally(status=200, outcome="answered", cached=saved), lasted=timedelta(seconds=1))
    assert (row["cost"], row["charges"], row["estimated"], row["deployment"]) == (0, [], False, None)
    assert (row["group"], row["decision"]["cached"]) == ("small", saved)


_PRICES = st.builds(Price, *[st.integers(0, 10**13)] * 4)
_COUNTS = st.integers(0, 10**9)
_MICROSECONDS = st.integers(0, 30 * 86400 * 10**6)


@given(price=_PRICES, prompt=_COUNTS, completion=_COUNTS, microseconds=_MICROSECONDS)
def test_costs_are_exact_whatever_the_numbers(
    price: Price, prompt: int, completion: int, microseconds: int
) -> None:
    tally = _tally(price, prompt_tokens=prompt, completion_tokens=completion)
    row = _row(tally, lasted=timedelta(microseconds=microseconds))
    with localcontext(prec=60):
        seconds = Decimal(microseconds).scaleb(-6)
        exact = (
            Decimal(price.input_token) * prompt
            + Decimal(price.output_token) * completion
            + (Decimal(price.second) * seconds).to_integral_value(ROUND_FLOOR)
            + price.call
        )
        assert Decimal(row["cost"]) == exact
    assert type(row["cost"]) is int
    assert row["cost"] >= 0
    assert from_json(to_json(row))["cost"] == row["cost"]


@given(price=_PRICES, counts=st.tuples(_COUNTS, _COUNTS), microseconds=_MICROSECONDS)
def test_a_call_that_used_more_never_costs_less(
    price: Price, counts: tuple[int, int], microseconds: int
) -> None:
    prompt, completion = counts
    seconds = microseconds / 10**6
    cost = cost_of(price, prompt_tokens=prompt, completion_tokens=completion, seconds=seconds)
    for more in (
        cost_of(price, prompt_tokens=prompt + 1, completion_tokens=completion, seconds=seconds),
        cost_of(price, prompt_tokens=prompt, completion_tokens=completion + 1, seconds=seconds),
        cost_of(price, prompt_tokens=prompt, completion_tokens=completion, seconds=seconds + 1),
    ):
        assert more >= cost >= price.call


def test_a_clock_that_was_set_back_takes_nothing_off() -> None:
    row = _row(_tally(Price(second=_PICO, call=7)), lasted=timedelta(hours=-1))
    assert (row["cost"], row["duration_ms"]) == (7, 0)


# What is estimated


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("answered", 200), ("caller_left", 499), ("bad_upstream", 502), ("upstream_timeout", 504)],
)
def test_without_the_upstreams_count_tokens_are_estimated_and_marked(outcome: str, status: int) -> None:
    tally = _tally(
        counted=False, prompt_tokens=0, completion_tokens=0, text_bytes=31, outcome=outcome, status=status
    )
    row = _row(tally, _call(size=100))
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"]) == (33, 10, True)
    assert row["cost"] == 33 * 1_000_000 + 10 * 2_000_000
    assert (row["outcome"], row["status"]) == (outcome, status)


def test_the_upstreams_count_goes_before_ours() -> None:
    row = _row(_tally(prompt_tokens=0, completion_tokens=0, text_bytes=3_000))
    assert (row["prompt_tokens"], row["completion_tokens"], row["estimated"], row["cost"]) == (0, 0, False, 0)


# What it is charged to


def test_a_cost_is_charged_to_every_scope_and_to_the_limit_on_the_group_that_answered() -> None:
    row = _row(_tally(), decision=_decision("large"))  # fell back to `small`
    assert row["charges"] == [("key:k1", 0), ("team:t1", 1_700_000_000), ("key:k1/model:small", 0)]
    other = _row(_tally(deployment=deployment("other-1", group="other", price=_TOKENS)))
    assert other["charges"] == [("key:k1", 0), ("team:t1", 1_700_000_000)]


# What the row says


def test_a_row_says_who_asked_for_what_and_who_answered() -> None:
    tally = _tally(first_token_seconds=0.0124, attempts=[Attempt(deployment("small-1"), "answered", 0.5)])
    row = ledger_row(
        _call(), _PRINCIPAL, _decision(), tally, now=_START + timedelta(seconds=1.5), trace_id="f" * 32
    )
    assert row == {
        "id": "c" * 32, "started_at": _START, "key_id": "k1", "team_id": "t1", "user_id": "u1",
        "organization_id": "o1", "kind": "chat", "asked": "small", "group": "small", "deployment": "small-1",
        "provider": "openai", "status": 200, "outcome": "answered", "stream": True, "prompt_tokens": 3,
        "completion_tokens": 2, "estimated": False, "cost": 7_000_000, "attempts": 1, "duration_ms": 1500,
        "first_token_ms": 12, "trace_id": "f" * 32,
        "decision": {"strategy": "explicit", "score": None, "ranking": [{"group": "small", "score": None}],
                     "reason": "named", "artifact": None, "balancing": "", "ms": 0.25},
        "charges": [("key:k1", 0), ("team:t1", 1_700_000_000), ("key:k1/model:small", 0)],
    }  # fmt: skip
    assert b"secret" not in to_json(row)


def test_a_call_that_was_never_routed_has_no_decision() -> None:
    row = ledger_row(_call(), _PRINCIPAL, None, Tally(status=499, outcome="caller_left"), now=_START)
    assert (row["group"], row["deployment"], row["decision"], row["cost"]) == (None, None, None, 0)


def test_attempts_are_told_when_there_was_more_to_them_than_one_answer() -> None:
    first, second = deployment("small-1"), deployment("small-2")
    failed = Attempt(first, "upstream_timeout", 0.5)
    for attempts, told in [
        ([], None),
        ([Attempt(first, "answered", 1.0)], None),
        ([failed], [("small-1", "upstream_timeout", 500)]),
        (
            [failed, Attempt(second, "answered", 1.0)],
            [("small-1", "upstream_timeout", 500), ("small-2", "answered", 1000)],
        ),
    ]:
        row = _row(_tally(attempts=attempts))
        record: Any = row["decision"].get("attempts")
        assert row["attempts"] == len(attempts)
        assert (record and [tuple(entry.values()) for entry in record]) == told


def test_deployments_that_were_passed_over_are_told_with_the_reason() -> None:
    row = _row(_tally(), decision=_decision(passed_over=(("small-2", "no tag of the call"),)))
    assert row["decision"]["passed_over"] == [{"deployment": "small-2", "reason": "no tag of the call"}]


@given(asked=st.text(max_size=200))
def test_any_name_that_a_caller_asked_for_can_be_kept(asked: str) -> None:
    call = Call("c", "chat", asked, {}, {}, False, False, "", 1, _START, Wishes())
    row = ledger_row(call, _PRINCIPAL, None, Tally(), now=_START)
    assert len(row["asked"]) <= 128
    assert "\0" not in row["asked"]
    assert from_json(to_json(row))["asked"] == row["asked"]
