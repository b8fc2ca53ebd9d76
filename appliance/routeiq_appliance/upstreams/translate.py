"""Anthropic's messages and OpenAI's responses for upstreams that only chat: LiteLLM's translation, around our own call.

The library translates requests, bodies and events; it dials nothing here. It must be there already (2.5 s, 200 MB):
`upstreams.both` decides when. What it cannot translate is the caller's 400.
"""

import contextlib
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.pipeline.dialects import DIALECTS
from routeiq_appliance.pipeline.types import Call, Deployment, Kind
from routeiq_appliance.upstreams.faults import broken
from routeiq_appliance.upstreams.shapes import (
    ResponseEvents,
    complete_message,
    complete_message_event,
    complete_response,
)
from routeiq_appliance.upstreams.translatable import chat_blocks, untranslatable

__all__ = ["TRANSLATED", "Translated", "Translator"]

TRANSLATED = frozenset[Kind]({"messages", "responses"})
_PROVIDER = "hosted_vllm"
"""To the library every upstream here is a server that speaks OpenAI's chat and nothing else."""
_NOT_SENT = frozenset({
    "context_management", "custom_llm_provider", "extra_headers", "metadata", "model", "reasoning_summary", "stream",
    "stream_options", "web_search_options",
})  # fmt: skip

_SIGNED = frozenset({"thinking_blocks"})

Event = dict[str, Any]
_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
_WHOLE: Event = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": _USAGE,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
}  # fmt: skip
_STREAMED: tuple[Event, ...] = tuple(
    {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **more}
    for more in (
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": _USAGE},
    )
)


@dataclass(frozen=True, slots=True)
class Translated:
    """A chat call, and what its answer needs to become the caller's dialect again."""

    chat: Call
    request: Mapping[str, Any]
    names: dict[str, str]
    """Tool names that were cut to OpenAI's 64 characters, to the caller's."""


class Translator:
    """Imports the library's adapters."""

    def __init__(self) -> None:
        from litellm import ModelResponse, ModelResponseStream  # noqa: PLC0415 - heavy, see the module's docstring
        from litellm.llms.anthropic.pass_through.adapters.streaming_iterator import (  # noqa: PLC0415
            AnthropicStreamWrapper,
        )
        from litellm.llms.anthropic.pass_through.adapters.transformation import (  # noqa: PLC0415
            LiteLLMAnthropicMessagesAdapter,
        )
        from litellm.responses.litellm_completion_transformation.streaming_iterator import (  # noqa: PLC0415
            LiteLLMCompletionStreamingIterator,
        )
        from litellm.responses.litellm_completion_transformation.transformation import (  # noqa: PLC0415
            LiteLLMCompletionResponsesConfig,
        )

        self._whole: Any = ModelResponse
        self._chunk: Any = ModelResponseStream
        self._messages: Any = LiteLLMAnthropicMessagesAdapter()
        self._messages_stream: Any = AnthropicStreamWrapper
        self._responses: Any = LiteLLMCompletionResponsesConfig
        self._responses_stream: Any = LiteLLMCompletionStreamingIterator
        with warnings.catch_warnings():
            # pydantic's, of the library's types.
            warnings.simplefilter("ignore")
            self._build()

    def _build(self) -> None:
        """Have the library build its types now: the first call of each kind would hold up the event loop for it."""
        for kind in TRANSLATED:
            params = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "input": "hi"}
            call = Call("", kind, "m", params, {}, True, False, "", 0, datetime.now(UTC))
            translated = Translated(replace(call, kind="chat"), {**params, "model": "m"}, {})
            self.answer(call, translated, dict(_WHOLE))
            events = self.events(call, translated, _events_of(_STREAMED))
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    _run(anext(events))

    def request(self, deployment: Deployment, call: Call) -> Translated:
        """Return the chat call for a call of messages or responses; raises `UpstreamError` (`caller`)."""
        # The library changes what it is given.
        given = {**call.params, "model": deployment.model}
        names: dict[str, str] = {}
        try:
            if call.kind == "messages":
                given["messages"] = chat_blocks(given["messages"])
                chat, names = self._messages.translate_anthropic_to_openai(
                    given, custom_llm_provider=_PROVIDER
                )
            else:
                options = {name: value for name, value in given.items() if name not in {"input", "model"}}
                chat = self._responses.transform_responses_api_request_to_chat_completion_request(
                    model=deployment.model,
                    input=given["input"],
                    responses_api_request=options,
                    custom_llm_provider=_PROVIDER,
                    stream=call.stream,
                )
        except UpstreamError:
            raise
        except Exception as error:  # noqa: BLE001 - the border: it raises anything for requests that it does not know
            raise untranslatable(type(error).__name__) from None
        params = {name: value for name, value in chat.items() if name not in _NOT_SENT}
        # Only a provider that the library speaks to can have signed thoughts.
        without = frozenset() if deployment.upstream == "litellm" else _SIGNED
        params["messages"] = [_chat_message(message, without) for message in params["messages"]]
        if not params["messages"]:
            raise untranslatable("nothing is asked")
        for tool in params.get("tools", ()):
            if tool.get("type") != "function":
                raise untranslatable(f"a tool of type `{str(tool.get('type'))[:64]}`")
        return Translated(replace(call, kind="chat", params=params), given, names)

    def answer(self, call: Call, translated: Translated, body: Event) -> Event:
        """Return a chat's body in the call's dialect; raises `UpstreamError` (`broken`) for one that is none."""
        try:
            whole = self._whole(**body)
            if call.kind == "messages":
                made = self._messages.translate_openai_response_to_anthropic(
                    whole, tool_name_mapping=translated.names
                )
                complete_message(made)
                return {**made, "id": f"msg_{call.id}"}
            made = self._responses.transform_chat_completion_response_to_responses_api_response(
                request_input=translated.request["input"],
                responses_api_request=dict(translated.request),
                chat_completion_response=whole,
            )
            response = _plain(made)
            complete_response(response)
            return _own(response, call)
        except Exception:  # noqa: BLE001 - the border: see `request`
            raise broken() from None

    async def events(
        self, call: Call, translated: Translated, chat: AsyncGenerator[Event, None]
    ) -> AsyncGenerator[Event, None]:
        """Yield a chat's events in the call's dialect; raises what `chat` raises."""
        async with aclosing(chat):
            # The library tells of a beginning before there is one: an upstream that refuses must be heard first.
            first = await anext(chat, None)
            if first is None:
                raise broken()
            chunks = _Chunks(self._chunk, chat, first, padded=call.kind == "responses")
            if call.kind == "messages":
                events = self._messages_stream(chunks, translated.chat.asked, translated.names)
            else:
                events = self._responses_stream(
                    model=translated.chat.asked,
                    litellm_custom_stream_wrapper=chunks,
                    request_input=translated.request["input"],
                    responses_api_request=dict(translated.request),
                    custom_llm_provider=_PROVIDER,
                )
            try:
                shapes = ResponseEvents()
                async for event in events:
                    plain = _plain(event)
                    if call.kind == "messages":
                        complete_message_event(plain)
                        if plain.get("type") == "message_start":
                            plain["message"]["id"] = f"msg_{call.id}"
                    else:
                        shapes.complete(plain)
                        if "response" in plain:
                            plain["response"] = _own(plain["response"], call)
                            if not chunks.counted:
                                plain["response"]["usage"] = None
                    yield plain
            except UpstreamError:
                raise
            except Exception:  # noqa: BLE001 - the border: see `request`
                raise broken() from None


async def _events_of(chunks: tuple[Event, ...]) -> AsyncGenerator[Event, None]:
    for chunk in chunks:
        yield {**chunk, "choices": [dict(choice) for choice in chunk["choices"]]}


class _Chunks:
    """A chat's events as the library's chunks, in the shape of its own wrapper of a stream."""

    def __init__(self, chunk: Any, chat: AsyncIterator[Event], first: Event, *, padded: bool) -> None:
        """`padded`: usage that was not told is made up, so that the library does not count text by its tokenizer."""
        self._chunk = chunk
        self._chat = chat
        self._first: Event | None = first
        self.counted = False
        """Whether the upstream has told usage."""
        self._padded = padded
        self._finished = False
        self.logging_obj = None

    def __aiter__(self) -> "_Chunks":
        return self

    async def __anext__(self) -> Any:
        event, self._first = self._first, None
        if event is None:
            try:
                event = await anext(self._chat)
            except StopAsyncIteration:
                if not self._finished:
                    raise broken() from None
                if self.counted or not self._padded:
                    raise
                self._padded = False
                return self._chunk(**_STREAMED[-1])
        self.counted = self.counted or bool(event.get("usage"))
        self._finished = self._finished or DIALECTS["chat"].finishes(event)
        return self._chunk(**event)


def _run(steps: Coroutine[Any, Any, Event]) -> None:
    """Run what waits for nothing, without an event loop."""
    try:
        steps.send(None)
    except StopIteration:
        return
    steps.close()


def _own(response: Event, call: Call) -> Event:
    """Return a response under our id: nothing is stored under the library's."""
    return {**response, "id": f"resp_{call.id}", "store": False}


def _chat_message(message: Event, without: frozenset[str]) -> Event:
    return {
        name: value
        for name, value in message.items()
        if (value is not None or name == "content") and name not in without
    }


def _plain(event: Any) -> Event:
    if isinstance(event, dict):
        return event
    plain: Event = event.model_dump(mode="json", exclude_none=True, warnings=False)
    return plain
