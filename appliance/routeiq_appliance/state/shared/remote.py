"""Limits that all workers share, in Redis: what one asks, what becomes of the answer, and what is made up for later.

Every answer has one of three ends: it decides; Redis had forgotten the scripts, and they are loaded again; or the
connection is over, this worker decides alone (`outage`), and what Redis may not know waits in the backlog.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import hiredis

from routeiq_appliance.state.shared.backlog import Backlog, Debt
from routeiq_appliance.state.shared.interface import Admission, Grant, Refusal, Scope, Settlement, Verdict
from routeiq_appliance.state.shared.limits import RETRY_SECONDS
from routeiq_appliance.state.shared.outage import Outage
from routeiq_appliance.state.shared.plan import Plan, spend_key
from routeiq_appliance.state.shared.scripts import Script
from routeiq_appliance.state.shared.spending import Pair, Spending
from routeiq_appliance.state.shared.wire import Wire

__all__ = ["SharedLimits", "ignore"]

_LOG = logging.getLogger(__name__)
_ALIVE_MS = 10_000
_MARKER_MS = 3_600_000
_MAX_PLANS = 5_000
_WORKERS = "routeiq:workers"


class SharedLimits:
    """`wire` tells the connection, None in an outage. `clock` in Unix seconds; None is Redis's own."""

    def __init__(
        self,
        spending: Spending,
        scripts: dict[str, Script],
        wire: Callable[[], Wire | None],
        *,
        worker: str,
        clock: Callable[[], float] | None,
    ) -> None:
        self._spending = spending
        self._scripts = scripts
        self._admit, self._settle = scripts["admit"].sha, scripts["settle"].sha
        self._wire = wire
        self._worker = worker
        self._clock = clock
        self._wall = clock or time.time
        self._outage = Outage(spending, clock=self._wall)
        self._backlog = Backlog(worker)
        self._plans: dict[tuple[Scope, ...], Plan] = {}

    async def admit(self, admission: Admission) -> Verdict:
        """Ask Redis, or decide alone."""
        plan = self._plan(admission.scopes)
        if not plan.limited:
            return Verdict(Grant(admission), None, ())
        seeds: dict[Pair, int | None] | None = None
        for _ in range(3):
            reply = await self._ask(admission, plan, seeds)
            if reply is None:
                break
            if isinstance(reply, hiredis.ReplyError):
                continue
            verdict = plan.read(reply, admission, self._spending)
            if verdict is not None:
                return verdict
            unknown = plan.unknown(reply)
            found = await self._spending.read([(scope.name, scope.period) for scope in unknown])
            seeds = seeds or {}
            for scope in unknown:
                pair = (scope.name, scope.period)
                seeds[pair] = found.get(pair)
                if seeds[pair] is None and scope.fail_closed:
                    return Verdict(None, Refusal(scope.name, "unknown", 0, RETRY_SECONDS), ())
            self._backlog.doubt(found, self._wall())
        return await self._outage.admit(admission, plan.limited)

    def settle(self, settlement: Settlement) -> None:
        """Tell Redis, now or when it is back."""
        if settlement.grant.local:
            self._outage.settle(settlement)
            return
        plan = self._plan(settlement.grant.admission.scopes)
        if plan.limited:
            for pair in plan.pairs:
                self._spending.add(pair, settlement.cost)
            self._send_settlement(plan, settlement)

    async def say_alive(self, wire: Wire) -> None:
        """Beat; raises as `Wire.ask`."""
        beat = ("EVALSHA", self._scripts["beat"].sha, 1, _WORKERS, self._now(), self._worker, _ALIVE_MS)
        seen, workers = await wire.ask(beat)
        self._saw(seen)
        self._outage.saw(workers)

    def catch_up(self, wire: Wire) -> None:
        """Tell Redis what was settled and spent while it was away."""
        self.pay(wire)
        for _ in range(len(self._backlog.settlements)):
            unsent = self._backlog.settlements.popleft()
            plan = self._plan(unsent.settlement.grant.admission.scopes)
            self._send_settlement(plan, unsent.settlement, unsent.since)

    def leave(self, wire: Wire) -> None:
        """Tell what is left to tell."""
        self.pay(wire)
        wire.send(("ZREM", _WORKERS, self._worker), ignore)

    def pay(self, wire: Wire) -> None:
        """Add what local calls cost."""
        self._backlog.owe(self._outage.owed)
        for _ in range(len(self._backlog.debts)):
            debt = self._backlog.debts.popleft()
            keys = [debt.marker, *(spend_key(pair) for pair, _ in debt.costs)]
            costs = [cost for _, cost in debt.costs]
            owe = self._scripts["owe"].sha
            command = ("EVALSHA", owe, len(keys), *keys, debt.since, _MARKER_MS, *costs)
            wire.send(command, partial(self._paid, wire, debt))

    def _paid(self, wire: Wire, debt: Debt, reply: Any) -> None:
        if type(reply) is list:
            self._backlog.doubt([debt.costs[number - 1][0] for number in reply], self._wall())
            return
        self._backlog.debts.append(debt)
        if isinstance(reply, hiredis.ReplyError):
            self._reload(wire, reply)

    async def put_right(self, wire: Wire) -> None:
        """Compare doubtful spend with the ledger."""
        due = self._backlog.due(self._wall())
        told = await self._spending.ledger(due) if due else None
        if told is not None:
            keys = [spend_key(pair) for pair in due]
            amounts = [told[pair] for pair in due]
            await wire.ask(("EVALSHA", self._scripts["raise"].sha, len(keys), *keys, self._now(), *amounts))
            self._backlog.checked(due, self._wall())

    def _saw(self, now: int) -> None:
        if self._outage.owed:
            # It was spent after Redis was last heard of, not after this.
            self._backlog.owe(self._outage.owed)
        self._backlog.seen = now

    def _now(self) -> object:
        """Return what scripts take for now; empty is Redis's own clock."""
        return "" if self._clock is None else int(self._clock() * 1000)

    def _plan(self, scopes: tuple[Scope, ...]) -> Plan:
        plan = self._plans.get(scopes)
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[scopes] = Plan(scopes)
        return plan

    async def _ask(self, admission: Admission, plan: Plan, seeds: dict[Pair, int | None] | None) -> Any:
        """Return the answer of `admit.lua`, an error after which to ask again, None when there is no answer."""
        wire = self._wire()
        if wire is None:
            return None
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        command = ("EVALSHA", self._admit, *plan.admit(admission, self._now(), seeds))
        wire.send(command, partial(self._answered, answer, admission))
        try:
            reply = await answer
        except asyncio.CancelledError:
            if answer.done() and not answer.cancelled():  # the answer came first
                self._give_back(admission, answer.result())
            raise
        return None if isinstance(reply, hiredis.ReplyError) and not self._reload(wire, reply) else reply

    def _answered(self, answer: asyncio.Future[Any], admission: Admission, reply: Any) -> None:
        if type(reply) is list:
            self._saw(reply[1])
            if not answer.done():
                answer.set_result(reply)
            else:
                self._give_back(admission, reply)
            return
        if not isinstance(reply, hiredis.ReplyError):
            # Redis may have granted it.
            self._backlog.keep(Settlement(Grant(admission), 0, 0))
            reply = None
        if not answer.done():
            answer.set_result(reply)

    def _give_back(self, admission: Admission, reply: Any) -> None:
        """Settle what was granted to a caller who has left: nobody else would."""
        if type(reply) is list and reply[0] == 1:
            self._send_settlement(self._plan(admission.scopes), Settlement(Grant(admission), 0, 0))

    def _send_settlement(self, plan: Plan, settlement: Settlement, since: object = "") -> None:
        wire = self._wire()
        if wire is None:
            self._backlog.keep(settlement)
            return
        command = ("EVALSHA", self._settle, *plan.settle(settlement, self._now(), since))
        # A slot is given back before the caller has its last byte; money and tokens are reserved until then anyway.
        wire.send(command, partial(self._settled, wire, plan, settlement), urgent=plan.parallel)

    def _settled(self, wire: Wire, plan: Plan, settlement: Settlement, reply: Any) -> None:
        if type(reply) is int:
            if reply:
                self._backlog.doubt(plan.pairs, self._wall())
        elif isinstance(reply, hiredis.ReplyError) and self._reload(wire, reply):
            self._send_settlement(plan, settlement)
        else:
            self._backlog.keep(settlement)

    def _reload(self, wire: Wire, error: hiredis.ReplyError) -> bool:
        """Load scripts that Redis has forgotten; any other error ends the connection, and is False."""
        if not str(error).startswith("NOSCRIPT"):
            _LOG.warning("redis refused a command", extra={"error": str(error)[:200]})
            wire.abort()
            return False
        for script in self._scripts.values():
            wire.send(("SCRIPT", "LOAD", script.text), ignore)
        return True


def ignore(reply: Any) -> None:
    """Take an answer that tells nothing."""
