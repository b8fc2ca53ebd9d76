"""How groups are doing at this moment, for `auto`: whether one of their deployments can take a call, how fast they are.

Nothing is measured here: breakers and rests are `breaker`'s, calls under way, minutes and latencies `board`'s, as this
worker sees them. A group that cannot take a call now is put last, not left out: it may recover before the others fail.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.breaker import Health

__all__ = ["Standing"]

_NEVER = float("inf")


class _Member(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def rpm(self) -> int | None: ...
    @property
    def tpm(self) -> int | None: ...
    @property
    def parallel(self) -> int | None: ...


class Standing:
    """Of the groups of one configuration; `health` and `board` outlive it."""

    def __init__(self, groups: Mapping[str, Sequence[_Member]], health: Health, board: Board) -> None:
        self._groups = groups
        self._health = health
        self._board = board

    def last(self, group: str) -> str | None:
        """Return why no deployment of `group` can take a call now; None where one can."""
        now = self._board.clock()
        reasons: list[str] = []
        for member in self._groups[group]:
            reason = self._health.available(member.id, now) or self._at_limit(member)
            if reason is None:
                return None
            if reason not in reasons:
                reasons.append(reason)
        return ", ".join(reasons) or "no deployment"

    def latency(self, group: str) -> float | None:
        """Return seconds per unit of work (`board`), the mean over the deployments that can take a call.

        None: not measured lately; infinite: those that were tried have failed.
        """
        now = self._board.clock()
        found = [
            latency
            for member in self._groups[group]
            if self._health.available(member.id, now) is None
            and (latency := self._board.numbers(member.id).latency(now)) is not None
        ]
        finite = [latency for latency in found if latency != _NEVER]
        if finite:
            return sum(finite) / len(finite)
        return _NEVER if found else None

    def _at_limit(self, member: _Member) -> str | None:
        if not (member.rpm or member.tpm or member.parallel):
            return None
        numbers = self._board.numbers(member.id)
        if member.parallel and numbers.running >= member.parallel:
            return f"{member.parallel} calls under way, its limit"
        if member.rpm and numbers.requests >= member.rpm:
            return "its requests per minute are used up"
        if member.tpm and numbers.tokens >= member.tpm:
            return "its tokens per minute are used up"
        return None
