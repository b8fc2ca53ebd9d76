"""OpenAI's chat completions, completions and embeddings: which fields, and what messages may hold. Pure.

Content parts must carry their data: an upstream, or the library, would fetch `http` URLs itself.
Shapes: OpenAI API reference.
"""

from collections.abc import Mapping
from typing import Any

from routeiq_appliance.api.fields.checks import (
    Fields,
    a_boolean,
    a_number,
    a_string,
    an_integer,
    an_object,
    bad,
    bias,
    choice,
    functions,
    one_of,
    require_own_tools,
    strings,
    text_input,
    tools,
    typed_objects,
)
from routeiq_appliance.api.fields.forbidden import require_no_addresses
from routeiq_appliance.limits import Limits

__all__ = ["CHAT", "EMBEDDING", "TEXT", "check_chat", "check_sampling", "text_texts"]

_A_NUMBER_2 = ("a number from -2 to 2", a_number(-2, 2))
_A_COUNT = ("a whole number above 0", an_integer(1))
_CACHE = ("an object", an_object)  # what is in it: `cache.wish`
_SAMPLING: Fields = {
    "cache": _CACHE,
    "frequency_penalty": _A_NUMBER_2,
    "logit_bias": ("an object of token ids and numbers from -100 to 100", bias),
    "max_tokens": _A_COUNT,
    "n": ("a whole number from 1 to 128", an_integer(1, 128)),
    "presence_penalty": _A_NUMBER_2,
    "seed": ("a whole number", an_integer(-(2**63), 2**63 - 1)),
    "stop": ("a string or a list of strings", lambda v: a_string(v) or strings(v)),
    "stream": ("true or false", a_boolean),
    "stream_options": ("an object", an_object),
    "temperature": ("a number from 0 to 2", a_number(0, 2)),
    "top_p": ("a number from 0 to 1", a_number(0, 1)),
    "user": ("a string", a_string),
}
CHAT: Fields = {
    **_SAMPLING,
    "audio": ("an object", an_object),
    "function_call": ("a string or an object", lambda v: a_string(v) or an_object(v)),
    "functions": ("a list of objects with a name", functions),
    "logprobs": ("true or false", a_boolean),
    "max_completion_tokens": _A_COUNT,
    "messages": ("a list of messages", lambda v: isinstance(v, list) and bool(v)),
    "metadata": ("an object", an_object),
    "modalities": ("a list of strings", strings),
    "parallel_tool_calls": ("true or false", a_boolean),
    "prediction": ("an object", an_object),
    "reasoning_effort": ("a string", a_string),
    "response_format": ("an object with a type", lambda v: an_object(v) and a_string(v.get("type"))),
    "service_tier": ("a string", a_string),
    "store": ("true or false", a_boolean),
    "tool_choice": ("a string or an object with a type", choice),
    "tools": ("a list of tools", tools),
    "top_logprobs": ("a whole number from 0 to 20", an_integer(0, 20)),
    "verbosity": ("a string", a_string),
}
TEXT: Fields = {
    **_SAMPLING,
    "best_of": ("a whole number from 1 to 128", an_integer(1, 128)),
    "echo": ("true or false", a_boolean),
    "logprobs": ("a whole number from 0 to 5", an_integer(0, 5)),
    "prompt": ("a string, a list of strings, or token ids", text_input),
    "suffix": ("a string", a_string),
}
EMBEDDING: Fields = {
    "cache": _CACHE,
    "dimensions": _A_COUNT,
    "encoding_format": ("`float` or `base64`", one_of("float", "base64")),
    "input": ("a string, a list of strings, or token ids", text_input),
    "user": ("a string", a_string),
}
_ROLES = frozenset({"assistant", "developer", "function", "system", "tool", "user"})
# Where a part holds what could be an address, and which values are data rather than an address.
_PART_DATA: Mapping[str, tuple[str, str]] = {
    "audio_url": ("audio_url", "url"),
    "file": ("file", "file_data"),
    "image_url": ("image_url", "url"),
    "video_url": ("video_url", "url"),
}
_OURS = frozenset({"custom", "function"})
_IN_A_MESSAGE = frozenset({
    "content", "function_call", "name", "reasoning_content", "refusal", "role", "tool_call_id", "tool_calls",
})  # fmt: skip


def check_sampling(body: Mapping[str, Any], params: Mapping[str, Any]) -> None:
    """Raise `CallError` 400 for `stream_options` without `stream`."""
    if "stream_options" in params and not body.get("stream"):
        raise bad("`stream_options` is for streams: set `stream` too", "stream_options")


def text_texts(params: Mapping[str, Any]) -> list[str]:
    """Return the prompts."""
    prompt = params["prompt"]
    return [prompt] if isinstance(prompt, str) else [item for item in prompt if isinstance(item, str)]


def check_chat(params: Mapping[str, Any], limits: Limits) -> None:
    """Check the messages; raises `CallError` 400 naming the part at fault."""
    messages = params["messages"]
    if len(messages) > limits.messages:
        raise bad(f"`messages` has more than {limits.messages} messages", "messages")
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, dict):
            raise bad(f"`{where}` must be an object", where)
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise bad(f"`{where}.role` must be one of: {', '.join(sorted(_ROLES))}", f"{where}.role")
        content = message.get("content")
        if isinstance(content, list):
            for position, part in enumerate(content):
                _check_part(part, f"{where}.content[{position}]")
        elif content is None:
            if role != "assistant":
                raise bad(f"`{where}.content` is missing", f"{where}.content")
        elif not isinstance(content, str):
            raise bad(f"`{where}.content` must be a string or a list of parts", f"{where}.content")
        _check_calls(message, where)
        if not message.keys() <= _IN_A_MESSAGE:
            more = {name: message[name] for name in message.keys() - _IN_A_MESSAGE}
            require_no_addresses(more, where)
    require_own_tools(params.get("tools", ()), _OURS)
    for name in ("audio", "prediction"):
        require_no_addresses(params.get(name), name)


def _check_calls(message: dict[str, Any], where: str) -> None:
    for name in ("name", "tool_call_id", "refusal"):
        if message.get(name) is not None and not isinstance(message[name], str):
            raise bad(f"`{where}.{name}` must be a string", f"{where}.{name}")
    calls = message.get("tool_calls")
    if calls is not None and not (typed_objects(calls) and all(_is_call(call) for call in calls)):
        raise bad(f"`{where}.tool_calls` must be a list of tool calls", f"{where}.tool_calls")
    call = message.get("function_call")
    if call is not None and not (
        an_object(call) and a_string(call.get("name")) and a_string(call.get("arguments"))
    ):
        raise bad(
            f"`{where}.function_call` must be an object with name and arguments", f"{where}.function_call"
        )


def _is_call(call: dict[str, Any]) -> bool:
    function = call.get("function")
    return call["type"] != "function" or (
        a_string(call.get("id"))
        and isinstance(function, dict)
        and a_string(function.get("name"))
        and a_string(function.get("arguments"))
    )


def _check_part(part: Any, where: str) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise bad(f"`{where}` must be an object with a `type`", where)
    kind = part["type"]
    if kind in {"text", "refusal"}:
        if not isinstance(part.get(kind), str):
            raise bad(f"`{where}.{kind}` must be a string", f"{where}.{kind}")
    elif kind in _PART_DATA:
        outer, inner = _PART_DATA[kind]
        held = part.get(outer)
        value = held.get(inner) if isinstance(held, dict) else None
        if not isinstance(value, str) or not value[:5].lower() == "data:":
            raise bad(
                f"`{where}.{outer}.{inner}` must be a `data:` URL: the gateway fetches nothing for a caller",
                f"{where}.{outer}.{inner}",
            )
    elif kind == "input_audio":
        audio = part.get("input_audio")
        if (
            not isinstance(audio, dict)
            or not a_string(audio.get("data"))
            or not a_string(audio.get("format"))
        ):
            raise bad(f"`{where}.input_audio` must hold data and format", f"{where}.input_audio")
    else:
        raise bad(
            f"`{where}.type` must be text, image_url, audio_url, video_url, input_audio, file or refusal",
            f"{where}.type",
        )
    if len(part) > 2 or kind in _PART_DATA:
        require_no_addresses(part, where)
