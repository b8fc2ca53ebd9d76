"""A call and who makes it, as rules see them. Pure.

Text is every string of the request's fields, wherever a dialect has it: who may choose the field must not choose
whether it is read. Left out are roles, types, and what is marked as base64: images, sounds and files are not read.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from routeiq_appliance.pipeline.types import Call, Principal
from routeiq_appliance.policy.verdict import Facts

__all__ = ["facts_of", "text_of"]

_BYTES_PER_TOKEN = 3
_ANTHROPIC = frozenset({"messages", "count_tokens"})
_LISTS = ("messages", "input", "prompt", "documents")
_NO_TEXT = frozenset({"role", "type"})
_ENCODED = frozenset({"data", "file_data", "image_url", "url", "b64_json"})


def facts_of(principal: Principal, call: Call, *, reads_text: bool, text_chars: int) -> Facts:
    """Return the facts; text only where it is read, and of that at most `text_chars` characters."""
    facts = Facts(
        keys=_names(principal.key_id, principal.key_alias),
        teams=_names(principal.team_id, principal.team_alias),
        users=_names(principal.user_id, None),
        organizations=_names(principal.organization_id, None),
        roles=_names("admin" if principal.is_admin else None, principal.role),
        tags=call.wishes.tags,
        bytes=call.request_bytes,
        messages=_messages(call.params),
        tokens=call.request_bytes // _BYTES_PER_TOKEN,
        stream=call.stream,
        dialect="anthropic" if call.kind in _ANTHROPIC else "openai",
        kind=call.kind,
    )
    if reads_text:
        facts.text, facts.user_text, facts.unreadable = text_of(call.params, call.extra, text_chars)
    return facts


def text_of(params: Mapping[str, Any], extra: Mapping[str, Any], chars: int) -> tuple[str, str, str]:
    """Return the text, the users' part of it, and why it is not the whole; empty when it is."""
    if any(_token_ids(params.get(name)) for name in ("prompt", "input")):
        return "", "", "the request holds token ids, which patterns cannot read"
    everything: list[str] = []
    room = chars
    for text in _strings((params, extra)):
        room -= len(text) + 1
        if room < -1:
            return "", "", f"the text is longer than the {chars} characters that patterns read"
        everything.append(text)
    return "\n".join(everything), "\n".join(_users(params)), ""


def _users(params: Mapping[str, Any]) -> Iterator[str]:
    for name in _LISTS:
        value = params.get(name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for item in value:
                # Inputs that are no messages are the user's own.
                if not isinstance(item, dict) or item.get("role", "user") == "user":
                    yield from _strings(item)


def _strings(value: Any) -> Iterator[str]:
    """Yield the strings within `value`; a stack, since a body may be nested deeper than Python calls."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting.extend(
                inner
                for name, inner in reversed(item.items())
                if name not in _NO_TEXT and not (name in _ENCODED and _is_encoded(item, inner))
            )
        elif isinstance(item, list | tuple):
            waiting.extend(reversed(item))


def _is_encoded(holder: Mapping[str, Any], value: Any) -> bool:
    """Whether `value` is bytes as text: a base64 `data:` URL, Anthropic's base64 source, or OpenAI's sound."""
    if not isinstance(value, str):
        return False
    return (
        holder.get("type") == "base64"
        or ("format" in holder and "data" in holder)
        or (value[:5].lower() == "data:" and ";base64," in value[:256].lower())
    )


def _messages(params: Mapping[str, Any]) -> int:
    for name in _LISTS:
        value = params.get(name)
        if isinstance(value, list):
            return 1 if value and type(value[0]) is int else len(value)
        if value is not None:
            return 1
    return 0


def _token_ids(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return any(
        type(item) is int or (isinstance(item, list) and any(type(i) is int for i in item)) for item in value
    )


def _names(identity: str | None, alias: str | None) -> frozenset[str]:
    return frozenset(name for name in (identity, alias) if name is not None)
