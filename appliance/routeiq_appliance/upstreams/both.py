"""Hands each call to its deployment's upstream; what a server does not speak is translated to a chat and back.

Whether a server answers a kind of call is said by the configuration (`model_info.kinds`) or found out: a 404 for the
path means no, and is remembered for a while. LiteLLM is imported only when the configuration or a call needs it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from typing import Any, Literal

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.types import Call, Deployment, Kind
from routeiq_appliance.upstreams.direct import DirectUpstream
from routeiq_appliance.upstreams.faults import EVERY_SERVER, not_spoken
from routeiq_appliance.upstreams.interface import Upstream
from routeiq_appliance.upstreams.litellm import NATIVE_MESSAGES, LitellmUpstream
from routeiq_appliance.upstreams.translate import TRANSLATED, Translator

__all__ = ["Translate", "Upstreams", "open_upstreams"]

Translate = Literal["on-demand", "at-start", "never"]
_REMEMBERED_SECONDS = 300.0


class Upstreams:
    """Implements `Upstream` over both and the translation. `clock` counts seconds."""

    def __init__(
        self, direct: Upstream, library: "Library", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._direct = direct
        self._library = library
        self._clock = clock
        self._not_spoken: dict[tuple[str, Kind], float] = {}

    def complete(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> Coroutine[Any, Any, dict[str, Any]]:
        """See `Upstream.complete`."""
        if deployment.upstream == "direct" and call.kind in EVERY_SERVER and deployment.kinds is None:
            return self._direct.complete(deployment, call, headers)
        return self._complete(deployment, call, headers)

    def stream(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """See `Upstream.stream`."""
        if deployment.upstream == "direct" and call.kind in EVERY_SERVER and deployment.kinds is None:
            return self._direct.stream(deployment, call, headers)
        return self._stream(deployment, call, headers)

    async def close(self) -> None:
        """See `Upstream.close`."""
        await self._direct.close()
        await self._library.close()

    async def _complete(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        upstream = await self._upstream(deployment)
        if self._speaks(deployment, call.kind):
            try:
                return await upstream.complete(deployment, call, headers)
            except UpstreamError as error:
                self._learn(deployment, call.kind, error)
        translator = await self._library.translator(call.kind)
        translated = translator.request(deployment, call)
        body = await upstream.complete(deployment, translated.chat, headers)
        return translator.answer(call, translated, body)

    async def _stream(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        upstream = await self._upstream(deployment)
        if self._speaks(deployment, call.kind):
            try:
                # A server that does not know the path says so before any event.
                async with aclosing(upstream.stream(deployment, call, headers)) as events:
                    async for event in events:
                        yield event
                return
            except UpstreamError as error:
                self._learn(deployment, call.kind, error)
        translator = await self._library.translator(call.kind)
        translated = translator.request(deployment, call)
        chat = upstream.stream(deployment, translated.chat, headers)
        async with aclosing(translator.events(call, translated, chat)) as events:
            async for event in events:
                yield event

    async def _upstream(self, deployment: Deployment) -> Upstream:
        return self._direct if deployment.upstream == "direct" else await self._library.upstream()

    def _speaks(self, deployment: Deployment, kind: Kind) -> bool:
        if deployment.kinds is not None:
            spoken = kind in deployment.kinds
            if not spoken and (kind not in TRANSLATED or "chat" not in deployment.kinds):
                raise not_spoken(kind)
            return spoken
        if deployment.upstream == "litellm":
            return kind not in TRANSLATED or (kind == "messages" and deployment.provider in NATIVE_MESSAGES)
        return self._not_spoken.get((deployment.id, kind), 0.0) <= self._clock()

    def _learn(self, deployment: Deployment, kind: Kind, error: UpstreamError) -> None:
        if error.fault != "unsupported" or kind not in TRANSLATED:
            raise error
        self._not_spoken[deployment.id, kind] = self._clock() + _REMEMBERED_SECONDS


class Library:
    """LiteLLM, imported once, when it is first asked for."""

    def __init__(self, limits: Limits, translate: Translate) -> None:
        self._limits = limits
        self._translate = translate
        self._lock = asyncio.Lock()
        self._upstream: LitellmUpstream | None = None
        self._translator: Translator | None = None

    def load(self) -> None:
        """Import it now: 2.5 s, 200 MB."""
        if self._upstream is None:
            self._upstream = LitellmUpstream(self._limits)

    def load_translator(self) -> None:
        """Build what it needs of the library now, which must be there: 0.3 s."""
        if self._translator is None:
            self._translator = Translator()

    async def upstream(self) -> Upstream:
        """Return the upstream that calls through it."""
        if self._upstream is None:
            async with self._lock:
                await asyncio.to_thread(self.load)
        assert self._upstream is not None  # noqa: S101 - `load` sets it
        return self._upstream

    async def translator(self, kind: Kind) -> Translator:
        """Return the translator; raises `UpstreamError` (`unsupported`) where nothing is to be translated."""
        if self._translate == "never" or kind not in TRANSLATED:
            raise not_spoken(kind)
        if self._translator is None:
            await self.upstream()
            async with self._lock:
                await asyncio.to_thread(self.load_translator)
        assert self._translator is not None  # noqa: S101 - `load_translator` sets it
        return self._translator

    async def close(self) -> None:
        """Release what it holds."""
        if self._upstream is not None:
            await self._upstream.close()


def open_upstreams(limits: Limits, *, litellm: bool, translate: Translate) -> Upstreams:
    """Return all; `litellm`: the configuration needs the library, so it is imported now."""
    library = Library(limits, translate)
    if litellm or translate == "at-start":
        library.load()
    if translate == "at-start":
        library.load_translator()
    return Upstreams(DirectUpstream(limits), library)
