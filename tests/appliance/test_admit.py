"""What a call reserves, and what a refused caller is told (C7, G7)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.admit import Estimator, Room, ratelimit_headers, require_room, too_much
from routeiq_appliance.pipeline.settle import cost_of
from routeiq_appliance.pipeline.types import AUTO, Call, Deployment, Kind, Price
from routeiq_appliance.state.shared.interface import Refusal, Scope, Standing


def _deployment(group: str, price: Price | None) -> Deployment:
    return Deployment(
        id=f"{group}-1", group=group, mode=None, params={}, destination=None, upstream="direct", provider="openai",
        model=group, connect_timeout=1, timeout=1, first_token_timeout=1, stream_timeout=1, retries=0, price=price,
    )  # fmt: skip


_GROUPS = {
    "cheap": [_deployment("cheap", Price(input_token=1, output_token=10))],
    "dear": [_deployment("dear", Price(input_token=100, output_token=5, call=7))],
    "slow": [_deployment("slow", Price(second=1_000))],
    "unpriced": [_deployment("unpriced", None)],
}


def _call(asked: str, size: int, kind: Kind = "chat", **params: object) -> Call:
    return Call("id", kind, asked, dict(params), {}, False, False, "", size, datetime.now(UTC))


def _estimator() -> Estimator:
    return Estimator(_GROUPS, ["cheap", "dear"], output_tokens=100, lease_seconds=60)


def test_an_estimate_is_bytes_in_and_max_tokens_out() -> None:
    estimator = _estimator()
    assert estimator.estimate(_call("cheap", 300, max_tokens=20)) == (120, 100 * 1 + 20 * 10)
    assert estimator.estimate(_call("cheap", 300)) == (200, 100 + 100 * 10)
    assert estimator.estimate(_call("cheap", 300, max_tokens=10**6)) == (200, 100 + 100 * 10)
    assert estimator.estimate(_call("cheap", 300, max_completion_tokens=5, n=3)) == (115, 100 + 15 * 10)
    assert estimator.estimate(_call("dear", 300, "embedding")) == (100, 100 * 100 + 7)
    assert estimator.estimate(_call("slow", 0, max_tokens=1))[1] == 60_000
    assert estimator.estimate(_call("unpriced", 300))[1] == 0
    assert estimator.estimate(_call("no such group", 300))[1] == 0


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_auto_reserves_at_least_what_any_candidate_would(size: int, tokens: int) -> None:
    estimator = _estimator()
    dearest = max(estimator.estimate(_call(name, size, max_tokens=tokens))[1] for name in ("cheap", "dear"))
    assert estimator.estimate(_call(AUTO, size, max_tokens=tokens))[1] >= dearest


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.floats(0, 10**6))
def test_costs_are_whole_and_exact_in_tokens(prompt: int, completion: int, seconds: float) -> None:
    price = Price(input_token=37_500, output_token=150_000, call=3)
    cost = cost_of(price, prompt_tokens=prompt, completion_tokens=completion, seconds=seconds)
    assert cost == prompt * 37_500 + completion * 150_000 + 3


def test_a_second_is_charged_in_parts() -> None:
    assert cost_of(Price(second=10**12), prompt_tokens=0, completion_tokens=0, seconds=0.25) == 250 * 10**9


@pytest.mark.parametrize(
    ("kind", "code", "said", "after"),
    [
        ("requests", "rate_limit_exceeded", "the limit of this team is reached: 5 requests per minute", 13),
        ("tokens", "rate_limit_exceeded", "the limit of this team is reached: 5 tokens per minute", 13),
        ("parallel", "rate_limit_exceeded", "the limit of this team is reached: 5 parallel requests", 13),
        ("budget", "budget_exceeded", "the budget of this team is spent", 13),
    ],
)
def test_a_refusal_names_whose_limit_and_when_to_come_back(
    kind: str, code: str, said: str, after: int
) -> None:
    error = too_much(Refusal("team:secret-id", kind, 5, 12.3))  # type: ignore[arg-type]
    assert (error.status, error.code, str(error), error.retry_after) == (429, code, said, after)


def test_a_spent_budget_without_period_names_no_time() -> None:
    assert too_much(Refusal("key:k/model:large", "budget", 5, None)).retry_after is None
    assert "key on model `large`" in str(too_much(Refusal("key:k/model:large", "budget", 5, None)))


def test_headers_tell_the_scope_with_the_least_left() -> None:
    scopes = (Scope("key:k", rpm=10, tpm=1000), Scope("team:t", rpm=4))
    standings = (Standing("key:k", 9, 500, 30.2), Standing("team:t", 1, None, 59.9))
    assert dict(ratelimit_headers(scopes, standings)) == {
        b"x-ratelimit-limit-requests": b"4",
        b"x-ratelimit-remaining-requests": b"1",
        b"x-ratelimit-reset-requests": b"60s",
        b"x-ratelimit-limit-tokens": b"1000",
        b"x-ratelimit-remaining-tokens": b"500",
        b"x-ratelimit-reset-tokens": b"31s",
    }


def test_a_full_worker_sheds_and_a_full_ledger_too() -> None:  # G7
    require_room(Room(0, running=10**6), ledger_has_room=True)
    with pytest.raises(CallError, match="limit of running calls") as caught:
        require_room(Room(2, running=2), ledger_has_room=True)
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    with pytest.raises(CallError, match="the ledger has no room"):
        require_room(Room(0), ledger_has_room=False)
