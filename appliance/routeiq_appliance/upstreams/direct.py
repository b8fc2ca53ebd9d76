"""Calls servers that speak the caller's dialect themselves: vLLM, llama.cpp, LM Studio, Ollama's `/v1`, other gateways.

It sets `model`, adds `include_usage` to streams, and relays everything else as it is, both ways. What is not OpenAI's
(another dialect, parameters to be mapped) is the `litellm` upstream's. Redirects are not followed, no proxy is used,
no cookie is kept: a call goes to the configured address or nowhere.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
from multidict import CIMultiDict
from pydantic_core import from_json, to_json
from yarl import URL

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.types import Call, Deployment, Kind, Upload
from routeiq_appliance.upstreams.faults import (
    EVERY_SERVER,
    UNKNOWN_PATH,
    broken,
    not_connected,
    not_spoken,
    of_status,
    unreachable,
)
from routeiq_appliance.upstreams.mend import ResponseMender
from routeiq_appliance.upstreams.sse import EventSplitter

__all__ = ["DEFAULTS", "DirectUpstream"]

_PATHS: Mapping[Kind, str] = {
    "chat": "/chat/completions",
    "text": "/completions",
    "embedding": "/embeddings",
    "messages": "/messages",
    "count_tokens": "/messages/count_tokens",
    "responses": "/responses",
    "rerank": "/rerank",
    "moderation": "/moderations",
    "image": "/images/generations",
    "speech": "/audio/speech",
    "transcription": "/audio/transcriptions",
}
_DEFAULTED = frozenset[Kind]({"chat", "text"})
DEFAULTS = frozenset({
    "frequency_penalty", "logit_bias", "max_completion_tokens", "max_tokens", "presence_penalty", "reasoning_effort",
    "response_format", "seed", "stop", "temperature", "top_p",
})  # fmt: skip
"""Names in `litellm_params` that become fields of each chat or text request which does not give them."""
_ANTHROPIC_VERSION = "2023-06-01"
_NOT_ALWAYS_JSON = frozenset[Kind]({"speech", "transcription"})
_DONE = b"[DONE]"
_NOTHING = b"null"
"""llama.cpp's first event when a text completion has several prompts."""


class DirectUpstream:
    """One per worker; connections are kept per address and reused."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None
        self._targets: dict[tuple[str, Kind], _Target] = {}

    async def complete(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """See `Upstream.complete`."""
        response = await self._post(deployment, call, headers)
        raw = await self._whole(response)
        if response.status != 200:
            raise _refusal(response, raw, call, deployment, self._limits)
        if call.kind in _NOT_ALWAYS_JSON and not response.content_type.startswith("application/json"):
            return {"data": raw, "content_type": response.content_type}
        body = _object(raw)
        if DIALECTS[call.kind].fails(body):
            raise _told(500, body, deployment, self._limits, None)
        return body

    async def stream(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """See `Upstream.stream`. An end without `[DONE]` or a finish reason is an upstream that broke off."""
        response = await self._post(deployment, call, headers)
        dialect = DIALECTS[call.kind]
        mender = ResponseMender() if call.kind == "responses" else None
        try:
            if response.status != 200:
                raw = await self._whole(response)
                raise _refusal(response, raw, call, deployment, self._limits)
            splitter = EventSplitter(maximum=self._limits.upstream_event_bytes)
            finished = False
            while chunk := await response.content.readany():
                for data in splitter.feed(chunk):
                    if data == _DONE:
                        return
                    if data == _NOTHING:
                        continue
                    event = _object(data)
                    if dialect.fails(event):
                        raise _told(500, event, deployment, self._limits, None)
                    finished = finished or dialect.finishes(event)
                    if mender is not None:
                        mender.mend(event)
                    yield event
            if not finished or splitter.pending:
                raise broken()
        except (aiohttp.ClientError, OSError):
            raise broken() from None
        finally:
            _leave(response)

    async def close(self) -> None:
        """See `Upstream.close`."""
        if self._session is not None:
            await self._session.close()

    async def _post(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        target = self._targets.get((deployment.id, call.kind))
        if target is None or target.deployment is not deployment:
            # The first call, or the first since a stored deployment was changed.
            target = self._targets[deployment.id, call.kind] = _Target(deployment, call.kind)
        try:
            return await self._open().post(
                target.url,
                data=target.body(call) if call.file is None else target.form(call, call.file),
                headers=CIMultiDict({**target.headers, **headers}) if headers else target.headers,
                timeout=target.timeout,
                allow_redirects=False,
            )
        except aiohttp.ServerTimeoutError:  # the only one there is: see `_Target.timeout`
            raise not_connected(deployment.connect_timeout) from None
        except (aiohttp.ClientConnectorError, TimeoutError):
            raise unreachable() from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, ValueError):
            # ValueError: aiohttp's for headers that no server may send.
            raise broken() from None

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """Return the body, at most so large; the connection is free again, or cut."""
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := await response.content.readany():
                size += len(chunk)
                if size > self._limits.upstream_body_bytes:
                    raise broken()
                chunks.append(chunk)
        except (aiohttp.ClientError, OSError):
            raise broken() from None
        finally:
            _leave(response)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _open(self) -> aiohttp.ClientSession:
        # Made in the running loop, at the first call.
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0, ttl_dns_cache=30, keepalive_timeout=self._limits.upstream_keepalive_seconds
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=True,
                skip_auto_headers=("User-Agent",),
                # The pipeline holds every deadline but the connection's (see `_Target`).
                timeout=aiohttp.ClientTimeout(total=None),
                read_bufsize=self._limits.upstream_buffer_bytes,
            )
        return self._session


class _Target:
    """What every request to a deployment has in common."""

    def __init__(self, deployment: Deployment, kind: Kind) -> None:
        self.deployment = deployment
        params = deployment.params
        self.url = URL(str(params["api_base"]).rstrip("/") + _PATHS[kind], encoded=True)
        self.model = deployment.model
        # All that aiohttp would add by itself is there already, in the type that it wants: less work per request.
        self.headers: CIMultiDict[str] = CIMultiDict(
            {"Accept": "*/*", "Accept-Encoding": "gzip, deflate", "Content-Type": "application/json"}
        )
        if params.get("api_key"):
            self.headers["Authorization"] = f"Bearer {params['api_key']}"
        if params.get("organization"):
            self.headers["OpenAI-Organization"] = str(params["organization"])
        self.headers.update(params.get("extra_headers") or {})
        if kind in {"messages", "count_tokens"}:
            self.headers["anthropic-version"] = _ANTHROPIC_VERSION
            if params.get("api_key"):
                self.headers["x-api-key"] = str(params["api_key"])
        elif kind == "transcription":
            del self.headers["Content-Type"]
        self.defaults: dict[str, Any] = {}
        if kind in _DEFAULTED:
            self.defaults = {name: value for name, value in params.items() if name in DEFAULTS}
        self.defaults |= params.get("extra_body") or {}
        self.timeout = aiohttp.ClientTimeout(total=None, connect=deployment.connect_timeout)

    def body(self, call: Call) -> bytes:
        """Return the request's body."""
        body = {**self.defaults, **call.params, **call.extra, "model": self.model}
        if call.stream:
            body["stream"] = True
            if DIALECTS[call.kind].hides_usage:
                body["stream_options"] = {**(call.params.get("stream_options") or {}), "include_usage": True}
        return to_json(body)

    def form(self, call: Call, file: Upload) -> aiohttp.FormData:
        """Return the request's body as `multipart/form-data` (RFC 7578)."""
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in {**self.defaults, **call.params, **call.extra, "model": self.model}.items():
            several = isinstance(value, list)
            for item in value if several else [value]:
                text = item if isinstance(item, str) else to_json(item).decode()
                form.add_field(f"{name}[]" if several else name, text)
        form.add_field("file", file.data, filename=file.name, content_type=file.content_type)
        return form


def _leave(response: aiohttp.ClientResponse) -> None:
    """Free the connection, or cut it when the answer was not read to its end."""
    if response.content.at_eof():
        response.release()
    else:
        response.close()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise broken() from None
    if not isinstance(value, dict):
        raise broken()
    return value


def _refusal(
    response: aiohttp.ClientResponse, raw: bytes, call: Call, deployment: Deployment, limits: Limits
) -> UpstreamError:
    try:
        value = from_json(raw)
    except ValueError:
        value = None
    body = value if isinstance(value, dict) else {}
    if response.status in UNKNOWN_PATH and call.kind not in EVERY_SERVER and not _means_the_model(body):
        return not_spoken(call.kind)
    return _told(
        response.status,
        body,
        deployment,
        limits,
        response.headers.get("retry-after"),
    )


def _means_the_model(body: dict[str, Any]) -> bool:
    """Whether a 404 is a model's that the server lacks: it knows the path, and will when the model is there."""
    error = body.get("error")
    said = error if isinstance(error, dict) else body
    return said.get("param") == "model" or "model" in str(said.get("message", error)).lower()


def _told(
    status: int, body: dict[str, Any], deployment: Deployment, limits: Limits, retry_after: str | None
) -> UpstreamError:
    """Return the error of a body like OpenAI's, vLLM's (flat) or llama.cpp's (its code is the status)."""
    error = body.get("error")
    said = error if isinstance(error, dict) else body
    words = said.get("message", error)
    code = said.get("code")
    if isinstance(code, int) and 400 <= code < 600:
        status, code = code, said.get("type")
    return of_status(
        status, words if isinstance(words, str) else "", code, deployment, limits, retry_after=retry_after
    )
