"""OpenAI's responses: which fields, and what its input may hold. Pure. Shapes: OpenAI API reference.

The gateway keeps no responses: what refers to one that was kept, or asks to keep one, is refused.
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
    choice,
    require_own_tools,
    strings,
    typed_objects,
)
from routeiq_appliance.api.fields.forbidden import require_no_addresses
from routeiq_appliance.limits import Limits

__all__ = ["RESPONSES", "check_responses"]

_KEPT = ("background", "conversation", "previous_response_id")
_ROLES = ("assistant", "developer", "system", "user")
_OURS = frozenset({
    "apply_patch", "computer", "computer_use_preview", "custom", "function", "local_shell", "namespace",
})  # fmt: skip

RESPONSES: Fields = {
    "background": ("true or false", a_boolean),
    "cache": ("an object", an_object),
    "conversation": ("a string or an object", lambda v: a_string(v) or an_object(v)),
    "include": ("a list of strings", lambda v: v == [] or strings(v)),
    "input": ("a string or a list of items", lambda v: a_string(v) or (isinstance(v, list) and bool(v))),
    "instructions": ("a string", a_string),
    "max_output_tokens": ("a whole number above 0", an_integer(1)),
    "max_tool_calls": ("a whole number above 0", an_integer(1)),
    "metadata": ("an object", an_object),
    "parallel_tool_calls": ("true or false", a_boolean),
    "previous_response_id": ("a string", a_string),
    "prompt_cache_key": ("a string", a_string),
    "reasoning": ("an object", an_object),
    "safety_identifier": ("a string", a_string),
    "service_tier": ("a string", a_string),
    "store": ("true or false", a_boolean),
    "stream": ("true or false", a_boolean),
    "stream_options": ("an object", an_object),
    "temperature": ("a number from 0 to 2", a_number(0, 2)),
    "text": ("an object", an_object),
    "tool_choice": ("a string or an object with a type", choice),
    "tools": ("a list of tools", typed_objects),
    "top_logprobs": ("a whole number from 0 to 20", an_integer(0, 20)),
    "top_p": ("a number from 0 to 1", a_number(0, 1)),
    "truncation": ("a string", a_string),
    "user": ("a string", a_string),
}


def check_responses(params: Mapping[str, Any], limits: Limits) -> None:
    """Check the input and the tools; raises `CallError` 400 naming the part at fault."""
    for name in _KEPT:
        if params.get(name):
            raise bad(
                f"`{name}` cannot be honoured: this gateway keeps no responses; send the conversation in `input`",
                name,
                code="unsupported_parameter",
            )
    items = params["input"]
    if isinstance(items, list):
        if len(items) > limits.messages:
            raise bad(f"`input` has more than {limits.messages} items", "input")
        for number, item in enumerate(items):
            if not isinstance(item, dict):
                raise bad(f"`input[{number}]` must be an object", f"input[{number}]")
            if item.get("type") == "item_reference":
                raise bad(
                    f"`input[{number}]` refers to a response: this gateway keeps none; send the item itself",
                    f"input[{number}]",
                    code="unsupported_parameter",
                )
            _check_item(item, f"input[{number}]")
        require_no_addresses(items, "input")
    tools = params.get("tools", ())
    require_own_tools(tools, _OURS)
    for number, tool in enumerate(tools):
        if tool["type"] == "namespace":
            if not typed_objects(tool.get("tools")):
                raise bad(f"`tools[{number}].tools` must be a list of tools", f"tools[{number}].tools")
            require_own_tools(tool["tools"], _OURS - {"namespace"})


def _check_item(item: dict[str, Any], where: str) -> None:
    if item.get("type", "message") == "message":
        if item.get("role") not in _ROLES:
            raise bad(f"`{where}.role` must be one of: {', '.join(_ROLES)}", f"{where}.role")
        content = item.get("content")
        if not (a_string(content) or typed_objects(content)):
            raise bad(
                f"`{where}.content` must be a string or a list of parts with a `type`", f"{where}.content"
            )
    elif not a_string(item["type"]):
        raise bad(f"`{where}.type` must be a string", f"{where}.type")
