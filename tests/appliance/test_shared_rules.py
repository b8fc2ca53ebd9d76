from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.state.shared.interface import Admission, Refusal, Scope
from routeiq_appliance.state.shared.rules import (
    WINDOW_MS,
    ScopeState,
    is_limited,
    refusal_of,
    standing_of,
    tightest,
)

NOW = 1_790_000_000_000


def admission(call_id: str = "call", *, tokens: int = 10, cost: int = 5, lease: float = 600.0) -> Admission:
    return Admission(call_id, (), tokens, cost, lease)


def taken(*calls: Admission, now: int = NOW) -> ScopeState:
    state = ScopeState()
    for call in calls:
        state.advance(now)
        state.take(call, now)
    return state


def test_a_scope_without_limits_is_not_limited() -> None:
    assert not is_limited(Scope("key:a", period=5, fail_closed=True))
    assert is_limited(Scope("key:a", rpm=0))
    assert is_limited(Scope("key:a", budget=0))


def test_a_window_begins_with_its_first_request_and_lasts_a_minute() -> None:
    state = taken(admission("one"))
    assert state.runs(NOW + WINDOW_MS - 1)
    assert not state.runs(NOW + WINDOW_MS)
    state.take(admission("two"), NOW + WINDOW_MS + 7)
    assert (state.window, state.requests, state.tokens) == (NOW + WINDOW_MS + 7, 1, 10)


def test_a_refused_call_begins_no_window() -> None:
    state = ScopeState()
    assert refusal_of(Scope("k", rpm=0), state, 0, NOW) == Refusal("k", "requests", 0, 60.0)
    assert not state.runs(NOW)


def test_a_clock_that_steps_back_a_little_stays_in_the_window() -> None:
    state = taken(admission())
    assert state.runs(NOW - WINDOW_MS)
    assert not state.runs(NOW - WINDOW_MS - 1)


def test_requests_are_refused_at_the_limit_until_the_window_ends() -> None:
    state = taken(admission("one"), admission("two"))
    assert refusal_of(Scope("k", rpm=3), state, 0, NOW) is None
    assert refusal_of(Scope("k", rpm=2), state, 0, NOW + 1500) == Refusal("k", "requests", 2, 58.5)


def test_tokens_are_overshot_by_the_last_call_at_most() -> None:
    state = taken(admission(tokens=99))
    assert refusal_of(Scope("k", tpm=100), state, 0, NOW) is None
    assert refusal_of(Scope("k", tpm=99), state, 0, NOW) == Refusal("k", "tokens", 99, 60.0)


def test_parallel_calls_are_refused_for_a_second() -> None:
    state = taken(admission("one"))
    assert refusal_of(Scope("k", parallel=1), state, 0, NOW) == Refusal("k", "parallel", 1, 1.0)
    assert state.settle("one", tokens=1, now=NOW)
    assert refusal_of(Scope("k", parallel=1), state, 0, NOW) is None


def test_a_budget_counts_what_is_reserved_and_names_no_time() -> None:
    state = taken(admission(cost=5))
    assert refusal_of(Scope("k", budget=10), state, 4, NOW) is None
    assert refusal_of(Scope("k", budget=10), state, 5, NOW) == Refusal("k", "budget", 10, None)


def test_the_refusal_that_eases_last_is_named() -> None:
    requests, parallel = Refusal("a", "requests", 1, 0.5), Refusal("b", "parallel", 1, 1.0)
    budget = Refusal("c", "budget", 1, None)
    assert tightest([requests, parallel]) is parallel
    assert tightest([requests, budget, parallel]) is budget
    assert tightest([parallel, Refusal("d", "parallel", 2, 1.0)]) is parallel


def test_parallel_is_named_when_the_window_ends_sooner() -> None:
    state = taken(admission())
    scope = Scope("k", rpm=1, parallel=1)
    late = refusal_of(scope, state, 0, NOW + WINDOW_MS - 100)
    assert late is not None
    assert late.kind == "parallel"


def test_settlement_takes_the_place_of_the_estimate_in_its_window() -> None:
    state = taken(admission(tokens=100, cost=50))
    assert state.settle("call", tokens=30, now=NOW + 10)
    assert (state.tokens, state.reserved, state.leases) == (30, 0, {})


def test_after_its_window_only_the_excess_is_added() -> None:
    state = taken(admission("old", tokens=100))
    state.take(admission("new", tokens=1), NOW + WINDOW_MS)
    assert state.settle("old", tokens=130, now=NOW + WINDOW_MS)
    assert state.tokens == 31


def test_a_settlement_begins_a_window_only_with_tokens_to_add() -> None:
    over = NOW + WINDOW_MS
    state = taken(admission(tokens=100))
    assert state.settle("call", tokens=100, now=over)
    assert not state.runs(over)
    state = taken(admission(tokens=100))
    assert state.settle("call", tokens=101, now=over)
    assert (state.window, state.tokens, state.requests) == (over, 1, 0)


def test_a_second_settlement_counts_nothing() -> None:
    state = taken(admission())
    assert state.settle("call", tokens=30, now=NOW)
    assert not state.settle("call", tokens=30, now=NOW)
    assert state.tokens == 30


def test_a_lease_that_ended_is_given_back_and_settled_late_in_full() -> None:
    state = taken(admission(tokens=100, cost=50, lease=1.0))
    state.advance(NOW + 1000)
    assert (state.tokens, state.reserved, len(state.leases)) == (0, 0, 0)
    assert state.settle("call", tokens=80, now=NOW + 2000)
    assert state.tokens == 80
    assert not state.settle("call", tokens=80, now=NOW + 2000)


def test_a_lease_never_settled_is_forgotten_after_an_hour() -> None:
    state = taken(admission(lease=1.0))
    state.advance(NOW + 1000)
    assert state.late
    state.advance(NOW + 1000 + 3_600_000)
    assert state.is_idle(NOW + 1000 + 3_600_000)


def test_standing_is_none_without_limits_on_a_window() -> None:
    state = taken(admission(tokens=40))
    assert standing_of(Scope("k", parallel=1, budget=1), state, NOW) is None
    standing = standing_of(Scope("k", rpm=3, tpm=30), state, NOW + 1000)
    assert standing is not None
    assert (standing.remaining_requests, standing.remaining_tokens, standing.reset_seconds) == (2, 0, 59.0)


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 200), st.integers(0, 200), st.integers(0, 40_000)),
        max_size=40,
    )
)
def test_what_is_reserved_is_what_the_leases_hold(steps: list[tuple[int, int, int, int]]) -> None:
    state, now = ScopeState(), NOW
    for number, (settled, tokens, used, pause) in enumerate(steps):
        now += pause
        state.advance(now)
        state.take(admission(f"{number}", tokens=tokens, cost=tokens, lease=50.0), now)
        state.settle(f"{settled}", tokens=used, now=now)
        assert state.reserved == sum(lease.cost for lease in state.leases.values())
        assert state.tokens >= 0
