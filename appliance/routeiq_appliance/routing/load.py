"""Makes the routing strategies that a configuration allows; the learned one only from a verified artifact."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from routeiq_appliance.config.models import AutoSection, GatewayConfig
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.pipeline.types import GENERATES, Deployment
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.interface import RoutingStrategy
from routeiq_appliance.routing.precedence import Objectives
from routeiq_appliance.routing.simple import DeclaredOrder, LeastBusy, Random, RoundRobin
from routeiq_appliance.settings import Settings
from routeiq_router.objective import Objective, read_objective

if TYPE_CHECKING:
    from routeiq_router.router import Router

__all__ = ["candidates_of", "for_groups", "load_strategies", "objectives_of", "strategy_names"]

_LOG = logging.getLogger(__name__)


def candidates_of(config: GatewayConfig, groups: Mapping[str, Sequence[Deployment]]) -> list[str]:
    """Return the groups that `auto` chooses from."""
    auto = config.routeiq.auto
    if auto.candidates is not None:
        return auto.candidates
    chat = [group for group, members in groups.items() if any(m.mode in GENERATES for m in members)]
    # With a map, what is in it; an artifact without one calls the groups by their own names.
    return [group for group in chat if group in auto.model_map] if auto.artifact and auto.model_map else chat


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
        _require_calibrated(auto, router, candidates_of(config, groups))
        found["ml"] = Learned(router, auto.model_map, keep_embeddings=auto.keep_embeddings)
    return found


def objectives_of(settings: Settings, config: GatewayConfig) -> Objectives:
    """Return what `config.yaml` and the environment say about the objective; both were checked when they were read."""
    auto = config.routeiq.auto
    configured = None
    if auto.objective is not None:
        configured = read_objective(auto.objective)
    elif "cost_weight" in auto.model_fields_set:
        configured = Objective(cost=auto.cost_weight)
    told = settings.objective
    return Objectives(config=configured, environment=None if told is None else read_objective(told))


def _require_calibrated(auto: AutoSection, router: "Router", candidates: Sequence[str]) -> None:
    """Raise `ConfigError` when the artifact knows none of the candidates; warn about those that it does not know."""
    unknown = [group for group in candidates if group not in auto.model_map and group not in router.models]
    if candidates and len(unknown) == len(candidates):
        raise ConfigError(
            f"routeiq.auto.model_map: artifact {router.name!r} knows none of the candidates",
            subject="routeiq.auto.model_map",
            hint=f"map each group to one of its models: {', '.join(router.models[:20])}",
        )
    for group in unknown:
        _LOG.warning("candidate is not calibrated: it comes after those that are", extra={"group": group})


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
