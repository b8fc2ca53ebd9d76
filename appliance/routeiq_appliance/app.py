"""The composition root: settings and configuration in, one ASGI application out.

Everything else receives what it needs.

Order of a start: switches, guard, canaries, database, then the slow parts side by side (LiteLLM's import in this
thread, verification and loading of the artifact in another). Nothing listens before all of it is done.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from routeiq_appliance.api.console import ConsoleRoutes
from routeiq_appliance.api.dataplane import DataPlane
from routeiq_appliance.api.health import HealthRoutes
from routeiq_appliance.api.lazy import LazyManagement
from routeiq_appliance.api.routes import routes_of
from routeiq_appliance.api.server import ASGI, Lifespan, Server
from routeiq_appliance.cache.opening import open_cache
from routeiq_appliance.config.deployments import needs_litellm, unpriced
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.policy import CallPolicy, call_policy
from routeiq_appliance.egress.guard import Guard
from routeiq_appliance.errors import StateError
from routeiq_appliance.lifetime import Lifetime
from routeiq_appliance.limits import DEFAULT_LIMITS, Limits
from routeiq_appliance.pipeline.admit import Room
from routeiq_appliance.pipeline.attempt import Watchers
from routeiq_appliance.pipeline.authenticate import Authenticator
from routeiq_appliance.pipeline.run import Pipeline
from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.policy.opening import open_policy
from routeiq_appliance.routing.balance import make_balancer
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.breaker import Health, State
from routeiq_appliance.routing.load import load_strategies, objectives_of, strategy_names
from routeiq_appliance.settings import Settings
from routeiq_appliance.state.budgets import BudgetStore
from routeiq_appliance.state.embeddings import EmbeddingKeeper
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.ledger import Ledger
from routeiq_appliance.state.members import MemberStore
from routeiq_appliance.state.opening import open_state
from routeiq_appliance.state.organizations import OrganizationStore
from routeiq_appliance.state.shared.interface import Notice, SharedState
from routeiq_appliance.state.shared.memory import MemoryState
from routeiq_appliance.state.spend import load_spend, spend_logs
from routeiq_appliance.state.teams import TeamStore
from routeiq_appliance.state.users import UserStore
from routeiq_appliance.stored.live import LiveModels
from routeiq_appliance.stored.opening import Stored, open_stored
from routeiq_appliance.stored.table import LiveNames, TableMaker, Tables
from routeiq_appliance.telemetry.logs import CallLog
from routeiq_appliance.telemetry.metrics import BreakerState, Metrics, serve_metrics
from routeiq_appliance.telemetry.target import read_target
from routeiq_appliance.telemetry.tracing import Tracer, make_tracer
from routeiq_appliance.upstreams.both import open_upstreams
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Gateway", "build_gateway"]

_LOG = logging.getLogger(__name__)
_STATE_THREADS = 4
_SHOWN: Mapping[State, BreakerState] = {
    State.CLOSED: "closed",
    State.OPEN: "open",
    State.HALF_OPEN: "half_open",
}
_LEASE_GRACE_SECONDS = 60.0
"""How much longer than its deadline a call keeps its reservations, if its worker dies."""


@dataclass(frozen=True)
class Gateway:
    """A gateway ready to serve."""

    app: Server
    pipeline: Pipeline
    metrics: Metrics
    models: LiveModels


def build_gateway(
    settings: Settings,
    config: GatewayConfig,
    guard: Guard,
    log: CallLog,
    *,
    worker_id: str,
    workers: int = 1,
    make_upstream: Callable[[], Upstream] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Gateway:
    """Compose a worker; raises `RouteIQError` for whatever keeps it from serving."""
    engine, pepper = open_state(settings)
    stored = open_stored(settings, config, guard.given.rules, engine)
    groups = stored.models.groups
    policy = call_policy(config)
    board, metrics = Board(), Metrics(workers=workers)
    make_upstream = make_upstream or partial(
        open_upstreams,
        limits,
        litellm=needs_litellm(stored.models.config),
        translate=config.routeiq.translate,
    )
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="start") as starter:
        loading = starter.submit(load_strategies, settings, config, groups, board, metrics.loaded)
        upstream = make_upstream()
        strategies = loading.result()
    executor = ThreadPoolExecutor(max_workers=_STATE_THREADS, thread_name_prefix="state")
    shared = _shared_state(settings, engine, executor, worker_id)
    health = _health(settings, policy, groups, shared, metrics)
    ledger = Ledger(engine, settings.data_dir / "journal", worker_id=worker_id)
    tracer = _tracer(settings)
    store = KeyStore(engine, pepper)
    authenticator = Authenticator(
        store,
        settings.master_key.get_secret_value(),
        executor,
        limits,
        shared=shared,
        team_parallel=config.routeiq.limits.team_max_parallel_requests,
    )
    total = config.routeiq.deadlines.total
    cache = open_cache(settings, config.routeiq.cache, pepper, metrics)
    keeper = open_policy(settings, config.routeiq.policy, groups, policy.aliases, limits, metrics)
    maker = TableMaker(
        policy=policy,
        strategies=strategies,
        strategy_names=strategy_names(settings, config),
        objectives=objectives_of(settings, config),
        balancer=make_balancer(policy.balancing, board=board),
        upstream=upstream,
        watchers=Watchers(health, board, shared),
        total_seconds=total,
        lease_seconds=total + _LEASE_GRACE_SECONDS,
    )
    table = maker.make(stored.models.config, groups)
    auto = config.routeiq.auto
    embeddings = (
        EmbeddingKeeper(engine, days=auto.keep_embeddings_days, rows=auto.keep_embeddings_rows)
        if auto.keep_embeddings
        else None
    )
    pipeline = Pipeline(
        table.route,
        table.caller,
        shared,
        ledger,
        table.estimator,
        metrics,
        tracer,
        log,
        Room(settings.max_concurrent_requests),
        affinity_seconds=config.routeiq.affinity_seconds,
        cache=cache,
        policy=keeper.gate if keeper is not None else None,
        keep_embedding=embeddings.keep if embeddings is not None else None,
    )
    tables = Tables(maker, pipeline, table)
    live = LiveModels(
        stored.models, stored.read, stored.store.generation, executor, shared,
        install=lambda models: tables.install(models.config, models.groups),
    )  # fmt: skip
    port = partial(serve_metrics, metrics, settings.metrics_host, settings.metrics_port)
    lifetime = Lifetime(
        upstream, shared, ledger, engine, metrics, tracer, executor,
        serve_metrics=port if workers == 1 and settings.metrics_port else None, egress=config.routeiq.egress,
        cache=cache, policy=keeper, models=live, embeddings=embeddings,
    )  # fmt: skip
    _watch(metrics, guard, ledger, shared, authenticator, tracer, log)
    plane = DataPlane(
        pipeline,
        max_body=settings.max_body_bytes,
        extra_names=frozenset(config.routeiq.extra_params),
        keep_alive_seconds=config.routeiq.keep_alive_seconds,
        limits=limits,
    )
    probes = HealthRoutes(
        ready=lambda: lifetime.ready, egress=lambda: (config.routeiq.egress, guard.total),
        degraded=lambda: {"redis": shared.degraded, "postgresql": authenticator.away,
                          "policy": keeper is not None and keeper.degraded},
    )  # fmt: skip
    known = LiveNames(lambda: pipeline.route)
    management = LazyManagement(
        partial(_management, engine, store, shared, executor, known, frozenset(strategies), ledger,
                (settings, engine, shared, upstream, stored, live, health, workers))
    )  # fmt: skip
    server = Server(
        routes_of(plane, probes, ConsoleRoutes(settings.console_path)),
        management,
        authenticator,
        metrics,
        Lifespan(lifetime.start, lifetime.stop),
        management_body=limits.management_body_bytes,
    )
    _LOG.info("routing", extra={"strategy": table.route.strategies.default, "candidates": table.route.candidates,
                                "balancing": policy.balancing, "model_map": config.routeiq.auto.model_map})  # fmt: skip
    for name in unpriced(stored.models.config):
        _LOG.warning("deployment is unpriced: budgets do not see its calls", extra={"deployment": name})
    return Gateway(server, pipeline, metrics, live)


def _shared_state(
    settings: Settings, engine: sa.Engine, executor: ThreadPoolExecutor, worker_id: str
) -> SharedState:
    async def spent(pairs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
        try:
            return await asyncio.get_running_loop().run_in_executor(executor, load_spend, engine, pairs)
        except sa.exc.SQLAlchemyError as error:
            raise StateError("the ledger does not answer") from error

    if settings.redis_url is None:
        return MemoryState(spent)
    from routeiq_appliance.state.shared.redis import RedisState  # noqa: PLC0415 - only where there is a Redis

    return RedisState(settings.redis_url.get_secret_value(), spent, worker_id=worker_id)


def _health(
    settings: Settings,
    policy: CallPolicy,
    groups: Mapping[str, Sequence[Deployment]],
    shared: SharedState,
    metrics: Metrics,
) -> Health:
    """Return the breakers; what opens one in this worker opens it in all (H4)."""

    def changed(name: str, state: State) -> None:
        metrics.breaker(name, _SHOWN[state])
        _LOG.warning("breaker", extra={"deployment": name, "state": state.value})
        shared.publish(Notice("breaker", f"{worker}/{name}={state.value}"))

    def heard(notice: Notice) -> None:
        if notice.kind == "breaker":
            sender, _, value = notice.value.partition("/")
            if sender != worker:
                change = health.apply(value, time.monotonic())
                if change is not None:
                    metrics.breaker(change[0], _SHOWN[change[1]])

    worker = os.urandom(8).hex()  # its own notices come back to it
    health = Health(
        [member.id for members in groups.values() for member in members],
        failures=settings.breaker_failures,
        seconds=settings.breaker_seconds,
        allowed_fails=policy.allowed_fails,
        cooldown_seconds=policy.cooldown_seconds,
        on_change=changed,
    )
    shared.subscribe(heard)
    return health


def _tracer(settings: Settings) -> Tracer:
    target = None
    if settings.otel_endpoint is not None and settings.otel_traces_exporter == "otlp":
        headers = settings.otel_headers.get_secret_value() if settings.otel_headers else ""
        target = read_target(settings.otel_endpoint, protocol=settings.otel_protocol, headers=headers)
    return make_tracer(
        target,
        service=settings.otel_service_name,
        worker_id=os.getpid(),
        sampler=settings.otel_traces_sampler,
        sampler_arg=str(settings.otel_traces_sampler_arg),
        certificate=settings.otel_certificate,
    )


def _management(
    engine: sa.Engine,
    keys: KeyStore,
    shared: SharedState,
    executor: ThreadPoolExecutor,
    groups: AbstractSet[str],
    strategies: frozenset[str],
    ledger: Ledger,
    live: tuple[Settings, sa.Engine, SharedState, Upstream, Stored, LiveModels, Health, int],
) -> ASGI:
    # FastAPI takes 0.2 s that the data plane need not wait for.
    from routeiq_appliance.api.management import build_management  # noqa: PLC0415
    from routeiq_appliance.api.management.live import live_routes  # noqa: PLC0415
    from routeiq_appliance.api.server import current_principal, current_request_id  # noqa: PLC0415

    return build_management(
        keys=keys,
        teams=TeamStore(engine),
        users=UserStore(engine),
        organizations=OrganizationStore(engine),
        budgets=BudgetStore(engine),
        members=MemberStore(engine),
        shared=shared,
        executor=executor,
        groups=groups,
        request_id=current_request_id,
        load_spend=partial(load_spend, engine),
        spend_logs=partial(spend_logs, engine),
        flush=lambda seconds: ledger.flush(seconds=seconds),
        engine=engine,
        folder=live[0].data_dir,
        principal=current_principal,
        strategies=strategies,
        more=live_routes(*live),
    )


def _watch(
    metrics: Metrics,
    guard: Guard,
    ledger: Ledger,
    shared: SharedState,
    authenticator: Authenticator,
    tracer: Tracer,
    log: CallLog,
) -> None:
    metrics.watch_degraded("redis", lambda: int(shared.degraded))
    metrics.watch_degraded("postgresql", lambda: int(authenticator.away))
    metrics.watch_backend("redis", lambda: int(not shared.degraded))
    metrics.watch_backend("postgres", lambda: int(not authenticator.away))
    metrics.watch("gateway_egress_refused", "Dials outside the configuration", lambda: guard.total)
    metrics.watch("gateway_egress_sealed", "1 while sealed", lambda: int(guard.sealed), combine="min")
    metrics.watch("gateway_ledger_waiting", "Rows the database has not taken yet", lambda: ledger.waiting)
    metrics.watch("gateway_ledger_refused", "Rows the database can never take", lambda: ledger.refused)
    metrics.watch("gateway_trace_spans_unsent", "Spans no collector has taken", lambda: tracer.unsent)
    metrics.watch("gateway_log_lines_dropped", "Log lines nobody read in time", lambda: log.dropped)
