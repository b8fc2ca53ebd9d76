"""Step 4: deployments are asked until one answers: deadlines, retries, fallbacks, breakers (D9, G2, G9).

The commit point: a stream counts as answered with its first event, which is awaited here before the caller is told
anything. After it, nothing is tried again. What is tried next is decided in `pipeline.retry`.

Four deadlines: the connection's (the upstream's own), the first event of a stream, the pause between two events, and
the whole: per attempt the deployment's, over all attempts `total_seconds`.
"""

import asyncio
import itertools
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.egress.given import GIVEN
from routeiq_appliance.errors import CallError, UpstreamError
from routeiq_appliance.pipeline.attempt import OpenAttempt, Watchers
from routeiq_appliance.pipeline.committed import Events, committed
from routeiq_appliance.pipeline.deadline import Deadline
from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.model_limits import ModelLimits
from routeiq_appliance.pipeline.retry import backoff_ceiling, following_groups, may_try_next, may_try_same
from routeiq_appliance.pipeline.route import Route
from routeiq_appliance.pipeline.types import AUTO, Call, Decision, Deployment, Principal, Tally
from routeiq_appliance.state.shared.interface import Admission, Scope, Settlement
from routeiq_appliance.telemetry.tracing import AttemptSpan, RequestSpan
from routeiq_appliance.upstreams.faults import broken, not_begun, timed_out
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Caller", "Work"]

_Answer = TypeVar("_Answer")
_Once = Callable[["Work", Deployment, OpenAttempt, AttemptSpan], Awaitable[_Answer]]


class Work:
    """One call under way, as far as calling needs it. `tokens`: what it was admitted for; `limits`: its key's."""

    __slots__ = (
        "attempt", "call", "decision", "ends_at", "events", "limits", "principal", "span", "tally", "tokens",
    )  # fmt: skip

    def __init__(
        self,
        principal: Principal,
        call: Call,
        decision: Decision,
        tally: Tally,
        span: RequestSpan,
        tokens: int,
        limits: ModelLimits | None = None,
    ) -> None:
        self.principal = principal
        self.call = call
        self.decision = decision
        self.tally = tally
        self.span = span
        self.tokens = tokens
        self.limits = limits
        self.ends_at = 0.0
        self.attempt: OpenAttempt | None = None
        self.events: Events | None = None

    async def close(self) -> None:
        """End what is still open: a generator that was never asked for its first item runs none of its own clean-up."""
        if self.attempt is not None:
            self.attempt.abandoned()
        if self.events is not None:
            await self.events.aclose()


class Caller:
    """One per worker."""

    def __init__(
        self,
        upstream: Upstream,
        route: Route,
        policy: CallPolicy,
        watchers: Watchers,
        *,
        total_seconds: float,
        draw: Callable[[float, float], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._upstream = upstream
        self._route = route
        self._policy = policy
        self._watchers = watchers
        self._total_seconds = total_seconds
        self._draw = draw or random.SystemRandom().uniform
        self._sleep = sleep
        self._clock = clock
        self._scopes = {
            member.id: Scope(f"deployment:{member.id}", member.rpm, member.tpm, member.parallel)
            for members in route.groups.values()
            for member in members
            if member.rpm or member.tpm or member.parallel
        }

    def complete(self, work: Work) -> Coroutine[Any, Any, dict[str, Any]]:
        """Return the whole answer; raises `CallError`."""
        return self._until_answered(work, self._complete_once)

    def open_stream(self, work: Work) -> Coroutine[Any, Any, Events]:
        """Return the events once the first one is there; raises `CallError`."""
        return self._until_answered(work, self._stream_once)

    async def _until_answered(self, work: Work, once: _Once[_Answer]) -> _Answer:
        work.ends_at = self._clock() + self._total_seconds
        decision = work.decision
        group, deployments = decision.group, decision.deployments
        seen = {group}
        waiting: list[str] = []
        told: UpstreamError | None = None
        ranking = [name for name, _ in decision.ranking] if work.call.asked == AUTO else []
        while True:
            try:
                return await self._ask_group(work, deployments, once)
            except UpstreamError as error:
                told = told or error
                following = following_groups(
                    error.fault, first=decision.group, failed=group, ranking=ranking, policy=self._policy
                )
            waiting = [name for name in (*following, *waiting) if name not in seen]
            deployments = ()
            while waiting and not deployments and self._clock() < work.ends_at:
                group = waiting.pop(0)
                seen.add(group)
                deployments = await self._fallback(work, group)
            if not deployments:
                raise told

    async def _fallback(self, work: Work, group: str) -> tuple[Deployment, ...]:
        """Return the deployments of `group` that may answer in place of what failed; none when it may not go there."""
        if not self._route.answers(work.principal, work.call, group):
            return ()
        try:
            deployments = self._route.deployments(group, work.call)[0]
        except CallError:  # none for these tags, or none that the policy allows: another group may have one
            return ()
        if work.limits is not None and await work.limits.refusal(group) is not None:
            return ()
        return deployments

    async def _ask_group(
        self, work: Work, deployments: Sequence[Deployment], once: _Once[_Answer]
    ) -> _Answer:
        tried: set[str] = set()
        last: UpstreamError | None = None
        for number in itertools.count():
            deployment = self._pick(deployments, tried, last)
            if deployment is None or number > deployments[0].retries:
                raise last or self._none_left(deployments)
            if deployment.id in tried:
                pause = max(self._policy.retry_after, self._draw(0.0, backoff_ceiling(number)))
                await self._sleep(min(pause, max(0.0, work.ends_at - self._clock())))
            if self._clock() >= work.ends_at:
                raise last or timed_out(self._total_seconds)
            tried.add(deployment.id)
            try:
                return await self._ask(work, deployment, once, number, may_rest=len(deployments) > 1)
            except UpstreamError as error:
                last = error
                if not may_try_next(error.fault):
                    raise
        raise AssertionError("unreachable")

    def _pick(
        self, deployments: Sequence[Deployment], tried: set[str], last: UpstreamError | None
    ) -> Deployment | None:
        """Return the first that was not tried; when all were, the first again if the fault lets it."""
        now = self._clock()
        free = [d for d in deployments if self._watchers.health.available(d.id, now) is None]
        fresh = next((d for d in free if d.id not in tried), None)
        if fresh is not None or last is None or not may_try_same(last.fault):
            return fresh
        return free[0] if free else None

    def _none_left(self, deployments: Sequence[Deployment]) -> UpstreamError:
        now = self._clock()
        waits = [self._watchers.health.seconds_until_available(d.id, now) for d in deployments]
        after = max(1, round(min(waits))) if waits else None
        return UpstreamError(
            "unavailable", 503, "no deployment of the model can take a call at the moment", retry_after=after
        )

    async def _ask(
        self, work: Work, deployment: Deployment, once: _Once[_Answer], number: int, *, may_rest: bool
    ) -> _Answer:
        grant = None
        scope = self._scopes.get(deployment.id)
        if scope is not None:
            verdict = await self._watchers.shared.admit(
                Admission(f"{work.call.id}.{number}", (scope,), work.tokens, 0, self._total_seconds + 60)
            )
            if verdict.refusal is not None:
                after = max(1, round(verdict.refusal.retry_after or 1))
                raise UpstreamError(
                    "rate_limited", 429, "the model is at the limit configured for it", retry_after=after
                )
            grant = verdict.grant
        if self._watchers.health.available(deployment.id, self._clock()) is not None:
            # Since it was picked, there was a pause, or its limits were asked: another call probes it, or it rests.
            if grant is not None:
                self._watchers.shared.settle(Settlement(grant, 0, 0))
            raise self._none_left((deployment,))
        span = work.span.attempt(deployment)
        attempt = work.attempt = OpenAttempt(self._watchers, deployment, work.tally, span, grant)
        try:
            if deployment.given is not None:
                GIVEN.set(deployment.given)
            return await once(work, deployment, attempt, span)
        except UpstreamError as error:
            attempt.failed(error, may_rest=may_rest)
            raise
        except BaseException:
            attempt.abandoned()
            raise
        finally:
            if deployment.given is not None:
                GIVEN.set(None)

    async def _complete_once(
        self, work: Work, deployment: Deployment, attempt: OpenAttempt, span: AttemptSpan
    ) -> dict[str, Any]:
        seconds = min(deployment.timeout, work.ends_at - self._clock())
        try:
            with Deadline(seconds):
                body = await self._upstream.complete(deployment, work.call, span.headers)
        except TimeoutError:
            raise timed_out(seconds) from None
        DIALECTS[work.call.kind].note_usage(body, work.tally)
        work.tally.worked = True
        attempt.answered()
        return body

    async def _stream_once(
        self, work: Work, deployment: Deployment, attempt: OpenAttempt, span: AttemptSpan
    ) -> Events:
        events = work.events = self._upstream.stream(deployment, work.call, span.headers)
        now = self._clock()
        seconds = min(deployment.timeout, work.ends_at - now)
        try:
            with Deadline(min(deployment.first_token_timeout, seconds)):
                first = await anext(events, None)
        except TimeoutError:
            await events.aclose()
            late = deployment.first_token_timeout
            raise (not_begun(late) if late < seconds else timed_out(seconds)) from None
        except BaseException:
            await events.aclose()
            raise
        if first is None:
            raise broken()
        work.tally.worked = True
        work.tally.first_token_seconds = self._total_seconds - (work.ends_at - self._clock())
        return committed(
            first, events, attempt, work.tally, DIALECTS[work.call.kind].note_usage,
            idle=deployment.stream_timeout, whole=seconds, waited=self._clock() - now,
        )  # fmt: skip
