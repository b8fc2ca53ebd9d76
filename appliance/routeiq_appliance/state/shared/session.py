"""Keeps one connection to Redis: connects, has it set up, beats while it lives, and tries again when it does not."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

from routeiq_appliance.state.shared.wire import Address, Wire, WireError, connect

__all__ = ["Session"]

_LOG = logging.getLogger(__name__)
_BEAT_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 2.0

Step = Callable[[Wire], Awaitable[None]]


class Session:
    """`wire` is None while Redis is away.

    `set_up` makes a new connection ready: it is in use when that returns. `beat` is called every two seconds. Both may
    raise `OSError` or `WireError`, and the connection is given up. `away` and `back` are what the log says.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout: float,
        set_up: Callable[[Wire], Awaitable[Callable[[], None]]],
        beat: Step,
        on_push: Callable[[list[Any]], None],
        away: str = "redis is away: limits are this worker's share",
        back: str = "redis is back",
    ) -> None:
        self._address = address
        self._timeout = timeout
        self._set_up = set_up
        self._beat = beat
        self._on_push = on_push
        self._says_away = away
        self._says_back = back
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._told = False
        self.wire: Wire | None = None

    async def start(self) -> None:
        """Connect; returns also when that failed, and goes on trying."""
        self._keeper = asyncio.create_task(self._keep())
        await self._tried.wait()

    async def close(self) -> None:
        """Stop trying, send what waits, disconnect."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.on_lost = lambda: None
            await wire.close()

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                await self._open()
            except (OSError, WireError) as error:
                self._tell_away(str(error) or type(error).__name__)
                self._tried.set()
                await self._pause(pause)
                pause = min(_MAX_PAUSE_SECONDS, pause * 2)
                continue
            if self._told:
                _LOG.info(self._says_back)
                self._told = False
            self._tried.set()
            if await self._live():
                pause = _FIRST_PAUSE_SECONDS
            else:
                # It answers, then refuses: not at the rate of the calls that it refuses.
                await self._pause(pause)
                pause = min(_MAX_PAUSE_SECONDS, pause * 2)

    async def _open(self) -> None:
        wire = await connect(self._address, timeout=self._timeout, on_push=self._on_push)
        try:
            use = await self._set_up(wire)
            if wire.lost.done():
                raise ConnectionError("the connection ended")
        except BaseException:
            wire.abort()
            raise
        wire.on_lost = self._lost
        self.wire = wire
        use()

    @staticmethod
    async def _pause(seconds: float) -> None:
        await asyncio.sleep(random.SystemRandom().uniform(0.0, seconds))

    async def _live(self) -> bool:
        """Beat until the connection ends; whether there was one beat at least."""
        wire, beaten = self.wire, False
        while wire is not None and not wire.lost.done():
            await asyncio.wait([wire.lost], timeout=_BEAT_SECONDS)
            if not wire.lost.done():
                try:
                    await self._beat(wire)
                    beaten = True
                except (OSError, WireError):
                    wire.abort()
        return beaten

    def _lost(self) -> None:
        self.wire = None
        self._tell_away("the connection ended")

    def _tell_away(self, reason: str) -> None:
        if not self._told:
            self._told = True
            _LOG.warning(self._says_away, extra={"reason": reason[:200]})
