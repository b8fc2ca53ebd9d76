"""What the gateway counts: one `Metrics` per worker. `exposition` shows them and adds up several workers.

Rules:

1. Labels are groups, providers, deployments, teams, statuses, and outcomes of ours: never what a caller wrote. Outcomes
   beyond `_MAX_OUTCOMES` different ones count as `other`: an upstream may have a say in them.
2. A call costs a few look-ups: the label children of a combination are found once and kept.

The methods are called on the event loop; gauges are read by the thread that shows them.
"""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal

from prometheus_client import CollectorRegistry, Gauge, values

from routeiq_appliance.errors import ApplianceError
from routeiq_appliance.pipeline.types import Attempt
from routeiq_appliance.telemetry.exposition import serve_metrics
from routeiq_appliance.telemetry.families import Families
from routeiq_appliance.telemetry.spans import ANSWERED, ROUTES

__all__ = ["Backend", "BreakerState", "Combine", "Metrics", "serve_metrics"]

Combine = Literal["sum", "max", "min"]
"""How a gauge's values of several workers become one."""
Backend = Literal["postgres", "redis"]
BreakerState = Literal["closed", "open", "half_open"]

_STATES: tuple[BreakerState, ...] = ("closed", "open", "half_open")
_MODES: dict[Combine, Literal["livesum", "livemax", "livemin"]] = {
    "sum": "livesum",
    "max": "livemax",
    "min": "livemin",
}
_MAX_OUTCOMES = 100


class Metrics:
    """The metrics of one worker.

    `workers` above one: this process was started with the variables of `exposition.prepare_multiprocess`; raises
    `ApplianceError` when it was not, because each worker would then show its own numbers as everybody's.
    """

    def __init__(self, *, workers: int = 1) -> None:
        self.registry = CollectorRegistry()
        self._several = workers > 1
        # prometheus_client decides this once, when it is imported.
        if self._several and not getattr(values.ValueClass, "_multiprocess", False):
            raise ApplianceError(
                "metrics: several workers, but this process does not share its counters",
                hint="start workers with the variables of prepare_multiprocess",
            )
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        self._gauges: dict[str, Gauge] = {}
        self._outcomes: dict[str, str] = {}
        self._running = [0, 0]
        self._flights = (_Flight(self._running, stream=False), _Flight(self._running, stream=True))
        self._calls: dict[tuple[Any, ...], _CallChildren] = {}
        self._tries: dict[tuple[str, str], tuple[Callable[[float], None], Callable[[float], None]]] = {}
        self._choices: dict[tuple[str, str, bool], tuple[Callable[[float], None], Callable[[], None]]] = {}
        self._lookups: dict[tuple[str, str | None, str | None], Callable[[], None]] = {}
        self._judged: dict[str, Callable[[float], None]] = {}
        self._families = Families(self.registry)
        self.watch("litellm_in_flight_requests", "Calls under way", lambda: self._running[0])
        self.watch("active_llm_streams", "Streams under way", lambda: self._running[1])  # K8

    def in_flight(self, *, stream: bool) -> "_Flight":
        """Count a call while the returned context is open."""
        return self._flights[stream]

    def refused(self, status: int, reason: str = "") -> None:
        """Count a request that was refused before it went to an upstream. `reason` is a code of ours."""
        self._families.refused.labels(str(status), self._bounded(reason or "none")).inc()

    def settled(self, row: Mapping[str, Any], attempts: Sequence[Attempt] = ()) -> None:
        """Count a call by its ledger row, its attempts by the tally's."""
        status, provider, team = row["status"], row.get("provider"), row.get("team_id")
        key = (row["kind"], row["group"], provider, team, status)
        children = self._calls.get(key)
        if children is None:
            children = self._calls[key] = _CallChildren(self._families, *key)
        children.count()
        children.seconds(row["duration_ms"] / 1000)
        if row["prompt_tokens"]:
            children.read(row["prompt_tokens"])
        if row["completion_tokens"]:
            children.written(row["completion_tokens"])
        cost = row.get("cost")
        if cost:
            children.spend(cost / 1e12)
        elif cost is None and status < 400:
            children.unpriced()
        first = row.get("first_token_ms")
        if first is not None:
            children.first_token(first / 1000)
        decision = row["decision"]
        if decision is not None:
            self._decided(decision["strategy"], children.model, decision["ms"] / 1000, failed=status >= 400)
        if status >= 400:
            labels = (children.model, children.provider, children.team, str(status))
            self._families.failed.labels(*labels, self._bounded(row["outcome"])).inc()
        if attempts:
            self._tried(attempts)

    def judged(self, action: str, seconds: float) -> None:
        """Note how long the policy took to judge a call, by what came of it (K6)."""
        found = self._judged.get(action)
        if found is None:
            found = self._judged[action] = self._families.policy.labels(action).observe
        found(seconds)

    def cached(self, model: str, team: str | None, level: str | None) -> None:
        """Count a look-up in the cache by what had the answer (`memory`, `redis`); None is a miss."""
        key = (model, team, level)
        found = self._lookups.get(key)
        if found is None:
            families, whose = self._families, team or "none"
            found = self._lookups[key] = (
                families.cache_misses.labels(model, whose)
                if level is None
                else families.cache_hits.labels(model, whose, level)
            ).inc
        found()

    def watch(
        self,
        name: str,
        text: str,
        value: Callable[[], float],
        *,
        labels: Mapping[str, str] | None = None,
        combine: Combine = "sum",
    ) -> None:
        """Show a number that someone else keeps: read when scraped, with several workers once a second."""
        gauge = self._gauge(name, text, tuple(labels or ()), combine)
        child = gauge.labels(**labels) if labels else gauge
        if self._several:
            self._watched.append((child, value))
        else:
            child.set_function(value)

    def watch_degraded(self, service: str, value: Callable[[], float]) -> None:
        """Show whether a control is weakened for want of a backend: 1 or 0 (K7)."""
        text = "1 while a control is weakened because this service is away"
        self.watch("gateway_degraded_mode", text, value, labels={"service": service}, combine="max")

    def watch_backend(self, backend: Backend, up: Callable[[], float]) -> None:
        """Show whether a backend answers: 1 or 0, the least of all workers (K10)."""
        self.watch(f"{backend}_up", "1 while the backend answers", up, combine="min")

    def breaker(self, name: str, state: BreakerState) -> None:
        """Show the state of a deployment's breaker (K4); `name` is the deployment's id.

        Workers that disagree show both states.
        """
        gauge = self._gauge(
            "routeiq_circuit_breaker_state", "1 for the state a breaker is in", ("name", "state"), "max"
        )
        for each in _STATES:
            gauge.labels(name, each).set(each == state)

    def loaded(self, strategy: str, seconds: float) -> None:
        """Note how long a routing strategy took to load (K5)."""
        self._families.loading.labels(strategy).observe(seconds)

    def refresh(self) -> None:
        """Read what is watched; with several workers, once a second."""
        for gauge, value in self._watched:
            gauge.set(value())

    def _gauge(self, name: str, text: str, labels: tuple[str, ...], combine: Combine) -> Gauge:
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(
                name, text, labels, registry=self.registry, multiprocess_mode=_MODES[combine]
            )
        return gauge

    def _bounded(self, outcome: str) -> str:
        known = self._outcomes.get(outcome)
        if known is None:
            known = outcome[:32] if len(self._outcomes) < _MAX_OUTCOMES else "other"
            if known != "other":
                self._outcomes[outcome] = known
        return known

    def _decided(self, strategy: str, model: str, seconds: float, *, failed: bool) -> None:
        key = (strategy, model, failed)
        found = self._choices.get(key)
        if found is None:
            found = self._choices[key] = (
                self._families.decisions.labels(strategy, model).observe,
                self._families.usage.labels(strategy, "failed" if failed else ANSWERED).inc,
            )
        found[0](seconds)
        found[1]()

    def _tried(self, attempts: Sequence[Attempt]) -> None:
        families = self._families
        first = attempts[0].deployment.group
        before = first
        for number, attempt in enumerate(attempts):
            deployment, answered = attempt.deployment, attempt.outcome == ANSWERED
            labels = (deployment.group, deployment.id, deployment.provider)
            key = (deployment.id, attempt.outcome)
            found = self._tries.get(key)
            if found is None:
                count = (
                    families.succeeded.labels(*labels)
                    if answered
                    else families.broke.labels(*labels, self._bounded(attempt.outcome))
                )
                found = (count.inc, families.upstream.labels(*labels).observe)
                if len(self._tries) < 10_000:  # outcomes of upstreams are not bounded
                    self._tries[key] = found
            found[0](1)
            found[1](attempt.seconds)
            if number and deployment.group == before:
                families.retries.labels(*labels).inc()
            elif number:
                fallbacks = families.fell_back if answered else families.fell_through
                fallbacks.labels(first, deployment.group).inc()
            before = deployment.group


class _Flight:
    """Counts calls under way; without state of its own, so one serves all."""

    __slots__ = ("_running", "_stream")

    def __init__(self, running: list[int], *, stream: bool) -> None:
        self._running = running
        self._stream = stream

    def __enter__(self) -> None:
        self._running[0] += 1
        if self._stream:
            self._running[1] += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running[0] -= 1
        if self._stream:
            self._running[1] -= 1


class _CallChildren:
    """The label children for one combination of kind, group, provider, team and status."""

    __slots__ = (
        "count", "first_token", "model", "provider", "read", "seconds", "spend", "team", "unpriced", "written",
    )  # fmt: skip

    def __init__(
        self,
        families: Families,
        kind: str,
        group: str | None,
        provider: str | None,
        team: str | None,
        status: int,
    ) -> None:
        self.model, self.provider, self.team = model, provider, team = (
            group or "none",
            provider or "none",
            team or "none",
        )
        route = ROUTES.get(kind, "/")
        self.count = families.requests.labels(route, model, provider, team, str(status)).inc
        self.seconds = families.latency.labels(model, provider).observe
        self.first_token = families.first_token.labels(model, provider).observe
        self.read = families.read.labels(model, provider, team).inc
        self.written = families.written.labels(model, provider, team).inc
        self.spend = families.spend.labels(model, provider, team).inc
        self.unpriced = families.unpriced.labels(model, provider).inc
