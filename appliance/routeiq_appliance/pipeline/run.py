"""Walks one call through the steps after authentication; settles it once, whatever happens."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.admit import admit
from routeiq_appliance.pipeline.call import complete, open_stream
from routeiq_appliance.pipeline.relay import relay_body, relay_events
from routeiq_appliance.pipeline.route import Route
from routeiq_appliance.pipeline.settle import ledger_row
from routeiq_appliance.pipeline.types import Call, Decision, Principal, Tally
from routeiq_appliance.state.ledger import Ledger
from routeiq_appliance.telemetry.metrics import Metrics
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Exchange", "Pipeline"]

_LOG = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


class Exchange:
    """One call under way; `decision` is there after `complete` or `open_stream` began to call."""

    def __init__(self, route: Route, upstream: Upstream, principal: Principal, call: Call) -> None:
        self._route = route
        self._upstream = upstream
        self.principal = principal
        self.call = call
        self.decision: Decision | None = None
        self.tally = Tally()

    async def complete(self) -> dict[str, Any]:
        """Return the whole answer; raises `CallError`."""
        decision = self.decision = await self._route.decide(self.principal, self.call)
        return relay_body(
            await complete(self._upstream, decision.deployment, self.call), decision, self.tally
        )

    async def open_stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Return the events, the first of which has arrived; raises `CallError`."""
        decision = self.decision = await self._route.decide(self.principal, self.call)
        events = await open_stream(self._upstream, decision.deployment, self.call)
        return relay_events(events, self.call, decision, self.tally)

    def answered(self) -> None:
        """Note that the caller has the whole answer."""
        self.tally.status, self.tally.outcome = 200, "answered"

    def broken(self, outcome: str, status: int) -> None:
        """Note that the call ended otherwise."""
        self.tally.status, self.tally.outcome = status, outcome


class Pipeline:
    """Holds what the steps need; one per worker."""

    def __init__(
        self,
        route: Route,
        upstream: Upstream,
        ledger: Ledger,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.route = route
        self._upstream = upstream
        self._ledger = ledger
        self._metrics = metrics
        self._now = now

    @asynccontextmanager
    async def exchange(self, principal: Principal, call: Call) -> AsyncIterator[Exchange]:
        """Admit a call; on leaving, one ledger row, one log line and the metrics are written."""
        exchange = Exchange(self.route, self._upstream, principal, call)
        try:
            admit(ledger_has_room=self._ledger.has_room)
            with self._metrics.in_flight(stream=call.stream):
                yield exchange
        except CallError as error:
            exchange.broken(error.code or error.kind, error.status)
            raise
        finally:
            self._settle(exchange)

    def _settle(self, exchange: Exchange) -> None:
        row = ledger_row(
            exchange.call, exchange.principal, exchange.decision, exchange.tally, now=self._now()
        )
        self._ledger.record(to_json(row))
        self._metrics.settled(row)
        shown = {key: value for key, value in row.items() if key not in {"started_at", "decision"}}
        _LOG.info("call", extra={**shown, "decision": row["decision"]})
