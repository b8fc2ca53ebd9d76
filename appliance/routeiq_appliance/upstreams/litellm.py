"""The border to LiteLLM (the library, never its proxy): its calls, its answers, its exceptions.

It is imported by `LitellmUpstream()`, not with this module: 2.5 s and 200 MB. `egress.switches` must have run.
Callers' fields arrive checked against an allowlist (`api/fields`): LiteLLM would take addresses, credentials and
files from unknown ones.
"""

import logging
import re
import warnings
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from pydantic_core import from_json

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.upstreams.faults import EVERY_SERVER, UNKNOWN_PATH, broken, not_spoken, of_status
from routeiq_appliance.upstreams.sse import EventSplitter

__all__ = ["NATIVE_MESSAGES", "LitellmUpstream", "translate"]

NATIVE_MESSAGES = frozenset({"anthropic"})
"""Providers whose own dialect is Anthropic's messages."""

_LOG = logging.getLogger(__name__)
_PREFIX = re.compile(r"(?:litellm\.)?[A-Za-z]+(?:Error|Exception)(?:: | - )")

# Read by LiteLLM's own router and proxy, not by its calls.
_NOT_FOR_THE_CALL = frozenset({
    "budget_duration", "input_cost_per_second", "input_cost_per_token", "max_budget", "max_parallel_requests",
    "model_info", "order", "output_cost_per_token", "rpm", "stream_timeout", "tags", "tpm", "weight",
})  # fmt: skip


_NO_PROVIDER = re.compile(
    r"unsupported provider|unmapped (llm )?provider|unable to map the custom llm provider|is not supported for",
    re.IGNORECASE,
)
"""How the library says that it knows no way to a provider's answers of a kind: by words alone."""
_LOOKED_AT = 300
_TEXT_FORMS = frozenset({"srt", "text", "vtt"})


class LitellmUpstream:
    """Imports LiteLLM and configures it: quiet, no callbacks, no downloads."""

    def __init__(self, limits: Limits) -> None:
        import litellm  # noqa: PLC0415 - heavy, see the module's docstring
        import openai  # noqa: PLC0415 - litellm's exceptions are openai's; it comes with litellm

        litellm.suppress_debug_info = True
        litellm.telemetry = False
        litellm.disable_hf_tokenizer_download = True
        litellm.disable_aiohttp_trust_env = True
        _follow_no_redirects()
        # pydantic's, of its types: they hold parts of answers, and would be lines on stderr that are no log lines.
        warnings.filterwarnings("ignore", category=UserWarning, module=r"(pydantic|litellm)\b")
        # Its own log lines hold request details, and its debug handlers print.
        for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
            logger = logging.getLogger(name)
            logger.handlers.clear()
            logger.setLevel(logging.CRITICAL)
        self._litellm = litellm
        self._shared_client: Any = None
        self._base_error: type[Exception] = openai.OpenAIError
        self._limits = limits

    async def complete(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """See `Upstream.complete`."""
        answer = await self._call(deployment, call, headers)
        if isinstance(answer, dict):
            return dict(answer)
        if call.kind == "image" and not answer.data:
            # What the library answers for a provider that makes no images, without asking anybody.
            raise not_spoken(call.kind)
        if call.kind == "speech":
            return {
                "data": answer.content,
                "content_type": answer.response.headers.get("content-type", "audio/mpeg"),
            }
        if call.kind == "transcription" and call.params.get("response_format") in _TEXT_FORMS:
            return {"data": str(answer.text).encode(), "content_type": "text/plain; charset=utf-8"}
        body: dict[str, Any] = answer.model_dump(mode="json", warnings=False)
        return body

    async def stream(
        self, deployment: Deployment, call: Call, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """See `Upstream.stream`."""
        chunks = await self._call(deployment, call, headers)
        try:
            if call.kind == "messages":
                # Relayed as the provider's bytes.
                splitter = EventSplitter(maximum=self._limits.upstream_event_bytes)
                async for chunk in chunks:
                    for data in splitter.feed(chunk):
                        yield from_json(data)
                return
            async for chunk in chunks:
                yield _event(chunk.model_dump(mode="json", exclude_none=True, warnings=False))
        except Exception as error:  # noqa: BLE001 - the border: the library documents no base for what a stream raises
            raise self._translated(error, deployment, call) from None
        finally:
            close = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def close(self) -> None:
        """See `Upstream.close`."""
        await self._litellm.close_litellm_async_clients()
        if self._shared_client is not None:
            await self._shared_client.aclose()
            self._litellm.aclient_session = None

    async def _call(self, deployment: Deployment, call: Call, headers: Mapping[str, str]) -> Any:
        self._share_client()
        arguments = call_arguments(deployment, call, headers)
        functions = {
            "chat": self._litellm.acompletion,
            "text": self._litellm.atext_completion,
            "embedding": self._litellm.aembedding,
            "messages": self._litellm.anthropic.messages.acreate,
            "rerank": self._litellm.arerank,
            "moderation": self._litellm.amoderation,
            "image": self._litellm.aimage_generation,
            "speech": self._litellm.aspeech,
            "transcription": self._litellm.atranscription,
        }
        function = functions.get(call.kind)
        if function is None:
            raise not_spoken(call.kind)
        try:
            return await function(**arguments)
        except Exception as error:  # noqa: BLE001 - the border: see `stream`
            raise self._translated(error, deployment, call) from None

    def _share_client(self) -> None:
        """Give LiteLLM one client, made in the running loop: it makes and leaks one per text completion otherwise."""
        if self._shared_client is None:
            from litellm.llms.openai.common_utils import BaseOpenAILLM  # noqa: PLC0415

            self._shared_client = BaseOpenAILLM.get_async_http_client()
            # A redirect would lead a call to an address that nobody configured.
            self._shared_client.follow_redirects = False
            self._litellm.aclient_session = self._shared_client

    def _translated(self, error: Exception, deployment: Deployment, call: Call) -> UpstreamError:
        if isinstance(error, UpstreamError):
            return error
        status = getattr(error, "status_code", None) if isinstance(error, self._base_error) else None
        if call.kind not in EVERY_SERVER and (
            status in UNKNOWN_PATH or _NO_PROVIDER.search(_words(error)[:_LOOKED_AT])
        ):
            return not_spoken(call.kind)
        _LOG.warning(
            "upstream failed",
            extra={"deployment": deployment.id, "error": type(error).__name__, "upstream_status": status},
        )
        return translate(error, deployment, self._limits)


def _follow_no_redirects() -> None:
    """Have no client of the library follow one: it leads to an address that nobody configured.

    Its handlers make httpx clients that do, in several places; here the class says what they all do. The guard would
    refuse the dial, but a connection that is kept open to that address would take the call.
    """
    import httpx  # noqa: PLC0415 - comes with litellm

    never = property(lambda _client: False, lambda _client, _wanted: None)
    for client in (httpx.AsyncClient, httpx.Client):
        client.follow_redirects = never  # type: ignore[assignment]


def call_arguments(deployment: Deployment, call: Call, headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the keyword arguments of LiteLLM's call: the configuration's, then the caller's."""
    configured = {name: value for name, value in deployment.params.items() if name not in _NOT_FOR_THE_CALL}
    # One try: what is tried again, and where, is the pipeline's.
    arguments = {**configured, **call.params, "max_retries": 0}
    arguments["timeout"] = deployment.stream_timeout if call.stream else deployment.timeout
    if headers:
        arguments["extra_headers"] = {**configured.get("extra_headers", {}), **headers}
    if call.kind == "chat":
        # It imports its MCP gateway for any call with tools: a package that is not here, and a client of other servers.
        arguments["_skip_mcp_handler"] = True
    if call.kind == "embedding" and "dimensions" in call.params:
        # It knows by the model's name which models have them, and no name of a server's own.
        arguments["allowed_openai_params"] = ["dimensions"]
    if call.extra:
        arguments["extra_body"] = {**configured.get("extra_body", {}), **call.extra}
    if call.file is not None:
        arguments["file"] = (call.file.name, call.file.data, call.file.content_type)
    if call.stream:
        arguments["stream"] = True
        if DIALECTS[call.kind].hides_usage:
            arguments["stream_options"] = {**(call.params.get("stream_options") or {}), "include_usage": True}
    return arguments


def translate(error: Exception, deployment: Deployment, limits: Limits) -> UpstreamError:
    """Return the error of one of LiteLLM's exceptions, by its status."""
    status = getattr(error, "status_code", None)
    kind = type(error).__name__
    if kind in {"Timeout", "TimeoutError"}:
        status = 504
    if not isinstance(status, int) or kind == "APIConnectionError":
        return broken()
    code = "context_length_exceeded" if kind == "ContextWindowExceededError" else None
    return of_status(status, _words(error), code, deployment, limits, retry_after=_retry_after(error))


def _words(error: Exception) -> str:
    """Return the upstream's own words, without LiteLLM's prefixes: `litellm.NameError: Name: OpenAIException - …`."""
    text = str(getattr(error, "message", error))
    while (prefix := _PREFIX.match(text)) is not None:
        text = text[prefix.end() :]
    return text


def _retry_after(error: Exception) -> str | None:
    # The exception's own response is often made up; the upstream's headers are kept beside it.
    sources = (
        getattr(error, "litellm_response_headers", None),
        getattr(getattr(error, "response", None), "headers", None),
    )
    return next(
        (str(headers["retry-after"]) for headers in sources if headers and "retry-after" in headers), None
    )


def _event(event: dict[str, Any]) -> dict[str, Any]:
    """Put back what OpenAI's schema requires to be there, null or not; and take out what it forbids."""
    choices = event.get("choices") or []
    if "usage" in event and not any(_says_something(choice) for choice in choices):
        event["choices"] = []
        return event
    text = event.get("object") == "text_completion"
    for choice in choices:
        choice.setdefault("finish_reason", None)
        if text:
            choice.setdefault("text", "")
            choice.setdefault("logprobs", None)
    return event


def _says_something(choice: dict[str, Any]) -> bool:
    return bool(
        choice.get("finish_reason") or choice.get("text") or any((choice.get("delta") or {}).values())
    )
