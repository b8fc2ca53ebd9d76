"""Walks one call through the steps after authentication; settles it once, whatever happens.

`Exchange.settle` appends the row to the journal before the caller has the last byte, so whatever a caller received is
accounted for even if the worker dies at that moment. `Exchange.close` then frees the slot.
"""

import hashlib
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pydantic_core import to_json

from routeiq_appliance.cache.response import Lookup, ResponseCache
from routeiq_appliance.pipeline.admit import (
    Estimator,
    Room,
    admission_of,
    ratelimit_headers,
    require_room,
    too_much,
)
from routeiq_appliance.pipeline.call import Caller, Work
from routeiq_appliance.pipeline.judge import judged
from routeiq_appliance.pipeline.model_limits import ModelLimits
from routeiq_appliance.pipeline.relay import relay_body, relay_events
from routeiq_appliance.pipeline.route import Route
from routeiq_appliance.pipeline.settle import ledger_row
from routeiq_appliance.pipeline.types import AUTO, Call, Decision, Principal, Tally
from routeiq_appliance.policy.gate import PolicyGate
from routeiq_appliance.routing.why import Embedding
from routeiq_appliance.state.ledger import Ledger
from routeiq_appliance.state.shared.interface import Admission, Settlement, SharedState, Verdict
from routeiq_appliance.telemetry.logs import CallLog
from routeiq_appliance.telemetry.metrics import Metrics
from routeiq_appliance.telemetry.tracing import RequestSpan, Tracer

__all__ = ["Exchange", "Pipeline"]


def _now() -> datetime:
    return datetime.now(UTC)


class Pipeline:
    """Holds what the steps need; one per worker."""

    def __init__(
        self,
        route: Route,
        caller: Caller,
        shared: SharedState,
        ledger: Ledger,
        estimator: Estimator,
        metrics: Metrics,
        tracer: Tracer,
        log: CallLog,
        room: Room,
        *,
        affinity_seconds: int,
        cache: ResponseCache | None = None,
        policy: PolicyGate | None = None,
        keep_embedding: Callable[[str, datetime, Embedding], None] | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.route = route
        self.caller = caller
        self.shared = shared
        self.ledger = ledger
        self.estimator = estimator
        self.metrics = metrics
        self.tracer = tracer
        self.log = log
        self.room = room
        self.affinity_seconds = affinity_seconds
        self.cache = cache
        self.policy = policy
        self.keep_embedding = keep_embedding
        self.now = now

    def replace(self, route: Route, caller: Caller, estimator: Estimator) -> None:
        """Answer calls that begin from now with these; those under way end with what they began with."""
        self.route, self.caller, self.estimator = route, caller, estimator

    async def begin(self, principal: Principal, call: Call) -> "Exchange":
        """Admit a call; raises `CallError` 403, 429 or 503. Whoever gets an exchange must `close` it."""
        require_room(self.room, ledger_has_room=self.ledger.has_room)
        if self.policy is not None:
            judged(self.policy, principal, call, self.metrics, partial(self._denied, principal, call))
        admission = admission_of(call, principal, self.estimator)
        verdict = await self.shared.admit(admission)
        if verdict.refusal is not None:
            raise too_much(verdict.refusal)
        exchange = Exchange(self, principal, call, admission, verdict)
        if call.ruling is not None:
            exchange.span.judged(call.ruling)
        return exchange

    def _denied(self, principal: Principal, call: Call, status: int, outcome: str) -> None:
        """Account for a call that the policy refused."""
        span = self.tracer.request(call.trace_headers, call_id=call.id)
        if call.ruling is not None:
            span.judged(call.ruling)
        tally = Tally(status=status, outcome=outcome)
        row = ledger_row(call, principal, None, tally, now=self.now(), trace_id=span.trace_id)
        raw = to_json(row)
        self.ledger.record(raw)
        self.metrics.settled(row)
        self.log.write(raw, span_id=span.span_id, strategy="policy", model=None)
        span.end(row)


class Exchange:
    """One admitted call; `decision` is there after `complete` or `open_stream` began to call."""

    def __init__(
        self, pipeline: Pipeline, principal: Principal, call: Call, admission: Admission, verdict: Verdict
    ) -> None:
        self._pipeline = pipeline
        self._route = pipeline.route
        self._caller = pipeline.caller
        self._admission = admission
        self._verdict = verdict
        self._limits = ModelLimits(pipeline.shared, principal, admission) if principal.model_limits else None
        self._work: Work | None = None
        self._settled = False
        self._cost = 0
        self._group: str | None = None
        self.principal = principal
        self.call = call
        self.decision: Decision | None = None
        self.tally = Tally()
        self.lookup: Lookup | None = None
        self.span: RequestSpan = pipeline.tracer.request(call.trace_headers, call_id=call.id)
        pipeline.room.running += 1
        self._flight = pipeline.metrics.in_flight(stream=call.stream)
        self._flight.__enter__()

    @property
    def answers(self) -> str:
        """The group that answers; the group decided for, before one does."""
        if self.tally.deployment is not None:
            return self.tally.deployment.group
        return self.decision.group if self.decision is not None else self.call.asked

    def ratelimit_headers(self) -> list[tuple[bytes, bytes]]:
        """Return what the caller is told about its limits."""
        standings = self._verdict.standings
        return ratelimit_headers(self._admission.scopes, standings) if standings else []

    async def complete(self) -> dict[str, Any]:
        """Return the whole answer; raises `CallError`."""
        work = await self._begin_work()
        lookup = None if self._pipeline.cache is None else await self._look(self._pipeline.cache)
        if lookup is not None and lookup.entry is not None:
            return lookup.entry.body()
        body = await self._caller.complete(work)
        answer = relay_body(body, self.call, self.answers, self.tally)
        if lookup is not None:
            lookup.take(answer)
        return answer

    async def open_stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Return the events, the first of which has arrived; raises `CallError`."""
        work = await self._begin_work()
        lookup = None if self._pipeline.cache is None else await self._look(self._pipeline.cache)
        if lookup is not None and lookup.entry is not None:
            return lookup.replay()
        events = await self._caller.open_stream(work)
        relayed = relay_events(events, self.call, self.answers, self.tally)
        return relayed if lookup is None else lookup.watch(relayed)

    def answered(self) -> None:
        """Note that the answer is whole, and account for it: before its last byte is sent."""
        self.tally.status, self.tally.outcome = 200, "answered"
        self._settle()

    def broken(self, outcome: str, status: int) -> None:
        """Note that the call ended otherwise."""
        if not self._settled:
            self.tally.status, self.tally.outcome = status, outcome

    def broke_off(self, outcome: str, status: int) -> None:
        """Note that the stream broke off, and account for it: before the error is sent as its last event."""
        self.broken(outcome, status)
        self._settle()

    async def close(self) -> None:
        """Account for the call if it was not, then free its slot."""
        try:
            if self._work is not None:
                await self._work.close()
        finally:
            try:
                self._settle()
            finally:
                self._free()
            if self.lookup is not None and self.tally.outcome == "answered":
                self.lookup.keep(self.tally)

    def _free(self) -> None:
        pipeline = self._pipeline
        pipeline.room.running -= 1
        self._flight.__exit__(None, None, None)
        tokens = self.tally.prompt_tokens + self.tally.completion_tokens
        if self._verdict.grant is not None:
            pipeline.shared.settle(Settlement(self._verdict.grant, tokens, self._cost))
        if self._limits is not None:
            self._limits.settle(self._group, tokens, self._cost)

    async def _begin_work(self) -> Work:
        decision = await self._decide()
        self._work = Work(
            self.principal, self.call, decision, self.tally, self.span, self._admission.tokens, self._limits
        )
        return self._work

    async def _look(self, cache: ResponseCache) -> Lookup:
        """Ask the cache, after routing: an entry belongs to the group that was decided on."""
        assert self.decision is not None  # noqa: S101 - `_begin_work` decided
        group = self.decision.group
        members = self._route.groups[group]
        self.lookup = await cache.look(self.call, self.principal, group, members)
        self.tally.cached = self.lookup.record()
        return self.lookup

    async def _decide(self) -> Decision:
        pipeline, call = self._pipeline, self.call
        conversation = _conversation(self.principal, call)
        kept = await pipeline.shared.recall(conversation) if conversation else None
        decision = await self._route.decide(
            self.principal, call, kept=kept, live=pipeline.shared.active_strategy()
        )
        if self._limits is not None:
            decision = await self._within(self._limits, decision)
        self.decision = decision
        self.span.decided(decision)
        return decision

    async def _within(self, limits: ModelLimits, decision: Decision) -> Decision:
        """Admit the key to the group's own limits; for `auto`, to the best group that still has room."""
        refusal = await limits.refusal(decision.group)
        if refusal is None:
            return decision
        if self.call.asked == AUTO:
            for group, _ in decision.ranking:
                if group != decision.group and await limits.refusal(group) is None:
                    why = "the key's limit on the first choice is reached"
                    return self._route.instead(decision, group, self.call, why)
        self.decision = decision
        raise too_much(refusal)

    def _settle(self) -> None:
        if self._settled:
            return
        self._settled = True
        pipeline, tally = self._pipeline, self.tally
        row = ledger_row(
            self.call, self.principal, self.decision, tally, now=pipeline.now(), trace_id=self.span.trace_id
        )
        # What settlement adds is what the ledger says.
        tally.prompt_tokens, tally.completion_tokens = row["prompt_tokens"], row["completion_tokens"]
        self._cost, self._group = row["cost"] or 0, row["group"]
        raw = to_json(row)
        pipeline.ledger.record(raw)
        pipeline.metrics.settled(row, tally.attempts)
        strategy = self.decision.strategy if self.decision is not None else None
        pipeline.log.write(raw, span_id=self.span.span_id, strategy=strategy, model=row["group"])
        self.span.end(row)
        why = self.decision.why if self.decision is not None else None
        if why is not None and why.embedding is not None and pipeline.keep_embedding is not None:
            pipeline.keep_embedding(self.call.id, self.call.started_at, why.embedding)
        if tally.status == 200 and tally.deployment is not None and pipeline.affinity_seconds:
            conversation = _conversation(self.principal, self.call)
            if conversation:
                kept = f"{tally.deployment.group}\n{tally.deployment.id}"
                pipeline.shared.remember(conversation, kept, seconds=pipeline.affinity_seconds)


def _conversation(principal: Principal, call: Call) -> str | None:
    """Return the name in shared state: a caller's own word, so hashed, and apart for each team or key."""
    if call.wishes.conversation is None:
        return None
    owner = principal.team_id or principal.key_id
    return hashlib.sha256(f"{owner}\n{call.wishes.conversation}".encode("utf-8", "replace")).hexdigest()[:40]
