"""Shared state of several workers and replicas, in Redis: one primary, or one behind Sentinel; not a cluster.

While Redis is away, limits are this worker's share (a worker's part of those last seen alive), budgets go on from the
last known spend, scopes that `fail_closed` refuse, and the block list stays as it was. What was spent and given back
meanwhile is sent when Redis is back. Keys want `noeviction`: an evicted lease would free a slot too early (H17); spend
may go, it is read from the ledger again.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from routeiq_appliance.state.shared.commands import AwayError, Commands, Script
from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    LoadSpend,
    Notice,
    Refusal,
    Scope,
    Settlement,
    Standing,
    Verdict,
)
from routeiq_appliance.state.shared.local import LocalShare
from routeiq_appliance.state.shared.memory import is_limited
from routeiq_appliance.state.shared.news import News
from routeiq_appliance.state.shared.scripts import (
    ADD,
    ADMIT,
    BEAT,
    FORGET,
    KINDS,
    SEED,
    SETTLE,
    keys_of,
)
from routeiq_appliance.state.shared.spend_source import SpendSource

__all__ = ["RedisState"]

_LOG = logging.getLogger(__name__)
_BEAT_SECONDS = 2.0
_ALIVE_SECONDS = 10.0
_MAX_PAUSE_SECONDS = 2.0
_BACKLOG = 20_000
"""Settlements kept for Redis's return; beyond them leases end by themselves, and only the money is sent."""
_WORKERS = "routeiq:workers"


class RedisState:
    """Implements `SharedState`. `seconds`: how long an answer may take before Redis counts as away."""

    def __init__(
        self,
        url: str,
        load_spend: LoadSpend,
        *,
        worker_id: str,
        seconds: float = 0.25,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._admit, self._settle, self._seed = Script(ADMIT), Script(SETTLE), Script(SEED)
        self._add, self._forget, self._beat = Script(ADD), Script(FORGET), Script(BEAT)
        scripts = (self._admit, self._settle, self._seed, self._add, self._forget, self._beat)
        self._commands = Commands(url, scripts, seconds=seconds)
        self._news = News(url)
        self._spend = SpendSource(load_spend)
        self._local = LocalShare(self._spend, clock=clock)
        self._worker_id = worker_id
        self._clock = clock
        self._backlog: deque[tuple[tuple[Scope, ...], str, int, int]] = deque()
        self._owed: Counter[tuple[str, int]] = Counter()
        self._keeper: asyncio.Task[None] | None = None
        self._away = asyncio.Event()

    @property
    def degraded(self) -> bool:
        """See `SharedState.degraded`."""
        return not self._commands.connected

    async def start(self) -> None:
        """See `SharedState.start`."""
        with contextlib.suppress(AwayError):
            await self._come_back()
        await self._news.start()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """See `SharedState.close`."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        await self._news.close()
        await self._commands.close()

    async def admit(self, admission: Admission) -> Verdict:
        """See `SharedState.admit`."""
        limited = [scope for scope in admission.scopes if is_limited(scope)]
        if not limited:
            return Verdict(Grant(admission), None, ())
        try:
            verdict = await self._ask(admission, limited)
            if verdict is None:
                verdict = await self._ask_again(admission, limited)
        except AwayError as error:
            self._away.set()
            if error.sent:
                # Redis may have granted it: nobody would give that lease back.
                self._keep_for_later(tuple(limited), admission.call_id, 0, 0)
            return await self._local.admit(admission, limited)
        return verdict

    def settle(self, settlement: Settlement) -> None:
        """See `SharedState.settle`."""
        grant = settlement.grant
        admission = grant.admission
        limited = tuple(scope for scope in admission.scopes if is_limited(scope))
        if not limited:
            return
        for scope in limited:
            self._spend.add(scope.name, scope.period, settlement.cost)
        if grant.local:
            self._local.settle(settlement)
            for scope in limited:
                self._owed[scope.name, scope.period] += settlement.cost
        else:
            self._send_settlement(limited, admission.call_id, settlement.tokens, settlement.cost)

    async def release_budget(self, pairs: Sequence[tuple[str, int]]) -> None:
        """See `SharedState.release_budget`."""
        keys = [keys_of(name)[0] for name, _ in pairs]
        with contextlib.suppress(AwayError):
            await self._commands.run(self._forget, keys, [period for _, period in pairs])

    async def recall(self, conversation: str) -> str | None:
        """See `SharedState.recall`."""
        try:
            kept = await self._commands.ask("GET", f"routeiq:affinity:{conversation}")
        except AwayError:
            return None
        return kept.decode() if isinstance(kept, bytes) else None

    def remember(self, conversation: str, value: str, *, seconds: int) -> None:
        """See `SharedState.remember`."""
        self._commands.ask("SET", f"routeiq:affinity:{conversation}", value, "EX", seconds)

    def publish(self, notice: Notice) -> None:
        """See `SharedState.publish`. This worker hears of it at once, whatever becomes of Redis."""
        self._news.publish(notice, self._commands)

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """See `SharedState.subscribe`."""
        self._news.subscribe(listener)

    async def block(self, key_id: str) -> None:
        """See `SharedState.block`."""
        await self._news.block(key_id, self._commands, now=self._clock())

    async def unblock(self, key_id: str) -> None:
        """See `SharedState.unblock`."""
        await self._news.unblock(key_id, self._commands)

    def is_blocked(self, key_id: str) -> bool:
        """See `SharedState.is_blocked`."""
        return key_id in self._news.blocked

    def active_strategy(self) -> str | None:
        """See `SharedState.active_strategy`."""
        return self._news.strategy

    async def _ask(self, admission: Admission, limited: Sequence[Scope]) -> Verdict | None:
        """Return Redis's verdict, None when it does not know the spend; then the ledger was asked and Redis told."""
        now = self._clock()
        keys: list[str] = []
        arguments: list[object] = [
            int(now * 1000),
            admission.call_id,
            admission.tokens,
            admission.cost,
            int(admission.lease_seconds * 1000),
        ]
        for scope in limited:
            keys += keys_of(scope.name)
            limits = (scope.rpm, scope.tpm, scope.parallel, scope.budget)
            arguments += ["" if limit is None else limit for limit in limits]
            arguments.append(scope.period)
        answer = await self._commands.run(self._admit, keys, arguments)
        if answer[0] == 0:
            return self._granted(admission, limited, answer, now)
        if answer[0] == 1:
            scope, kind = limited[answer[1] - 1], KINDS[answer[2] - 1]
            after = {"parallel": 1.0, "budget": None}.get(kind, answer[3] / 1000)
            limit = {
                "requests": scope.rpm,
                "tokens": scope.tpm,
                "parallel": scope.parallel,
                "budget": scope.budget,
            }[kind]
            return Verdict(None, Refusal(scope.name, kind, limit or 0, after), ())
        await self._tell_spend([limited[number - 1] for number in answer[1:]])
        return None

    async def _ask_again(self, admission: Admission, limited: Sequence[Scope]) -> Verdict:
        verdict = await self._ask(admission, limited)
        if verdict is not None:
            return verdict
        # The ledger is away too, and nobody knows what was spent: as in an outage of Redis.
        return await self._local.admit(admission, limited)

    def _granted(
        self, admission: Admission, limited: Sequence[Scope], answer: Sequence[bytes | int], now: float
    ) -> Verdict:
        standings: list[Standing] = []
        for number, scope in enumerate(limited):
            window, requests, tokens, spent = answer[1 + 4 * number : 5 + 4 * number]
            if spent:
                self._spend.note(scope.name, scope.period, int(spent))
            if scope.rpm is not None or scope.tpm is not None:
                standings.append(
                    Standing(
                        scope.name,
                        None if scope.rpm is None else max(0, scope.rpm - int(requests)),
                        None if scope.tpm is None else max(0, scope.tpm - int(tokens)),
                        max(0.0, int(window) / 1000 + 60.0 - now),
                    )
                )
        return Verdict(Grant(admission), None, tuple(standings))

    async def _tell_spend(self, scopes: Sequence[Scope]) -> None:
        found = await self._spend.load([(scope.name, scope.period) for scope in scopes])
        if found is None:
            return
        keys = [keys_of(name)[0] for name, _ in found]
        arguments = [number for (_, period), spent in found.items() for number in (period, spent)]
        await self._commands.run(self._seed, keys, arguments)

    def _send_settlement(self, scopes: tuple[Scope, ...], call_id: str, tokens: int, cost: int) -> None:
        if not self._commands.connected:
            self._keep_for_later(scopes, call_id, tokens, cost)
            return
        keys = [key for scope in scopes for key in keys_of(scope.name)]
        arguments = [call_id, tokens, cost, *(scope.period for scope in scopes)]
        answer = self._commands.run(self._settle, keys, arguments)

        def answered(done: asyncio.Future[object]) -> None:
            error = None if done.cancelled() else done.exception()
            # When it was sent it may be settled; a second time adds its money again, so the lease alone is left to end.
            if isinstance(error, AwayError) and not error.sent:
                self._keep_for_later(scopes, call_id, tokens, cost)

        answer.add_done_callback(answered)

    def _keep_for_later(self, scopes: tuple[Scope, ...], call_id: str, tokens: int, cost: int) -> None:
        if len(self._backlog) < _BACKLOG:
            self._backlog.append((scopes, call_id, tokens, cost))
        else:
            for scope in scopes:
                self._owed[scope.name, scope.period] += cost

    async def _keep(self) -> None:
        """Tell that this worker lives; when Redis is away, try to come back, less and less often."""
        pause = 0.1
        while True:
            try:
                if self._commands.connected:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_BEAT_SECONDS):
                            await self._away.wait()
                    await self._beat_once()
                else:
                    await asyncio.sleep(random.uniform(0.0, pause))  # noqa: S311 - spreads workers, guards nothing
                    await self._come_back()
                    _LOG.info("redis is back")
                pause = 0.1
            except AwayError:
                if not self._away.is_set() or pause == 0.1:
                    _LOG.warning("redis is away: limits are this worker's share")
                pause = min(_MAX_PAUSE_SECONDS, pause * 2)
            self._away.clear()

    async def _come_back(self) -> None:
        await self._commands.connect()
        await self._beat_once()
        owed, self._owed = self._owed, Counter()
        if owed:
            keys = [keys_of(name)[0] for name, _ in owed]
            arguments = [number for (_, period), cost in owed.items() for number in (period, cost)]
            self._commands.run(self._add, keys, arguments)
        backlog, self._backlog = self._backlog, deque()
        for scopes, call_id, tokens, cost in backlog:
            self._send_settlement(scopes, call_id, tokens, cost)
        self._local.forget()

    async def _beat_once(self) -> None:
        now = int(self._clock())
        alive = await self._commands.run(self._beat, [_WORKERS], [now, self._worker_id, int(_ALIVE_SECONDS)])
        self._local.workers = max(1, int(alive))
