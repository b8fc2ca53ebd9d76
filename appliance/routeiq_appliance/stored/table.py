"""Makes what calls are answered from: groups with their deployments, and all that is derived from them.

The start and every later change make it with the same code. A table is made beside the one in use and put in its place
at once (`Tables`); calls under way end on the one that they began with.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from routeiq_appliance.config.deployments import deployments_of
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.policy import CallPolicy
from routeiq_appliance.pipeline.admit import Estimator
from routeiq_appliance.pipeline.attempt import Watchers
from routeiq_appliance.pipeline.auto import Auto
from routeiq_appliance.pipeline.call import Caller
from routeiq_appliance.pipeline.route import Route
from routeiq_appliance.pipeline.run import Pipeline
from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.routing.balance import Balancer
from routeiq_appliance.routing.interface import RoutingStrategy
from routeiq_appliance.routing.load import candidates_of, for_groups
from routeiq_appliance.routing.precedence import Objectives, Strategies
from routeiq_appliance.routing.standing import Standing
from routeiq_appliance.upstreams.interface import Upstream

__all__ = ["Groups", "LiveNames", "Table", "TableMaker", "Tables", "groups_of"]

Groups = Mapping[str, Sequence[Deployment]]


@dataclass(frozen=True, slots=True)
class Table:
    """One state of what can be called."""

    groups: Groups
    route: Route
    caller: Caller
    estimator: Estimator

    @property
    def deployments(self) -> dict[str, Deployment]:
        """Deployments by id."""
        return {member.id: member for members in self.groups.values() for member in members}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableMaker:
    """What tables have in common; one per worker."""

    policy: CallPolicy
    strategies: Mapping[str, RoutingStrategy]
    strategy_names: tuple[str | None, str]
    objectives: Objectives
    balancer: Balancer
    upstream: Upstream
    watchers: Watchers
    total_seconds: float
    lease_seconds: float

    def make(self, config: GatewayConfig, groups: Groups) -> Table:
        """Return the table of `groups`; `config` is the one that they come from."""
        candidates = candidates_of(config, groups)
        configured, environment = self.strategy_names
        strategies = for_groups(self.strategies, groups, self.watchers.board)
        route = Route(
            groups,
            candidates,
            Strategies(strategies, config=configured, environment=environment),
            self.balancer,
            aliases=self.policy.aliases,
            tags=self.policy.tag_filtering,
            auto=Auto(groups, self.objectives, Standing(groups, self.watchers.health, self.watchers.board)),
        )
        caller = Caller(self.upstream, route, self.policy, self.watchers, total_seconds=self.total_seconds)
        estimator = Estimator(
            groups,
            candidates,
            output_tokens=config.routeiq.limits.estimate_output_tokens,
            lease_seconds=self.lease_seconds,
        )
        return Table(groups, route, caller, estimator)


def groups_of(config: GatewayConfig, given: frozenset[str], before: Mapping[str, Deployment]) -> Groups:
    """Return the groups of a configuration; `given` are the ids that users made.

    A deployment that is as it was `before` (by id) stays the same object: what is kept by it stays too.
    """

    def settled(deployment: Deployment) -> Deployment:
        if deployment.id in given:
            deployment = replace(deployment, given=deployment.destination)
        old = before.get(deployment.id)
        return old if old == deployment else deployment

    return {group: [settled(item) for item in members] for group, members in deployments_of(config).items()}


class Tables:
    """Puts one table in the place of another. On the event loop's thread."""

    def __init__(self, maker: TableMaker, pipeline: Pipeline, first: Table) -> None:
        self._maker = maker
        self._pipeline = pipeline
        self._now = first

    def install(self, config: GatewayConfig, groups: Groups) -> None:
        """Answer calls that begin from now from `groups`."""
        table = self._maker.make(config, groups)
        before, after = self._now.deployments, table.deployments
        changed = [name for name, item in after.items() if before.get(name) is not item]
        self._maker.watchers.health.keep(after, changed=changed)
        self._pipeline.replace(table.route, table.caller, table.estimator)
        self._now = table


class LiveNames(AbstractSet[str]):
    """The names that callers may ask for, as of now: groups, and other names of groups."""

    def __init__(self, route: Callable[[], Route]) -> None:
        self._route = route

    def __contains__(self, name: object) -> bool:
        """Whether there is such a name."""
        route = self._route()
        return name in route.groups or name in route.aliases

    def __iter__(self) -> Iterator[str]:
        """Iterate over them."""
        route = self._route()
        return iter(dict.fromkeys((*route.groups, *route.aliases)))

    def __len__(self) -> int:
        """Return how many there are."""
        return sum(1 for _ in self)
