"""Anthropic's messages and count_tokens: which fields, and what messages may hold. Pure.

Shapes: Anthropic API reference.
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
    strings,
)
from routeiq_appliance.api.fields.forbidden import require_no_addresses
from routeiq_appliance.limits import Limits

__all__ = ["COUNT_TOKENS", "MESSAGES", "check_messages"]


def _named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, dict) and a_string(v.get("name")) for v in value)


def _typed(value: Any) -> bool:
    return an_object(value) and a_string(value.get("type"))


def _text_or_parts(value: Any) -> bool:
    return a_string(value) or (isinstance(value, list) and all(_typed(part) for part in value))


_OURS = ("bash_", "computer_", "memory_", "text_editor_")
"""How the types of Anthropic's tools begin that the caller runs; a date follows."""

COUNT_TOKENS: Fields = {
    "messages": ("a list of messages", lambda v: isinstance(v, list) and bool(v)),
    "system": ("a string or a list of text blocks", _text_or_parts),
    "thinking": ("an object with a type", _typed),
    "tool_choice": ("an object with a type", _typed),
    "tools": ("a list of tools with a name", _named),
}
MESSAGES: Fields = {
    **COUNT_TOKENS,
    "cache": ("an object", an_object),
    "max_tokens": ("a whole number above 0", an_integer(1)),
    "metadata": ("an object", an_object),
    "output_config": ("an object", an_object),
    "output_format": ("an object with a type", _typed),
    "service_tier": ("a string", a_string),
    "stop_sequences": ("a list of strings", lambda v: v == [] or strings(v)),
    "stream": ("true or false", a_boolean),
    "temperature": ("a number from 0 to 1", a_number(0, 1)),
    "top_k": ("a whole number from 0", an_integer(0)),
    "top_p": ("a number from 0 to 1", a_number(0, 1)),
}


def check_messages(params: Mapping[str, Any], limits: Limits) -> None:
    """Check the messages; raises `CallError` 400 naming the part at fault."""
    messages = params["messages"]
    if len(messages) > limits.messages:
        raise bad(f"`messages` has more than {limits.messages} messages", "messages")
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        if not isinstance(message, dict):
            raise bad(f"`{where}` must be an object", where)
        if message.get("role") not in ("user", "assistant", "system"):
            raise bad(f"`{where}.role` must be user or assistant", f"{where}.role")
        if not _text_or_parts(message.get("content")):
            raise bad(
                f"`{where}.content` must be a string or a list of blocks with a `type`", f"{where}.content"
            )
        require_no_addresses(message["content"], f"{where}.content")
    require_no_addresses(params.get("system"), "system")
    for number, tool in enumerate(params.get("tools", ())):
        kind = tool.get("type", "custom")
        if not isinstance(kind, str) or not (kind == "custom" or kind.startswith(_OURS)):
            where = f"tools[{number}].type"
            raise bad(f"`{where}`: only tools that the caller runs are possible (custom, bash, …)", where)
