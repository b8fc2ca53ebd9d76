"""Makes the routing strategies that a configuration allows; the learned one only from a verified artifact."""

import time
from collections.abc import Callable, Mapping, Sequence

from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.pipeline.types import GENERATES, Deployment
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.interface import RoutingStrategy
from routeiq_appliance.routing.simple import DeclaredOrder, LeastBusy, Random, RoundRobin
from routeiq_appliance.settings import Settings

__all__ = ["candidates_of", "for_groups", "load_strategies", "strategy_names"]


def candidates_of(config: GatewayConfig, groups: Mapping[str, Sequence[Deployment]]) -> list[str]:
    """Return the groups that `auto` chooses from."""
    auto = config.routeiq.auto
    if auto.candidates is not None:
        return auto.candidates
    chat = [group for group, members in groups.items() if any(m.mode in GENERATES for m in members)]
    return [group for group in chat if group in auto.model_map] if auto.artifact else chat


def load_strategies(
    settings: Settings,
    config: GatewayConfig,
    groups: Mapping[str, Sequence[Deployment]],
    board: Board,
    loaded: Callable[[str, float], None],
) -> dict[str, RoutingStrategy]:
    """Return the strategies by name; `ml` only where an artifact is configured, verified and loaded.

    `loaded` is told the seconds that this took (K5).

    Raises `RouteIQError` when an artifact is named that does not verify, or `ml` is asked for without one.
    """
    members = {name: tuple(d.id for d in deployments) for name, deployments in groups.items()}
    found: dict[str, RoutingStrategy] = {
        "declared-order": DeclaredOrder(),
        "round-robin": RoundRobin(),
        "random": Random(),
        "least-busy": LeastBusy(board, members),
    }
    auto = config.routeiq.auto
    if auto.artifact or "ml" in strategy_names(settings, config):
        from routeiq_appliance.routing.artifact import load_router  # noqa: PLC0415 - onnxruntime, numpy
        from routeiq_appliance.routing.learned import Learned  # noqa: PLC0415

        started = time.monotonic()
        router = load_router(
            auto,
            models_path=settings.models_path,
            trust_key=settings.trust_key,
            bundle_json=settings.bundle_json,
            unsafe_artifacts=config.routeiq.unsafe_artifacts,
        )
        loaded("ml", time.monotonic() - started)
        found["ml"] = Learned(router, auto.model_map, cost_weight=auto.cost_weight)
    return found


def for_groups(
    strategies: Mapping[str, RoutingStrategy], groups: Mapping[str, Sequence[Deployment]], board: Board
) -> dict[str, RoutingStrategy]:
    """Return the strategies as they are for other groups: those that know no deployments stay the same."""
    members = {name: tuple(d.id for d in deployments) for name, deployments in groups.items()}
    return {**strategies, "least-busy": LeastBusy(board, members)}


def strategy_names(settings: Settings, config: GatewayConfig) -> tuple[str | None, str]:
    """Return the configuration's strategy and the environment's; `auto` is `ml` with an artifact, else as declared."""
    default = "ml" if config.routeiq.auto.artifact else "declared-order"
    configured, environment = config.routeiq.auto.strategy, settings.strategy
    return default if configured == "auto" else configured, default if environment == "auto" else environment
