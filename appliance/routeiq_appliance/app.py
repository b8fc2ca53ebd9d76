"""The composition root: settings and configuration in, one ASGI application out.

Everything else receives what it needs.

Order of a start: switches, guard, canaries, database, then the slow parts side by side (LiteLLM's import in this
thread, verification and loading of the artifact in another). Nothing listens before all of it is done.
"""

import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from routeiq_appliance.api.server import Access, Lifespan, Route, Server
from routeiq_appliance.config.deployments import deployments_of
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.egress.canaries import require_silence, try_canaries
from routeiq_appliance.egress.destinations import (
    Destination,
    Destinations,
    destination_of_url,
    parse_destination,
)
from routeiq_appliance.egress.guard import Guard
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.limits import DEFAULT_LIMITS, Limits
from routeiq_appliance.pipeline.authenticate import Authenticator
from routeiq_appliance.pipeline.route import Route as RouteStep
from routeiq_appliance.pipeline.run import Pipeline
from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.routing.interface import RoutingStrategy
from routeiq_appliance.routing.simple import DeclaredOrder, RoundRobin
from routeiq_appliance.settings import Settings, Strategy
from routeiq_appliance.state.database import database_url, describe, open_engine
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.ledger import Ledger
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.state.pepper import ensure_pepper
from routeiq_appliance.state.schema import require_schema
from routeiq_appliance.state.spend import load_spend, spend_logs
from routeiq_appliance.state.teams import TeamStore
from routeiq_appliance.state.users import UserStore
from routeiq_appliance.telemetry.metrics import Metrics, serve_metrics
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Gateway", "arm_egress", "build_gateway", "deployments_of", "open_state", "secrets_of"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Gateway:
    """A gateway ready to serve."""

    app: Server
    pipeline: Pipeline
    metrics: Metrics


def secrets_of(settings: Settings, config: GatewayConfig) -> list[str]:
    """Return what must never be seen in a log."""
    held = [settings.master_key, settings.pepper, settings.database_url]
    secrets = [item.get_secret_value() for item in held if item is not None]
    if settings.database_url is not None:
        password = database_url(settings.database_url.get_secret_value(), settings.data_dir).password
        secrets.append(str(password or ""))
    secrets += [entry.litellm_params.api_key or "" for entry in config.model_list]
    # A secret of a few characters would cut words out of every line.
    return [secret for secret in secrets if len(secret) >= 6]


def arm_egress(settings: Settings, config: GatewayConfig, *, limits: Limits = DEFAULT_LIMITS) -> Guard:
    """Return the guard over the configured destinations; while sealed, first prove that the outside is silent.

    Raises `EgressError` when a canary answers. The caller decides whether the guard watches the whole process.
    """
    destinations: set[Destination] = {
        deployment.destination
        for group in deployments_of(config).values()
        for deployment in group
        if deployment.destination is not None
    }
    if settings.database_url is not None:
        destinations.add(destination_of_url(settings.database_url.get_secret_value()))
    sealed = config.routeiq.egress == "sealed"
    if sealed:
        report = try_canaries(
            [parse_destination(item) for item in config.routeiq.canaries], seconds=limits.canary_seconds
        )
        require_silence(report)
        silent = [str(item) for item in report.tried]
        _LOG.info("egress sealed", extra={"canaries_silent": silent, "seconds": round(report.seconds, 3)})
    else:
        _LOG.warning("egress OPEN: the configuration does not seal this gateway")
    _LOG.info("egress destinations", extra={"destinations": sorted(str(item) for item in destinations)})
    return Guard(Destinations(destinations), sealed=sealed)


def open_state(settings: Settings) -> tuple[sa.Engine, bytes]:
    """Open the database, at this release's schema, and the pepper; raises `StateError` or `ConfigError`."""
    secret = settings.database_url.get_secret_value() if settings.database_url else None
    pepper = settings.pepper.get_secret_value().encode() if settings.pepper else None
    if secret is not None and pepper is None:
        raise ConfigError(
            "ROUTEIQ_PEPPER: required with DATABASE_URL, not set",
            subject="ROUTEIQ_PEPPER",
            hint="make one once, for all replicas: `openssl rand -hex 32`",
        )
    url = database_url(secret, settings.data_dir)
    engine = open_engine(url)
    if secret is None:
        migrate(engine)
    else:
        require_schema(engine)
    _LOG.info("database", extra={"database": describe(url)})
    return engine, pepper or ensure_pepper(settings.data_dir)


def build_gateway(
    settings: Settings,
    config: GatewayConfig,
    guard: Guard,
    *,
    make_upstream: Callable[[], Upstream] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Gateway:
    """Compose a gateway; raises `RouteIQError` for whatever keeps it from serving."""
    # Imported here: FastAPI takes 0.4 s that `routeiq admin migrate` does not need.
    from routeiq_appliance.api.management import build_management  # noqa: PLC0415
    from routeiq_appliance.api.server import current_request_id  # noqa: PLC0415

    engine, pepper = open_state(settings)
    groups = deployments_of(config)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="start") as starter:
        loading = starter.submit(_strategy, settings, config)
        upstream = (make_upstream or (lambda: _litellm(limits)))()
        strategy = loading.result()
    store = KeyStore(engine, pepper)
    metrics = Metrics()
    ledger = Ledger(engine, settings.data_dir / "journal", worker_id=f"{socket.gethostname()}-{os.getpid()}")
    executor = ThreadPoolExecutor(max_workers=4, thread_name_prefix="state")
    authenticator = Authenticator(store, settings.master_key.get_secret_value(), executor, limits)
    pipeline = Pipeline(RouteStep(groups, _candidates(config, groups), strategy), upstream, ledger, metrics)
    metrics.watch("gateway_egress_refused", "Dials outside the configuration", lambda: guard.total)
    metrics.watch("gateway_egress_sealed", "1 while sealed", lambda: int(guard.sealed))
    metrics.watch("gateway_ledger_waiting", "Rows the database has not taken yet", lambda: ledger.waiting)
    running = _Running(settings, config, upstream, ledger, engine, metrics, executor)
    server = Server(
        _routes(settings, config, pipeline, guard, running, limits),
        build_management(
            keys=store,
            teams=TeamStore(engine),
            users=UserStore(engine),
            shared=None,
            executor=executor,
            groups=frozenset(groups),
            request_id=current_request_id,
            load_spend=partial(load_spend, engine),
            spend_logs=partial(spend_logs, engine),
            flush=ledger.flush,
            principal=lambda: None,
        ),
        authenticator,
        metrics,
        Lifespan(running.start, running.stop),
        management_body=limits.management_body_bytes,
    )
    _LOG.info("routing", extra={"strategy": strategy.name, "candidates": list(pipeline.route.candidates),
                                "model_map": config.routeiq.auto.model_map})  # fmt: skip
    return Gateway(server, pipeline, metrics)


class _Running:
    """What lives as long as the server: the ledger's writer, the metrics port, connections."""

    def __init__(
        self,
        settings: Settings,
        config: GatewayConfig,
        upstream: Upstream,
        ledger: Ledger,
        engine: sa.Engine,
        metrics: Metrics,
        executor: ThreadPoolExecutor,
    ) -> None:
        self.ready = False
        self._settings = settings
        self._config = config
        self._upstream = upstream
        self._ledger = ledger
        self._engine = engine
        self._metrics = metrics
        self._executor = executor
        self._stop_metrics: Callable[[], None] | None = None

    async def start(self) -> None:
        if self._settings.metrics_port:
            self._stop_metrics = serve_metrics(
                self._metrics, self._settings.metrics_host, self._settings.metrics_port
            )
        self._ledger.start()
        self.ready = True
        _LOG.info("ready", extra={"egress": self._config.routeiq.egress})

    async def stop(self) -> None:
        self.ready = False
        await self._upstream.close()
        self._ledger.close(seconds=5)
        self._executor.shutdown()
        self._engine.dispose()
        if self._stop_metrics is not None:
            self._stop_metrics()


def _routes(
    settings: Settings,
    config: GatewayConfig,
    pipeline: Pipeline,
    guard: Guard,
    running: _Running,
    limits: Limits,
) -> list[Route]:
    from routeiq_appliance.api.console import ConsoleRoutes  # noqa: PLC0415
    from routeiq_appliance.api.health import HealthRoutes  # noqa: PLC0415
    from routeiq_appliance.api.openai import OpenAIRoutes  # noqa: PLC0415

    openai = OpenAIRoutes(
        pipeline,
        max_body=settings.max_body_bytes,
        extra_names=frozenset(config.routeiq.extra_params),
        limits=limits,
    )
    health = HealthRoutes(ready=lambda: running.ready, egress=lambda: (config.routeiq.egress, guard.total))
    console = ConsoleRoutes(settings.console_path)
    routes = [
        Route("/_health/live", ("GET",), Access.OPEN, health.live),
        Route("/health/liveliness", ("GET",), Access.OPEN, health.live),
        Route("/health/liveness", ("GET",), Access.OPEN, health.live),
        Route("/health/readiness", ("GET",), Access.OPEN, health.readiness),
        Route("/ui/", ("GET",), Access.BROWSER, console.serve),
    ]
    # LiteLLM's proxy answers with and without the version.
    for prefix in ("/v1", ""):
        routes += [
            Route(f"{prefix}/chat/completions", ("POST",), Access.KEY, openai.chat),
            Route(f"{prefix}/completions", ("POST",), Access.KEY, openai.completions),
            Route(f"{prefix}/embeddings", ("POST",), Access.KEY, openai.embeddings),
            Route(f"{prefix}/models", ("GET",), Access.KEY, openai.models),
        ]
    return routes


def _candidates(config: GatewayConfig, groups: dict[str, list[Deployment]]) -> list[str]:
    auto = config.routeiq.auto
    chat = [
        group for group, members in groups.items() if any(member.mode != "embedding" for member in members)
    ]
    if auto.candidates is not None:
        return auto.candidates
    return [group for group in chat if group in auto.model_map] if auto.artifact else chat


def _strategy(settings: Settings, config: GatewayConfig) -> RoutingStrategy:
    wanted: Strategy = settings.strategy
    if wanted == "auto":
        wanted = "ml" if config.routeiq.auto.artifact else "declared-order"
    if wanted == "round-robin":
        return RoundRobin()
    if wanted == "declared-order":
        return DeclaredOrder()
    from routeiq_appliance.routing.artifact import load_router  # noqa: PLC0415 - onnxruntime, numpy
    from routeiq_appliance.routing.learned import Learned  # noqa: PLC0415

    auto = config.routeiq.auto
    router = load_router(
        auto, models_path=settings.models_path, trust_key=settings.trust_key, bundle_json=settings.bundle_json
    )
    return Learned(router, auto.model_map, cost_weight=auto.cost_weight)


def _litellm(limits: Limits) -> Upstream:
    from routeiq_appliance.upstreams.litellm import LitellmUpstream  # noqa: PLC0415 - 2.5 s, 200 MB

    return LitellmUpstream(limits)
