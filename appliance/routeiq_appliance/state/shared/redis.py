"""Shared state of several workers and replicas, in Redis 6.2 or later: one primary, alone or behind Sentinel.

Not a cluster: a call's scopes lie in different slots. The state wants `noeviction`: an evicted lease frees a slot too
early (H17). Spend may go at any time, it is read from the ledger again. Limits are counted by Redis's clock.

While Redis is away (an error, or no answer in time) limits are this worker's share of them, budgets go on from the last
known spend, scopes that `fail_closed` refuse, and snapshots stay as they were. No call waits for a Redis that is known
to be away: one task tries to come back. Then Redis is told what was settled, spent, said and remembered meanwhile.
"""

import contextlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from routeiq_appliance.state.shared.interface import Admission, LoadSpend, Notice, Settlement, Verdict
from routeiq_appliance.state.shared.memory import Conversations
from routeiq_appliance.state.shared.news import CHANNEL, News
from routeiq_appliance.state.shared.plan import spend_key
from routeiq_appliance.state.shared.remote import SharedLimits, ignore
from routeiq_appliance.state.shared.scripts import read_scripts
from routeiq_appliance.state.shared.session import Session
from routeiq_appliance.state.shared.spending import Spending
from routeiq_appliance.state.shared.wire import LOST, Wire, WireError, read_address

__all__ = ["RedisState"]

_AFFINITY = "routeiq:affinity:"
_MAX_UNSENT = 10_000


class RedisState:
    """Implements `SharedState`. `timeout`: seconds until an answer counts as missing. `clock` is for tests."""

    def __init__(
        self,
        url: str,
        load_spend: LoadSpend,
        *,
        worker_id: str,
        timeout: float = 0.25,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._wall = clock or time.time
        # A worker that was restarted under its old name is another one.
        worker = f"{worker_id.replace(' ', '-')}-{os.urandom(4).hex()}"
        self._scripts = read_scripts()
        self._spending = Spending(load_spend)
        self._limits = SharedLimits(
            self._spending, self._scripts, lambda: self._session.wire, worker=worker, clock=clock
        )
        self._news = News(worker, self._spending.forget)
        self._unsent: deque[tuple[Any, ...]] = deque(maxlen=_MAX_UNSENT)
        """News for Redis's return."""
        self._lost: deque[tuple[Any, ...]] = deque(maxlen=_MAX_UNSENT)
        """News from before those, sent over a connection that ended: Redis may not have them."""
        self._conversations = Conversations(self._wall)
        self._session = Session(
            read_address(url),
            timeout=timeout,
            set_up=self._set_up,
            beat=self._beat,
            on_push=self._news.on_push,
        )

    @property
    def degraded(self) -> bool:
        """See `SharedState.degraded`."""
        return self._session.wire is None

    async def start(self) -> None:
        """See `SharedState.start`."""
        await self._session.start()

    async def close(self) -> None:
        """See `SharedState.close`."""
        wire = self._session.wire
        if wire is not None:
            self._limits.leave(wire)
        await self._session.close()

    async def admit(self, admission: Admission) -> Verdict:
        """See `SharedState.admit`."""
        return await self._limits.admit(admission)

    def settle(self, settlement: Settlement) -> None:
        """See `SharedState.settle`."""
        self._limits.settle(settlement)

    async def release_budget(self, pairs: Sequence[tuple[str, int]]) -> None:
        """See `SharedState.release_budget`."""
        self._spending.forget(pairs)
        if pairs:
            await self._tell([("DEL", *map(spend_key, pairs)), *self._news.release(pairs)])

    async def recall(self, conversation: str) -> str | None:
        """See `SharedState.recall`; in an outage, what was remembered in it."""
        wire = self._session.wire
        if wire is not None:
            with contextlib.suppress(OSError, WireError):
                kept = await wire.ask(("HGET", _AFFINITY + conversation, "deployment"))
                return kept.decode("utf-8", "replace") if kept is not None else None
        return self._conversations.recall(conversation)

    def remember(self, conversation: str, value: str, *, seconds: int) -> None:
        """See `SharedState.remember`."""
        wire = self._session.wire
        if wire is None:
            self._conversations.remember(conversation, value, seconds=seconds)
        else:
            self._keep(wire, conversation, value, seconds)

    def publish(self, notice: Notice) -> None:
        """See `SharedState.publish`; this worker hears of it at once, the others when Redis is back."""
        self._send_news(self._news.publish(notice, int(self._wall())))

    def subscribe(self, listener: Callable[[Notice], None]) -> None:
        """See `SharedState.subscribe`."""
        self._news.subscribe(listener)

    async def block(self, key_id: str) -> None:
        """See `SharedState.block`."""
        await self._tell(self._news.block(key_id, int(self._wall())))

    async def unblock(self, key_id: str) -> None:
        """See `SharedState.unblock`."""
        await self._tell(self._news.unblock(key_id))

    def is_blocked(self, key_id: str) -> bool:
        """See `SharedState.is_blocked`."""
        return key_id in self._news.blocked

    def active_strategy(self) -> str | None:
        """See `SharedState.active_strategy`."""
        return self._news.strategy

    def _keep(self, wire: Wire, conversation: str, value: str, seconds: int) -> None:
        def kept(reply: Any) -> None:
            if reply is LOST:
                self._conversations.remember(conversation, value, seconds=seconds)

        sha = self._scripts["keep"].sha
        wire.send(
            ("EVALSHA", sha, 1, _AFFINITY + conversation, seconds, "deployment", value), kept, urgent=False
        )

    def _send_news(self, commands: Sequence[tuple[Any, ...]]) -> None:
        wire = self._session.wire
        if wire is None:
            self._unsent.extend(commands)
            return
        self._send_all(wire, commands)

    def _send_all(self, wire: Wire, commands: Iterable[tuple[Any, ...]]) -> None:
        for command in commands:
            wire.send(command, partial(self._sent, command))

    def _sent(self, command: tuple[Any, ...], reply: Any) -> None:
        if reply is LOST:
            self._lost.append(command)

    async def _tell(self, commands: Sequence[tuple[Any, ...]]) -> None:
        """Send, and wait until Redis has it; in an outage, don't."""
        self._send_news(commands)
        wire = self._session.wire
        if wire is not None:
            with contextlib.suppress(OSError, WireError):
                await wire.ask(("PING",))

    async def _set_up(self, wire: Wire) -> Callable[[], None]:
        """Make a connection ready: what was said here meanwhile goes out before the snapshots are taken."""
        for script in self._scripts.values():
            wire.send(("SCRIPT", "LOAD", script.text), ignore)
        await self._limits.say_alive(wire)
        wire.subscribe(CHANNEL)
        for command in self._news.restore(self._scripts["restore"].sha, int(self._wall())):
            wire.send(command, ignore)
        self._send_unsent(wire)
        await self._news.load(wire)
        return partial(self._return, wire)

    def _return(self, wire: Wire) -> None:
        self._limits.catch_up(wire)
        self._send_unsent(wire)  # what was said while the snapshots were loaded
        for conversation, value, seconds in self._conversations.take_all():
            self._keep(wire, conversation, value, seconds)

    def _send_unsent(self, wire: Wire) -> None:
        commands = [*self._lost, *self._unsent]
        self._lost.clear()
        self._unsent.clear()
        self._send_all(wire, commands)

    async def _beat(self, wire: Wire) -> None:
        await self._limits.say_alive(wire)
        self._limits.pay(wire)
        await self._limits.put_right(wire)
