"""What happens when a group cannot answer, from `router_settings` over `litellm_settings`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.sections import BALANCING

__all__ = ["CallPolicy", "call_policy"]

_COOLDOWN_SECONDS = 5.0  # LiteLLM's DEFAULT_COOLDOWN_TIME_SECONDS


@dataclass(frozen=True, slots=True)
class CallPolicy:
    """How calls are balanced and replaced. Names of groups are those of `model_list`: aliases are resolved."""

    balancing: str = "round-robin"
    """The balancing strategy by our name (`config.sections.BALANCING`)."""
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    context_window_fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_fallbacks: tuple[str, ...] = ()
    """For groups without an entry in `fallbacks`."""
    default_context_window_fallbacks: tuple[str, ...] = ()
    retry_after: float = 0.0
    """Least seconds between two attempts in a group."""
    allowed_fails: int | None = None
    """Failures in a minute after which a deployment rests; None: the breaker alone decides."""
    cooldown_seconds: float = _COOLDOWN_SECONDS
    tag_filtering: bool = False
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Other name → group."""

    def after(self, group: str) -> tuple[str, ...]:
        """Return the groups to try, in order, when `group` cannot answer; never itself."""
        return _without(group, self.fallbacks.get(group, self.default_fallbacks))

    def after_too_long(self, group: str) -> tuple[str, ...]:
        """Return the groups to try for a call that is too long for `group`; else the ordinary ones."""
        found = self.context_window_fallbacks.get(group, self.default_context_window_fallbacks)
        return _without(group, found) or self.after(group)


def call_policy(config: GatewayConfig) -> CallPolicy:
    """Build the policy of a configuration that was checked."""
    aliases = {
        alias: group
        for alias, group in (config.router.model_group_alias or {}).items()
        if isinstance(group, str)
    }
    ordinary = _table(_chosen(config, "fallbacks"), aliases)
    too_long = _table(_chosen(config, "context_window_fallbacks"), aliases)
    default = tuple(aliases.get(group, group) for group in _chosen(config, "default_fallbacks") or ())
    cooldown = _chosen(config, "cooldown_time")
    return CallPolicy(
        balancing=BALANCING[config.router.routing_strategy],
        default_fallbacks=ordinary.pop("*", default),
        default_context_window_fallbacks=too_long.pop("*", ()),
        fallbacks=ordinary,
        context_window_fallbacks=too_long,
        retry_after=config.router.retry_after,
        allowed_fails=_chosen(config, "allowed_fails"),
        cooldown_seconds=_COOLDOWN_SECONDS if cooldown is None else cooldown,
        tag_filtering=config.router.enable_tag_filtering,
        aliases=aliases,
    )


def _chosen(config: GatewayConfig, name: str) -> Any:
    value = getattr(config.router, name)
    return getattr(config.litellm, name) if value is None else value


def _table(
    given: list[dict[str, list[str]]] | None, aliases: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    return {
        aliases.get(group, group): tuple(dict.fromkeys(aliases.get(target, target) for target in targets))
        for entry in given or []
        for group, targets in entry.items()
    }


def _without(group: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(other for other in groups if other != group) if group in groups else groups
