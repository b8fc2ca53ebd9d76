"""Which groups can answer a call at all: context window, tools, vision, JSON schema, audio. Pure.

A group can do what all of its deployments can: one that says `false`, or a smaller window, holds for the group. What is
not declared is allowed, and the decision's record names it: a filter must not take away what nobody said is missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

__all__ = ["FLAGS", "Able", "Capabilities", "Filtered", "Needs", "capabilities_of", "sift"]

FLAGS: Mapping[str, str] = {
    "tools": "supports_function_calling",
    "vision": "supports_vision",
    "json_schema": "supports_response_schema",
    "audio": "supports_audio_input",
}
"""What a call may need → LiteLLM's name in `model_info`."""


class Able(Protocol):
    """What is asked of a deployment."""

    @property
    def can(self) -> Mapping[str, bool]:
        """What it says of itself, by the names of `FLAGS`."""

    @property
    def max_input_tokens(self) -> int | None:
        """Its context window."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Of a group; a name that is not in `can` is not declared."""

    can: Mapping[str, bool] = field(default_factory=dict)
    max_input_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """Of a call: names of `FLAGS`, and tokens as far as they can be told before they are counted."""

    flags: tuple[str, ...] = ()
    tokens: int = 0
    answer_tokens: int = 0
    """What it asks for at most; 0 where it names no limit."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """A candidate that cannot answer: `filter` is a name of `FLAGS` or `context_window`."""

    group: str
    filter: str
    reason: str


def capabilities_of(members: Iterable[Able]) -> Capabilities | None:
    """Return what a group's deployments can do together; None where none of them declares anything."""
    can: dict[str, bool] = {}
    windows: list[int] = []
    undeclared: set[str] = set()
    for member in members:
        if member.max_input_tokens is not None:
            windows.append(member.max_input_tokens)
        for name in FLAGS:
            if name in member.can:
                can[name] = can.get(name, True) and member.can[name]
            else:
                undeclared.add(name)
    # `true` of one deployment says nothing about its neighbour.
    known = {name: value for name, value in can.items() if not (value and name in undeclared)}
    return Capabilities(known, min(windows, default=None)) if known or windows else None


def sift(
    needs: Needs, candidates: Sequence[str], known: Mapping[str, Capabilities]
) -> tuple[tuple[str, ...], tuple[Filtered, ...], tuple[tuple[str, str], ...]]:
    """Return the candidates that can answer, those that cannot with the reason, and (group, need) not declared."""
    kept: list[str] = []
    filtered: list[Filtered] = []
    undeclared: list[tuple[str, str]] = []
    for group in candidates:
        declared = known.get(group) or _NOTHING
        fault = _fault(needs, declared)
        if fault is not None:
            filtered.append(Filtered(group, *fault))
            continue
        kept.append(group)
        undeclared += [(group, name) for name in needs.flags if name not in declared.can]
    return tuple(kept), tuple(filtered), tuple(undeclared)


_NOTHING = Capabilities()


def _fault(needs: Needs, declared: Capabilities) -> tuple[str, str] | None:
    for name in needs.flags:
        if declared.can.get(name) is False:
            return name, f"{FLAGS[name]} is false"
    window = declared.max_input_tokens
    if window is not None and needs.tokens + needs.answer_tokens > window:
        wanted = f" and {needs.answer_tokens} for the answer" if needs.answer_tokens else ""
        return "context_window", f"at least {needs.tokens} tokens{wanted}; max_input_tokens is {window}"
    return None
