"""Which routing strategy decides for `auto`, by which objective, and whether the caller's hint does (D1, C9). Pure.

The first of: request header, key (else its team), live setting, `config.yaml`, environment. What is named and not
there is passed over, and the decision's record says so: a wish never fails a call. A hint chooses only among the
candidates that the key may use; a group that was asked for by name is never rewritten (`pipeline.route`).
"""

from collections.abc import Mapping, Sequence

from routeiq_appliance.routing.interface import RoutingStrategy
from routeiq_router.objective import Objective

__all__ = ["Objectives", "Strategies", "follow_hint"]

_LEARNED = "ml"
_SHOWN = 64
"""Characters of a caller's own words that a record repeats."""


class Strategies:
    """The strategies of this worker by name: one or more, the first decides when no name leads to one."""

    def __init__(
        self, available: Mapping[str, RoutingStrategy], *, config: str | None, environment: str | None
    ) -> None:
        self._available = available
        self._settled = _first(
            available, (("config.yaml", config), ("ROUTEIQ_STRATEGY", environment))
        )  # neither changes while the worker runs
        self.default = self._settled[0].name

    def choose(
        self, *, header: str | None, principal: str | None, live: str | None
    ) -> tuple[RoutingStrategy, str | None]:
        """Return the strategy, and the note about what was passed over."""
        if header is None and principal is None and live is None:
            return self._settled
        wishes = (("x-routeiq-strategy", header), ("the key", principal), ("the live setting", live))
        return _first(self._available, wishes, self._settled)


class Objectives:
    """The objectives of this worker; what `config.yaml` says, else the environment, else quality alone."""

    def __init__(self, *, config: Objective | None = None, environment: Objective | None = None) -> None:
        self._settled = (
            (config, "config.yaml")
            if config is not None
            else (environment, "ROUTEIQ_OBJECTIVE")
            if environment is not None
            else (Objective(), "the default")
        )

    def choose(self, *, header: Objective | None, principal: Objective | None) -> tuple[Objective, str]:
        """Return the objective, and who says it."""
        if header is not None:
            return header, "x-routeiq-objective"
        if principal is not None:
            return principal, "the key"
        return self._settled


def follow_hint(
    hint: str | None, candidates: Sequence[str], aliases: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Return the hinted group when it, or what it is an alias of, is a candidate that the key may use; else why not."""
    if hint is None:
        return None, None
    if hint in candidates:
        return hint, None
    group = aliases.get(hint)
    if group in candidates:
        return group, None
    return None, f"the hint `{hint[:_SHOWN]}` is no candidate for this key"


def _first(
    available: Mapping[str, RoutingStrategy],
    wishes: Sequence[tuple[str, str | None]],
    otherwise: tuple[RoutingStrategy, str | None] | None = None,
) -> tuple[RoutingStrategy, str | None]:
    notes: list[str] = []
    for where, name in wishes:
        if name is None:
            continue
        found = available.get(name)
        if found is not None:
            return found, "; ".join(notes) or None
        why = "which has no artifact here" if name == _LEARNED else "which is no strategy"
        notes.append(f"{where} names `{name[:_SHOWN]}`, {why}")
    found, note = otherwise or (next(iter(available.values())), None)
    return found, "; ".join((*notes, note) if note else notes) or None
