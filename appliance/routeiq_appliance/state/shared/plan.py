"""What an admission to a set of scopes says to Redis, prepared once for each set, and what its answer means. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    LimitKind,
    Refusal,
    Scope,
    Settlement,
    Standing,
    Verdict,
)
from routeiq_appliance.state.shared.rules import WINDOW_MS, is_limited
from routeiq_appliance.state.shared.spending import Pair, Spending

__all__ = ["Plan", "spend_key"]

_KINDS: tuple[LimitKind, ...] = ("requests", "tokens", "parallel", "budget")
"""By the number that `admit.lua` answers, from 1."""


class Plan:
    """For one tuple of scopes; those without limits are left out."""

    __slots__ = ("_keys", "_limits", "_settled", "limited", "pairs", "parallel")

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self.limited = tuple(scope for scope in scopes if is_limited(scope))
        self.pairs: tuple[Pair, ...] = tuple((s.name, s.period) for s in self.limited if s.budget is not None)
        """The budgets."""
        self.parallel = any(scope.parallel is not None for scope in self.limited)
        keys = [
            key for s in self.limited for key in (f"routeiq:limit:{s.name}", spend_key((s.name, s.period)))
        ]
        self._keys = (len(keys), *keys)
        self._limits = tuple(
            "" if limit is None else limit
            for s in self.limited
            for limit in (s.rpm, s.tpm, s.parallel, s.budget, None)
        )
        self._settled = tuple("" if s.budget is None else 1 for s in self.limited)

    def admit(
        self, admission: Admission, now: object, seeds: Mapping[Pair, int | None] | None = None
    ) -> tuple[Any, ...]:
        """Return keys and arguments of `admit.lua`. `seeds`: what was spent; None lets that budget pass."""
        return (
            *self._keys,
            now,
            admission.call_id,
            admission.tokens,
            admission.cost,
            int(admission.lease_seconds * 1000),
            *(self._limits if seeds is None else self._seeded(seeds)),
        )

    def settle(self, settlement: Settlement, now: object, since: object = "") -> tuple[Any, ...]:
        """Return keys and arguments of `settle.lua`."""
        call_id = settlement.grant.admission.call_id
        return (*self._keys, now, call_id, settlement.tokens, settlement.cost, since, *self._settled)

    def read(self, reply: list[Any], admission: Admission, spending: Spending) -> Verdict | None:
        """Return the verdict, None when spend is unknown (`unknown` tells whose)."""
        if reply[0] == 1:
            return self._granted(reply, admission, spending)
        if reply[0] == 0:
            _, _, number, kind, wait = reply
            scope = self.limited[number - 1]
            limits = (scope.rpm, scope.tpm, scope.parallel, scope.budget)
            retry_after = None if wait < 0 else wait / 1000
            return Verdict(
                None, Refusal(scope.name, _KINDS[kind - 1], limits[kind - 1] or 0, retry_after), ()
            )
        return None

    def unknown(self, reply: list[Any]) -> list[Scope]:
        """Return the scopes whose spend Redis does not know."""
        return [self.limited[number - 1] for number in reply[2:]]

    def _granted(self, reply: list[Any], admission: Admission, spending: Spending) -> Verdict:
        standings: list[Standing] = []
        now, at = reply[1], 2
        for scope in self.limited:
            rpm, tpm = scope.rpm, scope.tpm
            if rpm is not None or tpm is not None:
                requests, tokens = reply[at + 1], reply[at + 2]
                standings.append(
                    Standing(
                        scope.name,
                        None if rpm is None else max(0, rpm - requests),
                        None if tpm is None else max(0, tpm - tokens),
                        min(WINDOW_MS, reply[at] + WINDOW_MS - now) / 1000,
                    )
                )
            if scope.budget is not None and (spent := reply[at + 3]):
                spending.note((scope.name, scope.period), int(spent))
            at += 4
        return Verdict(Grant(admission), None, tuple(standings))

    def _seeded(self, seeds: Mapping[Pair, int | None]) -> tuple[Any, ...]:
        arguments: list[Any] = []
        for scope in self.limited:
            pair = (scope.name, scope.period)
            seed = seeds.get(pair)
            budget = None if pair in seeds and seed is None else scope.budget
            limits = (scope.rpm, scope.tpm, scope.parallel, budget, seed)
            arguments += ["" if limit is None else limit for limit in limits]
        return tuple(arguments)


def spend_key(pair: Pair) -> str:
    """Return where a scope's spend in a period is kept."""
    return f"routeiq:spend:{pair[0]}:{pair[1]}"
