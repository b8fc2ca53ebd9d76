"""Checks a request body of OpenAI's dialect, field by field, against an allowlist. Pure.

The upstream library takes addresses, credentials, file names and callbacks from keywords, so a name that is not
known here never reaches it: a caller can never choose where the gateway connects. Content parts must carry their
data: the library would fetch `http` URLs itself. Shapes: OpenAI API reference, `chat`, `completions`, `embeddings`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from routeiq_appliance.errors import CallError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.types import Kind

__all__ = ["check_fields", "user_text"]

_Check = Callable[[Any], bool]


def _number(low: float, high: float) -> _Check:
    # NaN is in no range; `math.isfinite` would fail with a whole number that no float holds.
    return lambda v: isinstance(v, int | float) and not isinstance(v, bool) and low <= v <= high


def _integer(low: int, high: int = 2**31 - 1) -> _Check:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def _string(value: Any) -> bool:
    return isinstance(value, str)


def _boolean(value: Any) -> bool:
    return isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _strings(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _one_of(*values: str) -> _Check:
    return lambda v: isinstance(v, str) and v in values


def _typed_objects(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(v, dict) and isinstance(v.get("type"), str) for v in value
    )


def _functions(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(v, dict) and isinstance(v.get("name"), str) for v in value
    )


def _bias(value: Any) -> bool:
    score = _number(-100, 100)
    return isinstance(value, dict) and all(
        key.isascii() and key.isdigit() and score(item) for key, item in value.items()
    )


def _tools(value: Any) -> bool:
    return _typed_objects(value) and all(
        tool["type"] != "function"
        or (_object(tool.get("function")) and _string(tool["function"].get("name")))
        for tool in value
    )


def _choice(value: Any) -> bool:
    return _string(value) or (_object(value) and _string(value.get("type")))


def _tokens(value: Any) -> bool:
    token = _integer(0)
    return isinstance(value, list) and bool(value) and all(token(item) for item in value)


def _text_input(value: Any) -> bool:
    if isinstance(value, str) or _strings(value) or _tokens(value):
        return True
    return isinstance(value, list) and bool(value) and all(_tokens(item) for item in value)


_A_NUMBER_2 = ("a number from -2 to 2", _number(-2, 2))
_A_COUNT = ("a whole number above 0", _integer(1))
_CACHE = ("an object", _object)  # what is in it: `cache.wish`
_SAMPLING: dict[str, tuple[str, _Check]] = {
    "cache": _CACHE,
    "frequency_penalty": _A_NUMBER_2,
    "logit_bias": ("an object of token ids and numbers from -100 to 100", _bias),
    "max_tokens": _A_COUNT,
    "n": ("a whole number from 1 to 128", _integer(1, 128)),
    "presence_penalty": _A_NUMBER_2,
    "seed": ("a whole number", _integer(-(2**63), 2**63 - 1)),
    "stop": ("a string or a list of strings", lambda v: _string(v) or _strings(v)),
    "stream": ("true or false", _boolean),
    "stream_options": ("an object", _object),
    "temperature": ("a number from 0 to 2", _number(0, 2)),
    "top_p": ("a number from 0 to 1", _number(0, 1)),
    "user": ("a string", _string),
}
_FIELDS: Mapping[Kind, Mapping[str, tuple[str, _Check]]] = {
    "chat": {
        **_SAMPLING,
        "audio": ("an object", _object),
        "function_call": ("a string or an object", lambda v: _string(v) or _object(v)),
        "functions": ("a list of objects with a name", _functions),
        "logprobs": ("true or false", _boolean),
        "max_completion_tokens": _A_COUNT,
        "messages": ("a list of messages", lambda v: isinstance(v, list) and bool(v)),
        "metadata": ("an object", _object),
        "modalities": ("a list of strings", _strings),
        "parallel_tool_calls": ("true or false", _boolean),
        "prediction": ("an object", _object),
        "reasoning_effort": ("a string", _string),
        "response_format": ("an object with a type", lambda v: _object(v) and _string(v.get("type"))),
        "service_tier": ("a string", _string),
        "store": ("true or false", _boolean),
        "tool_choice": ("a string or an object with a type", _choice),
        "tools": ("a list of tools", _tools),
        "top_logprobs": ("a whole number from 0 to 20", _integer(0, 20)),
        "verbosity": ("a string", _string),
    },
    "text": {
        **_SAMPLING,
        "best_of": ("a whole number from 1 to 128", _integer(1, 128)),
        "echo": ("true or false", _boolean),
        "logprobs": ("a whole number from 0 to 5", _integer(0, 5)),
        "prompt": ("a string, a list of strings, or token ids", _text_input),
        "suffix": ("a string", _string),
    },
    "embedding": {
        "cache": _CACHE,
        "dimensions": _A_COUNT,
        "encoding_format": ("`float` or `base64`", _one_of("float", "base64")),
        "input": ("a string, a list of strings, or token ids", _text_input),
        "user": ("a string", _string),
    },
}
_REQUIRED: Mapping[Kind, str] = {"chat": "messages", "text": "prompt", "embedding": "input"}
# Ours, not the upstream's: LiteLLM's keyword of the same name steers its logging, or its cache.
_KEPT_HERE = frozenset({"cache", "metadata", "stream", "store"})
_ROLES = frozenset({"assistant", "developer", "function", "system", "tool", "user"})
# Where a part holds what could be an address, and which values are data rather than an address.
_PART_DATA: Mapping[str, tuple[str, str]] = {"image_url": ("image_url", "url"), "file": ("file", "file_data")}


def check_fields(
    kind: Kind, body: Any, *, extra_names: frozenset[str], limits: Limits
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the model asked for, OpenAI's fields for the upstream, and the extra fields of the configuration.

    Raises `CallError` 400 naming the field.
    """
    if not isinstance(body, dict):
        raise _bad("the request body must be a JSON object", None)
    known = _FIELDS[kind]
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise _bad("`model` must be a string: a model's name, or `auto`", "model")
    params: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for name, value in body.items():
        if name == "model" or (value is None and name in known):
            continue
        if name in known:
            wanted, check = known[name]
            if not check(value):
                raise _bad(f"`{name}` must be {wanted}", name)
            if name not in _KEPT_HERE:
                params[name] = value
        elif name in extra_names:
            extra[name] = value
        else:
            raise _bad(f"unknown field `{name[:64]}`", name[:64], code="unknown_parameter")
    if _REQUIRED[kind] not in params:
        raise _bad(f"`{_REQUIRED[kind]}` is missing", _REQUIRED[kind], code="missing_required_parameter")
    if kind == "chat":
        _check_messages(params["messages"], limits)
    if "stream_options" in params and not body.get("stream"):
        raise _bad("`stream_options` is for streams: set `stream` too", "stream_options")
    return model, params, extra


def user_text(kind: Kind, params: Mapping[str, Any], limits: Limits) -> str:
    """Return what the users wrote, for routing: the end of it when it is long."""
    if kind == "text":
        prompt = params["prompt"]
        parts = [prompt] if isinstance(prompt, str) else [item for item in prompt if isinstance(item, str)]
    elif kind == "chat":
        parts = [text for m in params["messages"] if m["role"] == "user" for text in _texts(m.get("content"))]
    else:
        parts = []
    kept: list[str] = []
    room = limits.routing_prompt_chars
    for part in reversed(parts):
        if room <= 0:
            break
        kept.append(part[-room:])
        room -= len(part) + 1
    return "\n".join(reversed(kept))


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    if not isinstance(content, list):
        return []
    return [part["text"] for part in content if part.get("type") == "text"]


def _check_messages(messages: list[Any], limits: Limits) -> None:
    if len(messages) > limits.messages:
        raise _bad(f"`messages` has more than {limits.messages} messages", "messages")
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, dict):
            raise _bad(f"`{where}` must be an object", where)
        role = message.get("role")
        if not isinstance(role, str) or role not in _ROLES:
            raise _bad(f"`{where}.role` must be one of: {', '.join(sorted(_ROLES))}", f"{where}.role")
        content = message.get("content")
        if isinstance(content, list):
            for position, part in enumerate(content):
                _check_part(part, f"{where}.content[{position}]")
        elif content is None:
            if role != "assistant":
                raise _bad(f"`{where}.content` is missing", f"{where}.content")
        elif not isinstance(content, str):
            raise _bad(f"`{where}.content` must be a string or a list of parts", f"{where}.content")
        _check_calls(message, where)


def _check_calls(message: dict[str, Any], where: str) -> None:
    for name in ("name", "tool_call_id", "refusal"):
        if message.get(name) is not None and not isinstance(message[name], str):
            raise _bad(f"`{where}.{name}` must be a string", f"{where}.{name}")
    calls = message.get("tool_calls")
    if calls is not None and not (_typed_objects(calls) and all(_is_call(call) for call in calls)):
        raise _bad(f"`{where}.tool_calls` must be a list of tool calls", f"{where}.tool_calls")
    call = message.get("function_call")
    if call is not None and not (
        _object(call) and _string(call.get("name")) and _string(call.get("arguments"))
    ):
        raise _bad(
            f"`{where}.function_call` must be an object with name and arguments", f"{where}.function_call"
        )


def _is_call(call: dict[str, Any]) -> bool:
    function = call.get("function")
    return call["type"] != "function" or (
        _string(call.get("id"))
        and isinstance(function, dict)
        and _string(function.get("name"))
        and _string(function.get("arguments"))
    )


def _check_part(part: Any, where: str) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise _bad(f"`{where}` must be an object with a `type`", where)
    kind = part["type"]
    if kind in {"text", "refusal"}:
        if not isinstance(part.get(kind), str):
            raise _bad(f"`{where}.{kind}` must be a string", f"{where}.{kind}")
    elif kind in _PART_DATA:
        outer, inner = _PART_DATA[kind]
        held = part.get(outer)
        value = held.get(inner) if isinstance(held, dict) else None
        if not isinstance(value, str) or not value[:5].lower() == "data:":
            raise _bad(
                f"`{where}.{outer}.{inner}` must be a `data:` URL: the gateway fetches nothing for a caller",
                f"{where}.{outer}.{inner}",
            )
        if kind == "file" and "file_id" in part["file"]:
            raise _bad(f"`{where}.file.file_id` is not supported: send `file_data`", f"{where}.file.file_id")
    elif kind == "input_audio":
        audio = part.get("input_audio")
        if not isinstance(audio, dict) or not _string(audio.get("data")) or not _string(audio.get("format")):
            raise _bad(f"`{where}.input_audio` must hold data and format", f"{where}.input_audio")
    else:
        raise _bad(f"`{where}.type` must be text, image_url, input_audio, file or refusal", f"{where}.type")


def _bad(message: str, param: str | None, *, code: str = "invalid_value") -> CallError:
    return CallError(400, message, code=code, param=param)
