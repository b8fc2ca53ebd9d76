"""Which routing strategy decides for `auto`, and whether the caller's hint does. Pure.

The first of: request header, key (else its team), live setting, `config.yaml`, environment. What is named and not
there is passed over, and the decision's record says so.
"""

from collections.abc import Mapping, Sequence

from routeiq_appliance.routing.interface import RoutingStrategy

__all__ = ["Strategies", "follow_hint"]


class Strategies:
    """The strategies of this worker by name."""

    def __init__(
        self, available: Mapping[str, RoutingStrategy], *, config: str | None, environment: str | None
    ) -> None:
        self._available = available
        self._settled = (("config.yaml", config), ("ROUTEIQ_STRATEGY", environment))
        found, _ = self.choose(header=None, principal=None, live=None)
        self.default = found.name

    def choose(
        self, *, header: str | None, principal: str | None, live: str | None
    ) -> tuple[RoutingStrategy, str | None]:
        """Return the strategy, and the note about what was passed over."""
        notes: list[str] = []
        named = (
            ("x-routeiq-strategy", header),
            ("the key", principal),
            ("the live setting", live),
            *self._settled,
        )
        for where, name in named:
            if name is None:
                continue
            found = self._available.get(name)
            if found is not None:
                return found, "; ".join(notes) or None
            notes.append(f"{where} names `{name[:64]}`, which is not available")
        return next(iter(self._available.values())), "; ".join(notes) or None


def follow_hint(
    hint: str | None, candidates: Sequence[str], aliases: Mapping[str, str]
) -> tuple[str | None, str | None]:
    """Return the hinted group when it is a candidate that the key may use, else the reason why not (C9)."""
    if hint is None:
        return None, None
    group = aliases.get(hint, hint)
    if group in candidates:
        return group, None
    return None, f"the hint `{hint[:64]}` is no candidate for this key"
