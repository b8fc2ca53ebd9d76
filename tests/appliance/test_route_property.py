"""Whatever the configuration, the key and the call say: a decision stays within what the key may use (C9, D1, D8)."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.appliance.deployments import deployment

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.route import Route
from routeiq_appliance.pipeline.types import AUTO, Call, Kind, Principal, Wishes
from routeiq_appliance.routing.balance import make_balancer
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.interface import Choice, Terms
from routeiq_appliance.routing.precedence import Strategies
from routeiq_appliance.routing.simple import DeclaredOrder


class Last:
    """A strategy that takes the last candidate."""

    name = "last"

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        ranking = tuple((name, None) for name in reversed(candidates))
        return Choice(candidates[-1], self.name, None, ranking, "the last")


_NAMES = st.sampled_from(["a", "b", "c", "vectors", "nick", "b-name", "gone", AUTO])
_LISTS = st.frozensets(_NAMES, max_size=4)
_TAG = st.sampled_from(["eu", "us", "default"])
_MEMBERS = st.lists(
    st.tuples(
        st.sampled_from([None, "chat", "embedding"]), st.integers(0, 2), st.frozensets(_TAG, max_size=2)
    ),
    min_size=1,
    max_size=4,
)
_ANY_GROUPS = st.fixed_dictionaries(dict.fromkeys(("a", "b", "c"), _MEMBERS))


@given(
    made=_ANY_GROUPS,
    balancing=st.sampled_from(["order", "round-robin", "random", "weighted", "least-busy", "lowest-latency"]),
    candidates=st.lists(st.sampled_from(["a", "b", "c"]), unique=True),
    asked=_NAMES,
    kind=st.sampled_from(["chat", "embedding"]),
    models=_LISTS,
    team_models=_LISTS,
    hint=st.none() | _NAMES,
    strategy=st.sampled_from([None, "last", "gone"]),
    call_tags=st.frozensets(_TAG, max_size=2),
    kept=st.none() | st.tuples(_NAMES, st.sampled_from(["a-1", "b-1", "x"])).map("\n".join),
)
def test_any_decision_stays_within_what_the_key_may_use_and_in_declared_order(
    made: dict[str, list[tuple[Any, int, frozenset[str]]]], balancing: str, candidates: list[str], asked: str,
    kind: Kind, models: frozenset[str], team_models: frozenset[str], hint: str | None, strategy: str | None,
    call_tags: frozenset[str], kept: str | None,
) -> None:  # fmt: skip
    groups = {
        name: [
            deployment(f"{name}-{number}", group=name, mode=mode, order=order, tags=tags)
            for number, (mode, order, tags) in enumerate(members, 1)
        ]
        for name, members in made.items()
    }
    candidates = [name for name in candidates if any(m.mode != "embedding" for m in groups[name])]
    route = Route(
        groups,
        candidates,
        Strategies({"declared-order": DeclaredOrder(), "last": Last()}, config=None, environment=None),
        make_balancer(balancing, board=Board()),
        aliases={"nick": "a", "b-name": "b"},
        tags=True,
    )
    principal = Principal("k", models=models, team_models=team_models)
    wishes = Wishes(hint, strategy, None, call_tags)
    call = Call("id", kind, asked, {}, {}, False, False, "", 10, datetime(2026, 1, 1, tzinfo=UTC), wishes)
    refused = None
    try:
        decision = asyncio.run(route.decide(principal, call, kept=kept, live=None))
    except CallError as error:
        refused = error.status
    if refused is not None:
        assert refused in {400, 403, 404, 503}
        return
    group, chosen = decision.group, [member.id for member in decision.deployments]
    if asked == AUTO:
        assert group in candidates
        assert {name for name, _ in decision.ranking} <= set(candidates)
    else:
        assert group == route.aliases.get(asked, asked)
    for given_list in (models, team_models):
        assert not given_list or given_list & {group, asked}
    assert set(chosen) <= {member.id for member in groups[group]}
    assert len(set(chosen)) == len(chosen) > 0
    assert all(
        (member.mode == "embedding") == (kind == "embedding")
        for member in decision.deployments
        if member.mode
    )
    orders = [member.order for member in decision.deployments]
    if kept is None or kept.partition("\n")[0] != group:
        assert orders == sorted(orders)
    else:  # the conversation's own goes first
        rest = [member.order for member in decision.deployments if member.id != kept.partition("\n")[2]]
        assert rest == sorted(rest)
    told = {name for name, _ in decision.passed_over}
    assert told.isdisjoint(chosen)
