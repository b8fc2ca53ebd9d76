"""Which upstream is called and when a call is translated: tried once, remembered, pinned, never, imported once."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, get_args

import pytest

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.types import Call, Deployment, Kind
from routeiq_appliance.upstreams.both import Library, Translate, Upstreams
from routeiq_appliance.upstreams.faults import EVERY_SERVER, not_spoken
from routeiq_appliance.upstreams.translate import TRANSLATED

_KINDS: tuple[Kind, ...] = get_args(Kind)
_CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}  # fmt: skip
_CHUNKS = [
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": {"role": "assistant", "content": "hello"}, "finish_reason": None}]},
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [
        {"index": 0, "delta": {}, "finish_reason": "stop"}]},
]  # fmt: skip


class Fake:
    """Implements `Upstream`: speaks the kinds in `speaks`; `calls` are the kinds that it was asked."""

    def __init__(self, *speaks: str) -> None:
        self.speaks = set(speaks)
        self.calls: list[str] = []
        self.fails: UpstreamError | None = None
        self.closed = 0
        self.ended = 0

    async def complete(self, deployment: Deployment, call: Call, headers: Any) -> dict[str, Any]:
        self._ask(call)
        return dict(_CHAT) if call.kind == "chat" else {"kind": call.kind}

    async def stream(
        self, deployment: Deployment, call: Call, headers: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        try:
            self._ask(call)
            for event in _CHUNKS if call.kind == "chat" else [{"kind": call.kind}]:
                yield event
        finally:
            self.ended += 1

    def _ask(self, call: Call) -> None:
        self.calls.append(call.kind)
        if self.fails is not None:
            raise self.fails
        if call.kind not in self.speaks:
            raise not_spoken(call.kind)

    async def close(self) -> None:
        self.closed += 1


class FakeLibrary(Library):
    """The library without its weight: `fake` stands for its upstream, the translator is the real one."""

    def __init__(self, fake: Fake, translate: Translate = "on-demand") -> None:
        super().__init__(DEFAULT_LIMITS, translate)
        self.fake: Any = fake
        self.loads = 0
        self.threads: set[str] = set()

    def load(self) -> None:
        if self._upstream is None:
            self.loads += 1
            self.threads.add(threading.current_thread().name)
            self._upstream = self.fake


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def deployment(**more: Any) -> Deployment:
    made = Deployment(
        id="d-1", group="d", mode=None, params={"api_base": "http://127.0.0.1:9/v1"}, destination=None,
        upstream="direct", provider="openai", model="m", connect_timeout=5, timeout=5, first_token_timeout=5,
        stream_timeout=5, retries=0,
    )  # fmt: skip
    return replace(made, **more)


def call(kind: Kind, *, stream: bool = False) -> Call:
    params: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    if kind == "responses":
        params = {"input": "hi"}
    return Call("id", kind, "d", params, {}, stream, False, "", 100, datetime.now(UTC))


async def answer(upstreams: Upstreams, target: Deployment, kind: Kind, *, stream: bool) -> list[Any]:
    asked = call(kind, stream=stream)
    if not stream:
        return [await upstreams.complete(target, asked, {})]
    return [event async for event in upstreams.stream(target, asked, {})]


@pytest.fixture(params=[False, True], ids=["whole", "stream"])
def stream(request: pytest.FixtureRequest) -> bool:
    streamed: bool = request.param
    return streamed


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_server_that_speaks_the_dialect_is_relayed(kind: Kind, stream: bool) -> None:
    direct, library = Fake(*_KINDS), FakeLibrary(Fake())
    upstreams = Upstreams(direct, library)
    for _ in range(2):
        assert await answer(upstreams, deployment(), kind, stream=stream)
    assert direct.calls == [kind] * 2
    assert library.loads == 0


@pytest.mark.parametrize("kind", sorted(TRANSLATED))
async def test_a_dialect_that_a_server_does_not_speak_is_tried_once_in_a_while(
    kind: Kind, stream: bool
) -> None:
    direct, clock = Fake("chat"), Clock()
    upstreams = Upstreams(direct, FakeLibrary(Fake()), clock=clock)
    for _ in range(3):
        assert await answer(upstreams, deployment(), kind, stream=stream)
    assert direct.calls == [kind, "chat", "chat", "chat"]
    direct.calls.clear()
    # Another deployment is another server.
    await answer(upstreams, deployment(id="d-2"), kind, stream=stream)
    assert direct.calls == [kind, "chat"]
    direct.calls.clear()
    clock.now += 299
    await answer(upstreams, deployment(), kind, stream=stream)
    assert direct.calls == ["chat"]
    clock.now += 2
    direct.speaks.add(kind)
    await answer(upstreams, deployment(), kind, stream=stream)
    assert direct.calls == ["chat", kind]


@pytest.mark.parametrize("kind", [kind for kind in _KINDS if kind not in TRANSLATED | EVERY_SERVER])
async def test_what_cannot_be_translated_is_501_and_asked_again(kind: Kind, stream: bool) -> None:
    direct, library = Fake("chat"), FakeLibrary(Fake())
    upstreams = Upstreams(direct, library)
    for _ in range(2):
        with pytest.raises(UpstreamError, match=f"does not answer {kind} calls") as caught:
            await answer(upstreams, deployment(), kind, stream=stream)
        assert caught.value.status == 501
    assert direct.calls == [kind] * 2
    assert library.loads == 0


@pytest.mark.parametrize(
    "fault", ["caller", "context", "rate_limited", "unavailable", "timeout", "broken", "misconfigured"]
)
async def test_any_other_fault_is_not_taken_for_a_missing_dialect(fault: Any, stream: bool) -> None:
    direct, library = Fake("messages"), FakeLibrary(Fake())
    direct.fails = UpstreamError(fault, 400, "no")
    upstreams = Upstreams(direct, library)
    for _ in range(2):
        with pytest.raises(UpstreamError) as caught:
            await answer(upstreams, deployment(), "messages", stream=stream)
        assert caught.value.fault == fault
    assert direct.calls == ["messages"] * 2
    assert library.loads == 0


@pytest.mark.parametrize("upstream", ["direct", "litellm"])
@pytest.mark.parametrize(
    ("kinds", "kind", "asked"),
    [
        ({"chat"}, "messages", ["chat"]),
        ({"chat"}, "responses", ["chat"]),
        ({"chat", "messages"}, "messages", ["messages"]),
        ({"chat", "responses"}, "responses", ["responses"]),
        ({"messages"}, "messages", ["messages"]),
        ({"chat"}, "chat", ["chat"]),
        # What the configuration does not name is not asked of the server.
        ({"messages"}, "chat", None),
        ({"messages"}, "responses", None),
        ({"embedding"}, "messages", None),
        ({"chat"}, "embedding", None),
        ({"chat"}, "text", None),
        ({"chat"}, "rerank", None),
        ({"chat"}, "count_tokens", None),
    ],
)  # fmt: skip
async def test_the_configuration_pins_what_a_server_speaks(
    upstream: Any, kinds: set[str], kind: Kind, asked: list[str] | None, stream: bool
) -> None:
    fake = Fake(*_KINDS)
    upstreams = Upstreams(fake, FakeLibrary(fake))
    target = deployment(kinds=frozenset(kinds), upstream=upstream)
    if asked is None:
        with pytest.raises(UpstreamError, match="does not answer") as caught:
            await answer(upstreams, target, kind, stream=stream)
        assert caught.value.status == 501
    else:
        assert await answer(upstreams, target, kind, stream=stream)
    assert fake.calls == (asked or [])


async def test_a_pinned_kind_that_the_server_does_not_know_is_501(stream: bool) -> None:
    direct = Fake("chat")
    target = deployment(kinds=frozenset({"chat", "rerank"}))
    with pytest.raises(UpstreamError, match="rerank"):
        await answer(Upstreams(direct, FakeLibrary(Fake())), target, "rerank", stream=stream)
    assert direct.calls == ["rerank"]


async def test_where_nothing_is_translated_it_is_501(stream: bool) -> None:
    direct, library = Fake("chat"), FakeLibrary(Fake(), "never")
    upstreams = Upstreams(direct, library)
    for kinds in (None, frozenset({"chat"})):
        with pytest.raises(UpstreamError, match="messages") as caught:
            await answer(upstreams, deployment(kinds=kinds), "messages", stream=stream)
        assert caught.value.status == 501
    assert library.loads == 0
    assert "chat" not in direct.calls


async def test_providers_that_only_the_library_speaks_to_are_asked_for_chats(stream: bool) -> None:
    through = Fake(*_KINDS)
    upstreams = Upstreams(Fake(), FakeLibrary(through))
    other = deployment(upstream="litellm", provider="bedrock")
    await answer(upstreams, other, "messages", stream=stream)
    await answer(upstreams, other, "responses", stream=stream)
    await answer(upstreams, other, "chat", stream=stream)
    anthropic = deployment(upstream="litellm", provider="anthropic")
    await answer(upstreams, anthropic, "messages", stream=stream)
    await answer(upstreams, anthropic, "responses", stream=stream)
    assert through.calls == ["chat", "chat", "chat", "messages", "chat"]


async def test_first_calls_at_once_import_the_library_once_and_beside_the_loop() -> None:
    library = FakeLibrary(Fake("chat"))
    upstreams = Upstreams(Fake("chat"), library)
    target = deployment(kinds=frozenset({"chat"}))
    await asyncio.gather(*(answer(upstreams, target, "messages", stream=n % 2 == 0) for n in range(6)))
    assert library.loads == 1
    assert library.threads
    assert threading.main_thread().name not in library.threads
    translators = await asyncio.gather(*(library.translator("messages") for _ in range(3)))
    assert len({id(translator) for translator in translators}) == 1


async def test_a_caller_who_leaves_ends_the_upstreams_work() -> None:
    direct = Fake("chat", "messages")
    upstreams = Upstreams(direct, FakeLibrary(Fake()))
    for kinds in ({"chat", "messages"}, {"chat"}):
        events = upstreams.stream(deployment(kinds=frozenset(kinds)), call("messages", stream=True), {})
        await anext(events)
        await events.aclose()
    assert direct.ended == 2


async def test_closing_closes_both() -> None:
    direct, through = Fake(), Fake()
    library = FakeLibrary(through)
    upstreams = Upstreams(direct, library)
    await upstreams.close()
    assert (direct.closed, through.closed) == (1, 0)
    library.load()
    await upstreams.close()
    assert (direct.closed, through.closed) == (2, 1)
