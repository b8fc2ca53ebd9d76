"""One try of one deployment: tells health, load, limits, trace and tally how it began and how it ended, once."""

import time

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.pipeline.retry import FAILURES
from routeiq_appliance.pipeline.types import Attempt, Deployment, Tally
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.breaker import Health
from routeiq_appliance.state.shared.interface import Grant, Settlement, SharedState
from routeiq_appliance.telemetry.tracing import AttemptSpan

__all__ = ["OpenAttempt", "Watchers"]


class Watchers:
    """Who is told about attempts; one per worker."""

    __slots__ = ("board", "health", "shared")

    def __init__(self, health: Health, board: Board, shared: SharedState) -> None:
        self.health = health
        self.board = board
        self.shared = shared


class OpenAttempt:
    """Begins when made; exactly one of `answered`, `failed` and `abandoned` ends it."""

    __slots__ = ("_grant", "_open", "_span", "_started", "_tally", "_ticket", "_watchers", "deployment")

    def __init__(
        self, watchers: Watchers, deployment: Deployment, tally: Tally, span: AttemptSpan, grant: Grant | None
    ) -> None:
        self.deployment = deployment
        self._watchers = watchers
        self._tally = tally
        self._span = span
        self._grant = grant
        self._started = time.monotonic()
        self._open = True
        tally.deployment = deployment
        self._ticket = watchers.health.begin(deployment.id, self._started)
        watchers.board.begin(deployment.id)

    def answered(self) -> None:
        """The answer is whole."""
        if self._open:
            self._watchers.health.succeeded(self.deployment.id, self._ticket)
            self._end("answered", failed=False)

    def failed(self, error: UpstreamError, *, may_rest: bool) -> None:
        """The upstream failed. `may_rest`: another deployment can take its calls while it rests."""
        if not self._open:
            return
        now = time.monotonic()
        health = self._watchers.health
        if error.fault in FAILURES:
            health.failed(self.deployment.id, now, may_rest=may_rest, ticket=self._ticket)
        elif error.fault == "rate_limited":
            health.abandoned(self.deployment.id, self._ticket)
            if may_rest:
                health.rest(self.deployment.id, float(error.retry_after or 1), now)
        else:
            health.succeeded(self.deployment.id, self._ticket)  # it judged the request: it is well
        self._end(error.code or error.fault, failed=True)

    def abandoned(self) -> None:
        """The caller left, or the gateway stops: says nothing about the upstream, which has worked all the same."""
        if self._open:
            self._watchers.health.abandoned(self.deployment.id, self._ticket)
            self._tally.worked = True
            self._end("cancelled", failed=True)

    def _end(self, outcome: str, *, failed: bool) -> None:
        self._open = False
        tally = self._tally
        seconds = time.monotonic() - self._started
        tokens = tally.prompt_tokens + tally.completion_tokens
        tally.attempts.append(Attempt(self.deployment, outcome, seconds))
        self._watchers.board.end(
            self.deployment.id,
            seconds=seconds,
            tokens=tokens,
            completion_tokens=tally.completion_tokens,
            failed=failed,
        )
        if self._grant is not None:
            self._watchers.shared.settle(Settlement(self._grant, tokens, 0))
        self._span.end(outcome=outcome, tally=None if failed else tally)
