"""Which group and which deployments a call gets, and why; who may not, and what it is told (C9, D1, D8)."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.appliance.deployments import deployment

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.route import Route, may_use
from routeiq_appliance.pipeline.types import AUTO, Call, Decision, Deployment, Kind, Principal, Wishes
from routeiq_appliance.routing.balance import make_balancer
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.interface import Choice, Terms
from routeiq_appliance.routing.precedence import Strategies
from routeiq_appliance.routing.simple import DeclaredOrder

_ANYBODY = Principal("k")


class Last:
    """A strategy that takes the last candidate, and says so."""

    name = "last"

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        ranking = tuple((name, 1.0 / rank) for rank, name in enumerate(reversed(candidates), 1))
        return Choice(
            candidates[-1], self.name, 1.0, ranking, f"the last for {prompt!r}", artifact="sha256:a"
        )


class Untouchable:
    """A strategy that must not be asked."""

    name = "untouchable"

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        raise AssertionError("no strategy decides here")


def _members(*names: str, **fields: Any) -> list[Deployment]:
    return [deployment(name, group=name.partition("-")[0], **fields) for name in names]


_GROUPS: Mapping[str, Sequence[Deployment]] = {
    "a": _members("a-1", "a-2"),
    "b": _members("b-1"),
    "c": _members("c-1"),
    "vectors": _members("vectors-1", mode="embedding"),
}


def _route(
    groups: Mapping[str, Sequence[Deployment]] = _GROUPS,
    candidates: Sequence[str] = ("a", "b"),
    *,
    balancing: str = "order",
    tags: bool = False,
    **strategies: Any,
) -> Route:
    known = strategies or {"declared-order": DeclaredOrder(), "last": Last()}
    return Route(
        groups,
        candidates,
        Strategies(known, config=None, environment=None),
        make_balancer(balancing, board=Board()),
        aliases={"nick": "a", "b-name": "b"},
        tags=tags,
    )


def _call(asked: str = AUTO, *, kind: Kind = "chat", **wishes: Any) -> Call:
    return Call(
        "id",
        kind,
        asked,
        {},
        {},
        False,
        False,
        "why?",
        10,
        datetime(2026, 1, 1, tzinfo=UTC),
        Wishes(**wishes),
    )


async def _decide(
    route: Route,
    call: Call,
    principal: Principal = _ANYBODY,
    *,
    kept: str | None = None,
    live: str | None = None,
) -> Decision:
    return await route.decide(principal, call, kept=kept, live=live)


async def _refused(route: Route, call: Call, principal: Principal = _ANYBODY) -> CallError:
    with pytest.raises(CallError) as caught:
        await _decide(route, call, principal)
    return caught.value


def _ids(decision: Decision) -> list[str]:
    return [member.id for member in decision.deployments]


# An explicit group


async def test_a_group_asked_for_by_name_is_never_rewritten() -> None:
    route = _route(untouchable=Untouchable())
    call = _call("a", hint="b", strategy="last", conversation="c-1")
    decision = await _decide(route, call, kept="b\nb-1", live="last")
    assert (decision.group, _ids(decision), decision.strategy) == ("a", ["a-1", "a-2"], "explicit")
    assert decision.reason == "the caller named the group; the hint does not rewrite it"
    assert decision.ranking == (("a", None),)
    assert decision.score is None


async def test_an_alias_is_its_group() -> None:
    decision = await _decide(_route(), _call("nick"))
    assert decision.group == "a"


@pytest.mark.parametrize(
    ("models", "asked", "allowed"),
    [
        ((), "a", True),
        (("a",), "a", True),
        (("b",), "a", False),
        (("nick",), "nick", True),  # the alias alone opens its group by that name
        (("nick",), "a", False),
        (("a",), "nick", True),
        (("b",), "nick", False),
        ((AUTO,), "a", False),
    ],
)
async def test_the_allow_list_names_groups_or_their_aliases(
    models: Sequence[str], asked: str, allowed: bool
) -> None:
    for principal in (
        Principal("k", models=frozenset(models)),
        Principal("k", team_models=frozenset(models)),
        Principal("k", models=frozenset(models), team_models=frozenset(models)),
    ):
        if allowed:
            assert (await _decide(_route(), _call(asked), principal)).group == "a"
        else:
            error = await _refused(_route(), _call(asked), principal)
            assert (error.status, error.code, error.param) == (403, "model_not_allowed", "model")


async def test_a_key_cannot_go_beyond_its_team() -> None:
    both = Principal("k", models=frozenset({"a", "b"}), team_models=frozenset({"b", "c"}))
    assert (await _decide(_route(), _call("b"), both)).group == "b"
    for group in ("a", "c"):
        assert (await _refused(_route(), _call(group), both)).status == 403
    assert not may_use(both, "a")
    assert _route().visible(both) == [AUTO, "b"]


@pytest.mark.parametrize(
    ("asked", "advice"),
    [
        ("vector", "did you mean `vectors`?"),
        ("nothing like it", "`GET /v1/models` lists"),
        ("x" * 5000, "x" * 128),
    ],
)
async def test_an_unknown_group_is_404_with_advice(asked: str, advice: str) -> None:
    error = await _refused(_route(), _call(asked))
    assert (error.status, error.code) == (404, "model_not_found")
    assert advice in str(error)
    assert len(str(error)) < 300


async def test_advice_names_nothing_that_the_key_may_not_use() -> None:
    error = await _refused(_route(), _call("vector"), Principal("k", models=frozenset({"a"})))
    assert "vectors" not in str(error)


@pytest.mark.parametrize(
    ("asked", "kind"), [("a", "embedding"), ("vectors", "chat"), ("a", "rerank"), ("vectors", "responses")]
)
async def test_a_group_of_another_kind_is_400(asked: str, kind: Kind) -> None:
    groups = {**_GROUPS, "a": _members("a-1", mode="chat")}
    error = await _refused(_route(groups), _call(asked, kind=kind))
    assert (error.status, error.code) == (400, "model_not_supported")


async def test_only_deployments_that_answer_the_kind_are_called() -> None:
    groups = {"a": [*_members("a-1", mode="chat"), *_members("a-2", mode="embedding"), *_members("a-3")]}
    assert _ids(await _decide(_route(groups, ["a"]), _call("a"))) == ["a-1", "a-3"]
    assert _ids(await _decide(_route(groups, ["a"]), _call("a", kind="embedding"))) == ["a-2", "a-3"]


# `auto`


async def test_auto_asks_the_strategy_and_keeps_what_it_says() -> None:
    decision = await _decide(_route(), _call(strategy="last"))
    assert (decision.group, decision.strategy, decision.score) == ("b", "last", 1.0)
    assert decision.ranking == (("b", 1.0), ("a", 0.5))
    assert (decision.reason, decision.artifact) == ("the last for 'why?'", "sha256:a")
    assert decision.seconds >= 0
    assert decision.balancing == "order"


async def test_auto_chooses_among_what_key_and_team_may_use() -> None:
    route = _route(candidates=("a", "b", "c"))
    for principal, group in [
        (Principal("k", models=frozenset({"b", "vectors"})), "b"),
        (Principal("k", team_models=frozenset({"c"})), "c"),
        (Principal("k", models=frozenset({"a", "b"}), team_models=frozenset({"b", "c"})), "b"),
        (Principal("k", models=frozenset({AUTO}), team_models=frozenset({"c"})), "c"),
        (Principal("k", models=frozenset({AUTO}), team_models=frozenset({AUTO})), "a"),
    ]:
        decision = await _decide(route, _call(), principal)
        assert decision.group == group
        assert {name for name, _ in decision.ranking} <= {"a", "b", "c"}


async def test_auto_without_a_candidate_for_the_key_is_403_and_without_any_503() -> None:
    error = await _refused(_route(), _call(), Principal("k", models=frozenset({"c"})))
    assert (error.status, error.code) == (403, "model_not_allowed")
    error = await _refused(_route(candidates=()), _call())
    assert (error.status, error.code) == (503, "no_candidate")


@pytest.mark.parametrize("kind", ["embedding", "rerank", "image", "speech"])
async def test_auto_is_for_text_alone(kind: Kind) -> None:
    error = await _refused(_route(untouchable=Untouchable()), _call(kind=kind))
    assert (error.status, error.code) == (400, "model_not_supported")


async def test_a_hint_goes_before_affinity_and_affinity_before_any_strategy() -> None:  # C9, D8
    route = _route(candidates=("a", "b", "c"), untouchable=Untouchable())
    hinted = await _decide(route, _call(hint="b-name", strategy="last"), kept="c\nc-1", live="last")
    assert (hinted.group, hinted.strategy, hinted.reason) == ("b", "hint", "the caller's hint")
    assert hinted.ranking == (("b", None), ("a", None), ("c", None))
    kept = await _decide(route, _call(strategy="last"), kept="c\nc-1", live="last")
    assert (kept.group, kept.strategy, kept.reason) == ("c", "affinity", "the conversation's model")
    assert kept.ranking == (("c", None), ("a", None), ("b", None))


async def test_a_hint_that_the_key_may_not_use_is_passed_over_and_said() -> None:  # C9
    narrow = Principal("k", models=frozenset({"a"}))
    decision = await _decide(_route(), _call(hint="b"), narrow)
    assert decision.group == "a"
    assert "the hint `b` is no candidate for this key" in decision.reason


@pytest.mark.parametrize("kept", ["c\nc-1", "gone\ngone-1", "", "\n", "b"])
async def test_a_conversation_whose_group_is_no_candidate_is_routed_anew(kept: str) -> None:
    decision = await _decide(_route(candidates=("a",)), _call(), kept=kept)
    assert (decision.group, decision.strategy) == ("a", "declared-order")


@pytest.mark.parametrize(
    ("asked", "kept", "expected"),
    [
        ("a", "a\na-2", ["a-2", "a-1"]),
        ("nick", "a\na-2", ["a-2", "a-1"]),
        (AUTO, "a\na-2", ["a-2", "a-1"]),
        ("a", "b\na-2", ["a-1", "a-2"]),  # another group's conversation
        ("a", "a\ngone", ["a-1", "a-2"]),
        ("a", "a", ["a-1", "a-2"]),
    ],
)
async def test_a_conversation_stays_with_its_deployment(
    asked: str, kept: str, expected: list[str]
) -> None:  # D8
    assert _ids(await _decide(_route(), _call(asked), kept=kept)) == expected


async def test_the_first_wish_that_can_be_granted_decides() -> None:  # D1
    route = _route()
    key = Principal("k", strategy="last")
    for principal, header, live, expected in [
        (_ANYBODY, None, None, "declared-order"),
        (_ANYBODY, None, "last", "last"),
        (key, None, "declared-order", "last"),
        (key, "declared-order", "last", "declared-order"),
        (key, "no such", None, "last"),
    ]:
        decision = await _decide(route, _call(strategy=header), principal, live=live)
        assert decision.strategy == expected
    assert "`no such`, which is no strategy" in decision.reason


# Tags


_TAGGED: Mapping[str, Sequence[Deployment]] = {
    "a": [
        *_members("a-1", tags=frozenset({"eu"})),
        *_members("a-2", tags=frozenset({"us"})),
        *_members("a-3"),
    ],
    "b": _members("b-1", tags=frozenset({"us"})),
    "c": _members("c-1"),
}


@pytest.mark.parametrize(
    ("asked", "tags", "expected"),
    [
        ("a", {"us"}, ["a-2"]),
        ("a", set(), ["a-3"]),
        ("a", {"us", "eu"}, ["a-1", "a-2"]),
        ("b", set(), ["b-1"]),
        ("c", {"us"}, ["c-1"]),  # nobody there is tagged
    ],
)
async def test_tags_choose_deployments(asked: str, tags: set[str], expected: list[str]) -> None:
    route = _route(_TAGGED, ["a", "b"], tags=True)
    decision = await _decide(route, _call(asked, tags=frozenset(tags)))
    assert _ids(decision) == expected
    passed_over = {name for name, _ in decision.passed_over}
    assert passed_over == {member.id for member in _TAGGED[asked]} - set(expected)


async def test_tags_mean_nothing_while_filtering_is_off() -> None:
    decision = await _decide(_route(_TAGGED, ["a"]), _call("a", tags=frozenset({"us"})))
    assert _ids(decision) == ["a-1", "a-2", "a-3"]


async def test_tags_that_no_deployment_of_the_group_has_are_503() -> None:
    error = await _refused(_route(_TAGGED, ["a"], tags=True), _call("b", tags=frozenset({"eu"})))
    assert (error.status, error.code, error.param) == (503, "no_candidate", "metadata.tags")


async def test_auto_chooses_among_groups_that_answer_calls_with_these_tags() -> None:
    route = _route(_TAGGED, ["b", "a", "c"], tags=True)
    decision = await _decide(route, _call(tags=frozenset({"eu"})))
    assert (decision.group, _ids(decision)) == ("a", ["a-1"])
    assert [name for name, _ in decision.ranking] == ["a", "c"]
    error = await _refused(_route(_TAGGED, ["b"], tags=True), _call(tags=frozenset({"eu"})))
    assert (error.status, error.code) == (503, "no_candidate")


async def test_a_hint_to_a_group_without_these_tags_is_passed_over() -> None:
    route = _route(_TAGGED, ["a", "b"], tags=True)
    decision = await _decide(route, _call(hint="b", tags=frozenset({"eu"})))
    assert decision.group == "a"
    assert "the hint `b` is no candidate" in decision.reason


# In place of another


async def test_another_group_in_place_of_the_first_choice_keeps_the_record() -> None:
    route, call = _route(), _call(strategy="last")
    first = await _decide(route, call)
    second = route.instead(first, "a", call, "the first is full")
    assert (second.group, _ids(second), second.score) == ("a", ["a-1", "a-2"], 0.5)
    assert second.ranking == first.ranking
    assert second.reason.endswith("; the first is full")


def test_a_stand_in_answers_the_kind_and_is_allowed() -> None:
    route, narrow = _route(), Principal("k", models=frozenset({"a", "vectors"}))
    assert route.answers(narrow, _call("a"), "a")
    assert not route.answers(narrow, _call("a"), "b")
    assert not route.answers(narrow, _call("a"), "vectors")
    assert not route.answers(_ANYBODY, _call("a"), "gone")
