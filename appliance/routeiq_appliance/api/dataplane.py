"""Answers a call in its caller's dialect: reads the body, walks the pipeline, writes body or events, tells errors.

The row of a call is in the journal before its last byte: a stream whose dialect has no end mark keeps its last event
until then.
"""

import math
import re
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pydantic_core

from routeiq_appliance.api.fields import check_fields, user_text
from routeiq_appliance.api.framing import Framing
from routeiq_appliance.api.http import CallerLeftError, Headers, Request
from routeiq_appliance.api.keep_alive import KeepAlive
from routeiq_appliance.api.wishes import wishes_of
from routeiq_appliance.cache.wish import cache_wish
from routeiq_appliance.errors import CallError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.run import Exchange, Pipeline
from routeiq_appliance.pipeline.types import AUTO, Call, Kind, Principal, Upload

__all__ = ["DataPlane", "parse_json"]

_BIG_EXPONENT = re.compile(rb"[eE]\+?[0-9]{3}")


class DataPlane:
    """What the handlers of all dialects share; one per worker."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        max_body: int,
        extra_names: frozenset[str],
        keep_alive_seconds: float,
        limits: Limits,
    ) -> None:
        self.pipeline = pipeline
        self.max_body = max_body
        self._extra_names = extra_names
        self._keep_alive_seconds = keep_alive_seconds
        self._limits = limits

    async def answer(
        self,
        kind: Kind,
        request: Request,
        principal: Principal,
        framing: Framing,
        *,
        model: str | None = None,
    ) -> None:
        """Answer a call whose body is JSON; raises `CallError`. `model`: the one that the path names."""
        raw = await request.body(self.max_body)
        body = parse_json(raw)
        if model is not None and isinstance(body, dict):
            body["model"] = model
        await self.exchange(request, principal, self.call(kind, request, body, len(raw)), framing)

    def call(self, kind: Kind, request: Request, body: Any, size: int, file: Upload | None = None) -> Call:
        """Return the call that a body asks for; raises `CallError` 400. `size`: bytes to estimate tokens from."""
        model, params, extra = check_fields(kind, body, extra_names=self._extra_names, limits=self._limits)
        options = params.get("stream_options") or {}
        return Call(
            id=request.id,
            kind=kind,
            asked=model,
            params=params,
            extra=extra,
            stream=bool(body.get("stream")),
            include_usage=options.get("include_usage") is True,
            prompt=user_text(kind, params, self._limits) if model == AUTO else "",
            request_bytes=size,
            started_at=datetime.now(UTC),
            wishes=wishes_of(request, body.get("metadata")),
            trace_headers=request.trace_headers(),
            cache=None
            if self.pipeline.cache is None
            else cache_wish(request.header(b"cache-control"), body.get("cache")),
            file=file,
        )

    async def exchange(self, request: Request, principal: Principal, call: Call, framing: Framing) -> None:
        """Walk the pipeline and write what it answers; raises `CallError` when nothing was written yet."""
        exchange = await self.pipeline.begin(principal, call)
        try:
            with request.while_caller_waits():
                if call.stream:
                    await self._stream(request, exchange, framing)
                else:
                    body = await exchange.complete()
                    exchange.answered()
                    await _reply(request, body, told(exchange))
        except CallerLeftError:
            exchange.broken("caller_left", 499)
        except CallError as error:
            exchange.broken(error.code or error.kind, error.status)
            raise
        finally:
            await exchange.close()

    async def _stream(self, request: Request, exchange: Exchange, framing: Framing) -> None:
        events = await exchange.open_stream()
        headers = told(exchange)
        headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        frame, done, held = framing.frame, framing.done, b""
        finishes = None if done else DIALECTS[exchange.call.kind].finishes
        async with aclosing(events):
            await request.start(200, b"text/event-stream; charset=utf-8", headers)
            with KeepAlive(request, self._keep_alive_seconds) as alive:
                try:
                    async for event in events:
                        data = frame(event)
                        if finishes is not None:
                            if finishes(event) and not held:
                                held = data
                                continue
                            held, data = b"", held + data  # it was not the end
                        alive.writing = True
                        await request.write(data)
                        alive.writing, alive.written = False, True
                except CallError as error:
                    # After the first byte an error can only be told as an event; no end follows.
                    exchange.broke_off(error.code or error.kind, error.status)
                    last = frame(framing.failure(error, request.id))
                else:
                    exchange.answered()
                    last = done or held
            await request.write(last, last=True)


def parse_json(raw: bytes) -> Any:
    """Parse strict JSON (RFC 8259: no NaN, UTF-8, depth at most 200); raises `CallError` 400."""
    try:
        value = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise CallError(400, f"the request body is not JSON: {error}", code="invalid_json") from None
    if _BIG_EXPONENT.search(raw) and not _finite(value):
        raise CallError(400, "the request body holds a number that is too large", code="invalid_json")
    return value


def told(exchange: Exchange) -> Headers:
    """Return what the caller is told about the choice and its limits."""
    headers: Headers = [(b"x-routeiq-decision-id", exchange.call.id.encode())]
    decision, deployment = exchange.decision, exchange.tally.deployment
    if decision is not None:
        headers.append((b"x-routeiq-model", exchange.answers.encode()))
        if deployment is not None:  # else the answer is from the cache
            headers.append((b"x-routeiq-deployment", deployment.id.encode()))
        headers.append((b"x-routeiq-strategy", decision.strategy.encode()))
        if decision.score is not None:
            headers.append((b"x-routeiq-score", b"%.4f" % decision.score))
    if exchange.lookup is not None:
        headers += exchange.lookup.headers()
    if exchange.call.ruling is not None:
        headers += exchange.call.ruling.headers
    headers += exchange.ratelimit_headers()
    return headers


async def _reply(request: Request, body: dict[str, Any], headers: Headers) -> None:
    data = body.get("data")
    if isinstance(data, bytes):
        headers.append((b"content-length", b"%d" % len(data)))
        await request.start(200, str(body["content_type"]).encode("latin-1", "replace"), headers)
        await request.write(data, last=True)
    else:
        await request.reply(200, body, headers)


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)
