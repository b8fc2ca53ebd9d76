"""The direct upstream against a server that says anything: raw bytes on a socket, whatever HTTP allows and more."""

import asyncio
import gzip
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_appliance.config.params import DIRECT_DEFAULTS
from routeiq_appliance.errors import Fault, UpstreamError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.upstreams.direct import DEFAULTS, DirectUpstream

_LIMITS = replace(DEFAULT_LIMITS, upstream_body_bytes=50_000, upstream_event_bytes=10_000)
_BODY = json.dumps({"choices": [{"message": {"content": "hi"}}], "usage": {"prompt_tokens": 1}}).encode()
_EVENT = b'{"choices":[{"index":0,"delta":{"content":"hi"}}]}'
_END = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'


def _answer(body: bytes, *headers: bytes, status: bytes = b"200 OK", length: int | None = None) -> bytes:
    size = b"content-length: %d" % (len(body) if length is None else length)
    return b"\r\n".join([b"HTTP/1.1 " + status, b"content-type: application/json", size, *headers, b"", body])


def _sse(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + body


def _deployment(port: int, **params: Any) -> Deployment:
    base = {"api_base": f"http://127.0.0.1:{port}/v1", "api_key": "sk-secret"}
    return Deployment(
        id="d-1", group="d", mode=None, params={**base, **params}, destination=None, upstream="direct",
        provider="openai", model="name-there", connect_timeout=5, timeout=5, first_token_timeout=5, stream_timeout=5,
        retries=0,
    )  # fmt: skip


def _call(*, stream: bool = False, **params: Any) -> Call:
    params = {"messages": [{"role": "user", "content": "hello"}], **params}
    return Call("id", "chat", "d", params, {"top_k": 3}, stream, False, "", 100, datetime.now(UTC))


@asynccontextmanager
async def _serving(*pieces: bytes, keep: bool = False) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serve the pieces, one write each, to whoever asks; the requests are kept."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        asked.append(head + await reader.readexactly(size))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if keep:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


async def _complete(*pieces: bytes) -> dict[str, Any]:
    upstream = DirectUpstream(_LIMITS)
    async with _serving(*pieces) as (port, _):
        try:
            return await upstream.complete(_deployment(port), _call(), {})
        finally:
            await upstream.close()


async def _stream(*pieces: bytes) -> list[dict[str, Any]]:
    upstream = DirectUpstream(_LIMITS)
    async with _serving(*pieces) as (port, _):
        try:
            return [event async for event in upstream.stream(_deployment(port), _call(stream=True), {})]
        finally:
            await upstream.close()


def test_configuration_and_upstream_agree_on_the_defaults() -> None:
    assert DEFAULTS == DIRECT_DEFAULTS


async def test_the_request_is_the_callers_with_model_and_credential_of_ours() -> None:
    upstream = DirectUpstream(_LIMITS)
    async with _serving(_answer(_BODY)) as (port, asked):
        deployment = _deployment(
            port, temperature=0.5, extra_headers={"x-site": "a"}, extra_body={"lora": "b"}
        )
        await upstream.complete(deployment, _call(temperature=0.1), {"traceparent": "00-aa-bb-01"})
        await upstream.close()
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    lines = {line.lower() for line in head.split(b"\r\n")}
    assert {b"authorization: bearer sk-secret", b"x-site: a", b"traceparent: 00-aa-bb-01"} <= lines
    assert not any(line.startswith((b"user-agent", b"cookie")) for line in lines)
    assert json.loads(body) == {
        "temperature": 0.1, "lora": "b", "messages": [{"role": "user", "content": "hello"}], "top_k": 3,
        "model": "name-there",
    }  # fmt: skip


async def test_a_compressed_and_a_chunked_answer_are_read() -> None:
    packed = gzip.compress(_BODY)
    assert (await _complete(_answer(packed, b"content-encoding: gzip")))["usage"] == {"prompt_tokens": 1}
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY)
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert (await _complete(head, chunked[:20], chunked[20:]))["usage"] == {"prompt_tokens": 1}


@pytest.mark.parametrize(
    "pieces",
    [
        (b"",),
        (b"garbage\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\n",),
        (_answer(_BODY, length=len(_BODY) + 10),),
        (_answer(b'{"choices": ['),),
        (_answer(b"[1, 2]"),),
        (_answer(b'"text"'),),
        (_answer(b"\xff\xfe{}"),),
        (_answer(b'{"a": NaN}'),),
        (_answer(b"<html>not json</html>"),),
        (_answer(b"", status=b"204 No Content"),),
        (_answer(b"", b"location: http://127.0.0.2:9/", status=b"307 Temporary Redirect"),),
        (_answer(b"not gzip", b"content-encoding: gzip"),),
        (_answer(b" " * 60_000 + _BODY),),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",),
        (b"HTTP/1.1 200 OK\r\nbad header\0\r\n\r\n",),
        (_answer(b"[" * 5_000),),
    ],
    ids=lambda pieces: repr(pieces[0][-24:]),
)
async def test_an_answer_that_is_none_is_a_broken_upstream(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(UpstreamError) as caught:
        await _complete(*pieces)
    assert (caught.value.fault, caught.value.status) == ("broken", 502)


@pytest.mark.parametrize(
    ("status", "body", "fault", "told"),
    [
        (b"400", {"error": {"message": "bad sk-secret", "code": None}}, "caller", "bad …"),
        (b"400", {"error": {"message": "too big", "code": "context_length_exceeded"}}, "context", "too big"),
        (b"400", {"message": "maximum context length is 2048 tokens"}, "context", "maximum context length"),
        (b"400", {"error": {"code": 400, "message": "exceeds the available context size",
                            "type": "exceed_context_size_error"}}, "context", "exceeds"),
        (b"401", {}, "misconfigured", "refused this gateway's credential"),
        (b"404", {"error": "no such model"}, "misconfigured", "model name (404)"),
        (b"413", {}, "caller", "refused the request"),
        (b"422", {"error": {"message": "x" * 5000}}, "caller", "x" * 600),
        (b"429", {}, "rate_limited", "rate limited"),
        (b"500", {"error": {"message": "trace sk-secret"}}, "broken", "broke off"),
        (b"503", {}, "unavailable", "overloaded"),
        (b"504", {}, "timeout", "in time"),
        (b"302", {}, "broken", "broke off"),
    ],
)  # fmt: skip
async def test_a_refusal_is_told_by_its_fault(status: bytes, body: Any, fault: Fault, told: str) -> None:
    raw = _answer(json.dumps(body).encode(), b"retry-after: 7", status=status + b" X")
    for ask in (_complete, _stream):
        with pytest.raises(UpstreamError) as caught:
            await ask(raw)
        assert caught.value.fault == fault
        assert told in str(caught.value)
        assert "sk-secret" not in str(caught.value)
        if fault == "rate_limited":
            assert caught.value.retry_after == 7


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 400), max_size=6), line=st.sampled_from([b"\n", b"\r\n"]))
async def test_a_stream_cut_anywhere_gives_its_events(cuts: list[int], line: bytes) -> None:
    end = line + line
    body = b": note" + end + b"data: " + _EVENT + end + b"data: " + _END + end + b"data: [DONE]" + end
    raw = _sse(body)
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[a:b] for a, b in itertools.pairwise(edges)]
    assert await _stream(*pieces) == [json.loads(_EVENT), json.loads(_END)]


@pytest.mark.parametrize(
    ("body", "before"),
    [
        (b"", 0),
        (b"data: " + _EVENT[:20], 0),
        (b"data: " + _EVENT + b"\n\n", 1),
        (b"data: " + _EVENT + b"\n\ndata: " + _END[:9], 1),
        (b"data: " + _EVENT + b"\n\ndata: nonsense\n\n", 1),
        (b"data: " + _EVENT + b'\n\ndata: {"error": {"message": "out of memory"}}\n\n', 1),
        (b"data: " + b"x" * 20_000, 0),
        (b"data: [1]\n\n", 0),
        (b"\0\1\2\3", 0),
        (b"<html>hello</html>\n\n", 0),
    ],
    ids=lambda value: repr(value[-20:]) if isinstance(value, bytes) else None,
)
async def test_a_stream_that_breaks_off_says_so_after_its_events(body: bytes, before: int) -> None:
    upstream = DirectUpstream(_LIMITS)
    seen: list[dict[str, Any]] = []

    async def read() -> None:
        async for event in events:
            seen.append(event)  # noqa: PERF401 - what came before the error counts

    async with _serving(_sse(body)) as (port, _):
        events = upstream.stream(_deployment(port), _call(stream=True), {})
        with pytest.raises(UpstreamError) as caught:
            await read()
        await upstream.close()
    assert (caught.value.fault, caught.value.status, len(seen)) == ("broken", 502, before)


async def test_a_finish_reason_ends_a_stream_as_well_as_done() -> None:
    assert len(await _stream(_sse(b"data: " + _END + b"\n\n"))) == 1


async def test_nobody_there_is_unavailable() -> None:
    upstream = DirectUpstream(_LIMITS)
    for ask in (_closed_port, _unresolvable):
        with pytest.raises(UpstreamError) as caught:
            await upstream.complete(ask(), _call(), {})
        assert (caught.value.fault, caught.value.code) == ("unavailable", "upstream_unavailable")
    await upstream.close()


def _closed_port() -> Deployment:
    return _deployment(9)


def _unresolvable() -> Deployment:
    return replace(_deployment(9), params={"api_base": "http://name.invalid/v1"})


async def test_leaving_a_stream_ends_the_upstreams_work() -> None:
    left = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_sse(b"data: " + _EVENT + b"\n\n"))
        while await reader.read(65536):
            pass
        left.set()
        writer.close()

    upstream = DirectUpstream(_LIMITS)
    async with await asyncio.start_server(endless, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        events = upstream.stream(_deployment(port), _call(stream=True), {})
        await anext(events)
        await events.aclose()
        async with asyncio.timeout(10):
            await left.wait()
        await upstream.close()


async def test_connections_are_reused_and_a_broken_one_is_not() -> None:
    connections: list[Any] = []

    def counting(answers: list[bytes]) -> Callable[..., Any]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(writer)
            while answers:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except asyncio.IncompleteReadError:
                    break
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]))
                writer.write(answers.pop(0))
            writer.close()

        return serve

    answers = [_answer(_BODY), _answer(_BODY), _answer(_BODY, length=len(_BODY) + 5), _answer(_BODY)]
    upstream = DirectUpstream(_LIMITS)
    async with await asyncio.start_server(counting(answers), "127.0.0.1", 0) as server:
        deployment = _deployment(server.sockets[0].getsockname()[1])
        for _ in range(2):
            await upstream.complete(deployment, _call(), {})
        assert len(connections) == 1
        with pytest.raises(UpstreamError):
            async with asyncio.timeout(0.3):
                await _as_upstream_error(upstream.complete(deployment, _call(), {}))
        await upstream.complete(deployment, _call(), {})
        assert len(connections) == 2
        await upstream.close()


async def _as_upstream_error(work: Any) -> Any:
    """A body that never comes to its end is waited for: the deadline of the pipeline cuts it, here this one."""
    try:
        return await work
    except asyncio.CancelledError:
        raise UpstreamError("timeout", 504, "cut") from None


@pytest.mark.parametrize("kind", ["messages", "responses", "rerank"])
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b'{"detail": "Not Found"}', "unsupported"),  # FastAPI: vLLM
        (b'{"error": {"message": "File Not Found", "type": "not_found_error", "code": 404}}', "unsupported"),
        (b"404 page not found", "unsupported"),  # Ollama
        (b'{"error": {"message": "Invalid URL (POST /v1/x)", "param": null, "code": null}}', "unsupported"),
        (b"[]", "unsupported"),
        (
            b'{"error": {"message": "The model `x` does not exist.", "param": "model", "code": 404}}',
            "misconfigured",
        ),
        (b'{"type": "error", "error": {"type": "not_found_error", "message": "model: x"}}', "misconfigured"),
        (b'{"error": {"message": "no such thing", "param": "model"}}', "misconfigured"),
        (b'{"error": "model \\"x\\" not found"}', "misconfigured"),
    ],
)
async def test_a_404_for_the_model_is_not_taken_for_a_path_that_is_missing(
    kind: Any, body: bytes, fault: Fault
) -> None:
    upstream = DirectUpstream(_LIMITS)
    call = replace(_call(), kind=kind)
    async with _serving(_answer(body, status=b"404 Not Found")) as (port, _):
        with pytest.raises(UpstreamError) as caught:
            await upstream.complete(_deployment(port), call, {})
    await upstream.close()
    assert caught.value.fault == fault
