"""Breakers open, probe and close by the rules, alone and told by other workers (G2, H4, D9)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from routeiq_appliance.routing.breaker import Breaker, Health, State, read_change, write_change

FAILURES, SECONDS = 5, 30.0


def _breaker() -> Breaker:
    return Breaker(failures=FAILURES, seconds=SECONDS)


def _opened(at: float = 100.0) -> Breaker:
    breaker = _breaker()
    for _ in range(FAILURES):
        breaker.failed(breaker.begin(at), at)
    assert breaker.state is State.OPEN
    return breaker


class _Changes(list[tuple[str, State]]):
    def __call__(self, name: str, state: State) -> None:
        self.append((name, state))


def _health(changes: _Changes | None = None, **fields: float | None) -> Health:
    return Health(
        ["a", "b"], failures=FAILURES, seconds=SECONDS, on_change=_Changes() if changes is None else changes, **fields
    )  # type: ignore[arg-type]  # fmt: skip


def test_five_failures_in_a_row_open_and_thirty_seconds_later_one_call_probes() -> None:  # G2
    breaker = _breaker()
    for _ in range(FAILURES - 1):
        breaker.failed(breaker.begin(1.0), 1.0)
    assert breaker.state is State.CLOSED
    breaker.failed(breaker.begin(2.0), 2.0)
    assert (breaker.state, breaker.opened_at) == (State.OPEN, 2.0)
    assert not breaker.allows(31.9)
    assert breaker.opens_again_in(12.0) == 20.0
    assert breaker.allows(32.0)
    probe = breaker.begin(32.0)
    assert breaker.state is State.HALF_OPEN
    assert not breaker.allows(1000.0)
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED
    assert breaker.allows(32.0)


def test_a_success_between_failures_starts_the_count_anew() -> None:
    breaker = _breaker()
    for _ in range(3):
        for _ in range(FAILURES - 1):
            breaker.failed(breaker.begin(1.0), 1.0)
        breaker.succeeded(breaker.begin(1.0))
    assert breaker.state is State.CLOSED


def test_a_failed_probe_opens_for_another_thirty_seconds() -> None:
    breaker = _opened(100.0)
    breaker.failed(breaker.begin(130.0), 140.0)
    assert (breaker.state, breaker.opened_at) == (State.OPEN, 140.0)
    assert not breaker.allows(169.0)
    assert breaker.allows(170.0)


def test_a_cancelled_probe_frees_its_place() -> None:
    breaker = _opened(100.0)
    breaker.abandoned(breaker.begin(130.0))
    assert breaker.state is State.HALF_OPEN
    assert breaker.allows(130.0)
    breaker.succeeded(breaker.begin(131.0))
    assert breaker.state is State.CLOSED


def test_a_call_from_before_the_opening_neither_closes_nor_ends_a_probe() -> None:
    breaker = _breaker()
    slow = [breaker.begin(0.0) for _ in range(4)]
    for _ in range(FAILURES):
        breaker.failed(breaker.begin(1.0), 1.0)
    breaker.succeeded(slow[0])
    breaker.failed(slow[1], 20.0)
    assert (breaker.state, breaker.opened_at) == (State.OPEN, 1.0)
    probe = breaker.begin(31.0)
    breaker.succeeded(slow[2])
    breaker.abandoned(slow[3])
    assert breaker.state is State.HALF_OPEN
    assert not breaker.allows(32.0)
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED


def test_late_failures_of_before_do_not_count_against_what_recovered() -> None:
    breaker = _breaker()
    slow = [breaker.begin(0.0) for _ in range(FAILURES)]
    for _ in range(FAILURES):
        breaker.failed(breaker.begin(1.0), 1.0)
    breaker.succeeded(breaker.begin(31.0))
    for ticket in slow:
        breaker.failed(ticket, 40.0)
    assert breaker.state is State.CLOSED


def test_a_call_that_was_not_let_pass_never_counts() -> None:
    breaker = _opened(100.0)
    assert breaker.begin(101.0) == 0
    probe = breaker.begin(130.0)
    second = breaker.begin(130.0)
    breaker.failed(second, 131.0)
    breaker.abandoned(second)
    assert not breaker.allows(131.0)
    breaker.succeeded(probe)
    assert breaker.state is State.CLOSED


class BreakerMachine(RuleBasedStateMachine):
    """Any interleaving of calls, cancellations, other workers' news and time."""

    @initialize(failures=st.integers(1, 5))
    def start(self, failures: int) -> None:
        self.now = 0.0
        self.failures = failures
        self.breaker = Breaker(failures=failures, seconds=SECONDS)
        self.running: list[tuple[int, bool]] = []  # ticket, whether it is a probe
        self.not_before = 0.0

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def begin(self) -> None:
        if not self.breaker.allows(self.now):
            before = self.breaker.state
            assert self.breaker.begin(self.now) == 0
            assert self.breaker.state is before
            return
        closed = self.breaker.state is State.CLOSED
        assert closed or self.now >= self.not_before
        ticket = self.breaker.begin(self.now)
        assert ticket > 0
        assert self.breaker.state is (State.CLOSED if closed else State.HALF_OPEN)
        self.running.append((ticket, not closed))

    @precondition(lambda self: self.running)
    @rule(data=st.data(), end=st.sampled_from(["answer", "failure", "cancel"]))
    def end(self, data: st.DataObject, end: str) -> None:
        ticket, _ = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
        before, counts = self.breaker.state, ticket == self.breaker.ticket
        if end == "answer":
            self.breaker.succeeded(ticket)
            assert self.breaker.state is (State.CLOSED if counts and before is not State.OPEN else before)
        elif end == "failure":
            self.breaker.failed(ticket, self.now)
            if self.breaker.state is not before:
                assert counts
                self.not_before = self.now + SECONDS
        else:
            self.breaker.abandoned(ticket)
            assert self.breaker.state is before
        if not counts:
            assert self.breaker.state is before

    @rule(state=st.sampled_from(list(State)))
    def hear(self, state: State) -> None:
        before, opened_at = self.breaker.state, self.breaker.opened_at
        changed = self.breaker.heard(state, self.now)
        assert changed == (self.breaker.state is not before)
        assert self.breaker.state is not State.HALF_OPEN or before is State.HALF_OPEN
        assert self.breaker.opened_at >= opened_at
        if self.breaker.state is State.OPEN:
            self.not_before = self.breaker.opened_at + SECONDS

    @invariant()
    def at_most_one_probe_holds_the_place(self) -> None:
        holders = [t for t, probe in self.running if probe and t == self.breaker.ticket]
        assert len(holders) <= 1
        if self.breaker.state is State.HALF_OPEN:
            assert self.breaker.allows(self.now) == (not holders)

    @invariant()
    def open_lasts_exactly_its_time(self) -> None:
        if self.breaker.state is State.OPEN:
            assert self.breaker.allows(self.now) == (self.now >= self.breaker.opened_at + SECONDS)
        if self.breaker.state is State.CLOSED:
            assert self.breaker.in_a_row < self.failures


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_health_tells_of_its_own_transitions_only() -> None:  # H4
    changes = _Changes()
    health = _health(changes)
    for _ in range(FAILURES):
        health.failed("a", 0.0, may_rest=True, ticket=health.begin("a", 0.0))
    assert health.available("a", 1.0) == "breaker open"
    assert health.available("b", 1.0) is None
    health.succeeded("a", health.begin("a", 30.0))
    assert changes == [("a", State.OPEN), ("a", State.HALF_OPEN), ("a", State.CLOSED)]
    health.apply("b=OPEN", 31.0)
    assert len(changes) == 3


def test_a_cancelled_probe_of_health_lets_the_next_try() -> None:
    health = _health()
    for _ in range(FAILURES):
        health.failed("a", 0.0, may_rest=True)
    ticket = health.begin("a", 30.0)
    assert health.available("a", 30.0) == "breaker open"
    assert health.seconds_until_available("a", 30.0) == 1.0
    health.abandoned("a", ticket)
    assert health.available("a", 30.0) is None


def test_ends_without_tickets_count_for_what_the_breaker_is_at() -> None:
    health = _health()
    for _ in range(FAILURES):
        health.begin("a", 0.0)
        health.failed("a", 0.0, may_rest=False)
    health.begin("a", 30.0)
    health.succeeded("a")
    assert health.available("a", 30.0) is None


def test_an_upstreams_retry_after_is_kept_and_the_longer_rest_wins() -> None:  # D9
    health = _health()
    health.rest("a", 60.0, 100.0)
    health.rest("a", 5.0, 101.0)
    assert health.available("a", 159.9) == "resting"
    assert health.seconds_until_available("a", 150.0) == 10.0
    assert health.available("a", 160.0) is None
    assert health.available("b", 101.0) is None


@pytest.mark.parametrize(
    ("allowed", "gap", "may_rest", "rests"),
    [(2, 1.0, True, True), (2, 40.0, True, False), (2, 1.0, False, False), (0, 1.0, True, True), (3, 1.0, True, False)],
)  # fmt: skip
def test_more_than_allowed_fails_in_a_minute_rest_for_the_cooldown(
    allowed: int, gap: float, may_rest: bool, rests: bool
) -> None:
    health = _health(allowed_fails=allowed, cooldown_seconds=7.0)
    now = 0.0
    for _ in range(3):
        now += gap
        health.failed("a", now, may_rest=may_rest)
    assert health.available("a", now + 6.9) == ("resting" if rests else None)
    assert health.available("a", now + 7.0) is None


def test_open_and_closed_elsewhere_are_open_and_closed_here() -> None:  # H4
    health = _health()
    assert health.apply(write_change("a", State.OPEN), 50.0) == ("a", State.OPEN)
    assert health.available("a", 79.0) == "breaker open"
    assert health.available("a", 80.0) is None
    assert health.apply(write_change("a", State.CLOSED), 60.0) == ("a", State.CLOSED)
    assert health.available("a", 60.0) is None


def test_while_another_worker_probes_this_one_waits() -> None:  # H4
    health = _health()
    health.apply("a=OPEN", 50.0)
    assert health.apply("a=HALF_OPEN", 80.0) is None
    assert health.available("a", 80.0) == "breaker open"
    # It may have died with its probe: this worker tries in the end.
    assert health.available("a", 110.0) is None
    # Its probe failed: the wait begins anew.
    health.apply("a=OPEN", 81.0)
    assert health.available("a", 110.0) == "breaker open"


def test_anothers_news_does_not_end_a_probe_under_way_unless_it_is_good() -> None:
    health = _health()
    health.apply("a=OPEN", 0.0)
    ticket = health.begin("a", 30.0)
    assert health.apply("a=OPEN", 31.0) is None
    assert health.breakers["a"].state is State.HALF_OPEN
    health.succeeded("a", ticket)
    assert health.available("a", 32.0) is None


def test_a_probe_elsewhere_opens_nothing_here() -> None:
    health = _health()
    assert health.apply("a=HALF_OPEN", 1.0) is None
    assert health.available("a", 1.0) is None


@given(
    st.one_of(
        st.text(),
        st.sampled_from(["", "=", "a=", "=OPEN", "a=open", "a=OPEN ", "c=OPEN", "a=SHUT", "a OPEN", "a=b=OPEN"]),
    )
)  # fmt: skip
def test_garbage_from_another_worker_changes_nothing(value: str) -> None:  # H4
    health = _health()
    change = read_change(value)
    if change is None or change[0] not in health.breakers:
        assert health.apply(value, 1.0) is None
        assert all(breaker.state is State.CLOSED for breaker in health.breakers.values())


@given(st.text(), st.sampled_from(list(State)))
def test_a_change_reads_as_it_was_written(name: str, state: State) -> None:
    assert read_change(write_change(name, state)) == (name, state)


def test_an_operator_is_told_the_state_and_a_rest_before_it() -> None:  # M5
    health = _health(allowed_fails=0, cooldown_seconds=5.0)
    assert health.shown("a", 1.0) == "closed"
    health.failed("a", 1.0, may_rest=True)
    assert [health.shown("a", at) for at in (1.0, 5.9, 6.1)] == ["resting", "resting", "closed"]
    for _ in range(FAILURES):
        health.failed("b", 2.0, may_rest=False)
    assert health.shown("b", 2.0) == "open"
    health.begin("b", 40.0)
    assert health.shown("b", 40.0) == "half_open"
    assert health.shown("made a moment ago", 1.0) == "closed"
    assert "made a moment ago" not in health.breakers
