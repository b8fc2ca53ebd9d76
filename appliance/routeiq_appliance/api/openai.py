"""OpenAI's dialect of the data plane: bodies in, calls through the pipeline, bodies, events and errors out."""

import math
import re
from collections.abc import Coroutine
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import pydantic_core

from routeiq_appliance.api.fields import check_fields, user_text
from routeiq_appliance.api.http import CallerLeftError, Headers, Request, error_body, json_bytes
from routeiq_appliance.api.keep_alive import KeepAlive
from routeiq_appliance.api.wishes import wishes_of
from routeiq_appliance.cache.wish import cache_wish
from routeiq_appliance.errors import CallError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.run import Exchange, Pipeline
from routeiq_appliance.pipeline.types import AUTO, Call, Kind, Principal

__all__ = ["OpenAIRoutes", "parse_json"]

_BIG_EXPONENT = re.compile(rb"[eE]\+?[0-9]{3}")
_CREATED = 1_700_000_000  # `created` of a model is required by OpenAI's schema; groups have no birthday


class OpenAIRoutes:
    """The handlers; each takes a request whose caller is known."""

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        max_body: int,
        extra_names: frozenset[str],
        keep_alive_seconds: float,
        limits: Limits,
    ) -> None:
        self._pipeline = pipeline
        self._keep_alive_seconds = keep_alive_seconds
        self._max_body = max_body
        self._extra_names = extra_names
        self._limits = limits

    def chat(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/chat/completions`."""
        return self._answer("chat", request, principal)

    def completions(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/completions`."""
        return self._answer("text", request, principal)

    def embeddings(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/embeddings`."""
        return self._answer("embedding", request, principal)

    async def models(self, request: Request, principal: Principal) -> None:
        """`GET /v1/models`: what this key may ask for; `auto` says how it is routed."""
        route = self._pipeline.route
        data: list[dict[str, Any]] = [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": "routeiq"}
            for name in route.visible(principal)
        ]
        for entry in data:
            if entry["id"] == "auto":
                entry["routeiq"] = {"strategy": route.strategies.default}
        await request.reply(200, {"object": "list", "data": data})

    async def _answer(self, kind: Kind, request: Request, principal: Principal) -> None:
        raw = await request.body(self._max_body)
        exchange = await self._pipeline.begin(principal, self._parse(kind, raw, request))
        try:
            with request.while_caller_waits():
                if exchange.call.stream:
                    await self._stream(request, exchange)
                else:
                    body = await exchange.complete()
                    exchange.answered()
                    await request.reply(200, body, _told(exchange))
        except CallerLeftError:
            exchange.broken("caller_left", 499)
        except CallError as error:
            exchange.broken(error.code or error.kind, error.status)
            raise
        finally:
            await exchange.close()

    async def _stream(self, request: Request, exchange: Exchange) -> None:
        events = await exchange.open_stream()
        headers = _told(exchange)
        headers += [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
        async with aclosing(events):
            await request.start(200, b"text/event-stream; charset=utf-8", headers)
            with KeepAlive(request, self._keep_alive_seconds) as alive:
                try:
                    async for event in events:
                        alive.written = True
                        await request.write(_frame(event))
                except CallError as error:
                    # After the first byte an error can only be told as an event; no `[DONE]` follows.
                    exchange.broken(error.code or error.kind, error.status)
                    await request.write(_frame(error_body(error, request.id)), last=True)
                    return
            exchange.answered()
            await request.write(b"data: [DONE]\n\n", last=True)

    def _parse(self, kind: Kind, raw: bytes, request: Request) -> Call:
        body = parse_json(raw)
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
            request_bytes=len(raw),
            started_at=datetime.now(UTC),
            wishes=wishes_of(request, body.get("metadata")),
            trace_headers=request.trace_headers(),
            cache=None
            if self._pipeline.cache is None
            else cache_wish(request.header(b"cache-control"), body.get("cache")),
        )


def parse_json(raw: bytes) -> Any:
    """Parse strict JSON (RFC 8259: no NaN, UTF-8, depth at most 200); raises `CallError` 400."""
    try:
        value = pydantic_core.from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise CallError(400, f"the request body is not JSON: {error}", code="invalid_json") from None
    if _BIG_EXPONENT.search(raw) and not _finite(value):
        raise CallError(400, "the request body holds a number that is too large", code="invalid_json")
    return value


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    if isinstance(value, list):
        return all(_finite(item) for item in value)
    return not isinstance(value, float) or math.isfinite(value)


def _told(exchange: Exchange) -> Headers:
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
    headers += exchange.ratelimit_headers()
    return headers


def _frame(event: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json_bytes(event)
