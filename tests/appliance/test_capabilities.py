"""What `auto` may choose at all, and what comes last: never a group that cannot answer, whatever the strategy likes."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.appliance.deployments import deployment

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.auto import Auto
from routeiq_appliance.pipeline.needs import needs_of
from routeiq_appliance.pipeline.types import Call, Deployment, Price, Principal, Wishes
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.breaker import Health
from routeiq_appliance.routing.capabilities import FLAGS, Capabilities, Needs, capabilities_of, sift
from routeiq_appliance.routing.interface import Choice, Terms
from routeiq_appliance.routing.precedence import Objectives
from routeiq_appliance.routing.standing import Standing
from routeiq_router.objective import Objective


def _call(kind: Any = "chat", size: int = 400, **params: Any) -> Call:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Call("id", kind, "auto", params, {}, False, False, "why?", size, at, Wishes())


_flag = st.none() | st.booleans()
_can = st.fixed_dictionaries(dict.fromkeys(FLAGS, _flag)).map(
    lambda found: {name: value for name, value in found.items() if value is not None}
)
_window = st.none() | st.integers(1, 1000)
_groups = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.tuples(_can, _window), min_size=1, max_size=3), min_size=1
)
_needs = st.builds(
    Needs,
    st.lists(st.sampled_from(sorted(FLAGS)), unique=True).map(tuple),
    st.integers(0, 1500),
    st.integers(0, 300),
)


def _made(groups: Mapping[str, Any]) -> dict[str, list[Deployment]]:
    return {
        name: [deployment(f"{name}-{n}", group=name, can=can, max_input_tokens=window)
               for n, (can, window) in enumerate(members)]
        for name, members in groups.items()
    }  # fmt: skip


@given(_groups, _needs)
def test_what_is_kept_denies_no_need_and_what_is_left_out_denies_one(groups: Any, needs: Needs) -> None:
    made = _made(groups)
    known = {name: found for name, members in made.items() if (found := capabilities_of(members))}
    kept, filtered, undeclared = sift(needs, tuple(made), known)
    assert sorted((*kept, *(item.group for item in filtered))) == sorted(made)
    for group in kept:
        for member in made[group]:
            assert not any(member.can.get(name) is False for name in needs.flags)
            assert needs.tokens + needs.answer_tokens <= (member.max_input_tokens or math.inf)
    for item in filtered:
        assert item.reason
        assert item.filter in (*needs.flags, "context_window")
    for group, name in undeclared:
        assert group in kept
        assert not all(name in member.can for member in made[group])


class _LikesLast:
    """A strategy that would choose the last candidate it is given."""

    name = "likes-last"

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        ranking = tuple((group, 1.0) for group in reversed(candidates))
        return Choice(candidates[-1], self.name, 1.0, ranking, "likes it")


@given(
    _groups, st.sampled_from(["tools", "vision", "json_schema", "audio"]), st.sets(st.sampled_from("abcdef"))
)
async def test_no_strategy_brings_back_a_group_that_cannot_answer(
    groups: Any, need: str, down: set[str]
) -> None:
    made = _made(groups)
    params: dict[str, Any] = {
        "tools": {"tools": [{}]},
        "vision": {
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]
        },
        "json_schema": {"response_format": {"type": "json_schema"}},
        "audio": {
            "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": ""}}]}]
        },
    }[need]
    health = Health([m.id for ms in made.values() for m in ms], failures=1, seconds=1e9)
    board = Board(clock=lambda: 100.0)
    for members in made.values():
        for member in members:
            if member.group in down:
                health.failed(member.id, 100.0, may_rest=False)
    auto = Auto(made, Objectives(), Standing(made, health, board))
    call = _call(**params)
    able = {
        name for name, members in made.items()
        if all(m.can.get(need) is not False and (m.max_input_tokens or math.inf) >= 100 + 85 for m in members)
    }  # fmt: skip
    try:
        sifted = auto.sift(call, tuple(made))
    except CallError as error:
        assert error.status == 400  # noqa: PT017 - which of the two it is depends on the groups
        return
    choice = await auto.choose(Principal("k"), call, sifted, _LikesLast())
    left = [group for group, _ in choice.ranking]
    assert set(left) <= set(sifted.candidates)
    assert not able - set(left)
    # Those that can take a call come first, all of them in the strategy's order.
    liked = list(reversed(sifted.candidates))
    assert left == [g for g in liked if g not in down] + [g for g in liked if g in down]
    assert choice.group == left[0]


@pytest.mark.parametrize(
    ("kind", "params", "flags", "tokens"),
    [
        ("chat", {"messages": [{"role": "user", "content": "hi"}]}, (), 100),
        ("chat", {"messages": "x", "tools": []}, (), 100),
        ("chat", {"functions": [{}]}, ("tools",), 100),
        ("chat", {"response_format": {"type": "json_object"}}, (), 100),
        ("responses", {"text": {"format": {"type": "json_schema"}}}, ("json_schema",), 100),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_image",
         "image_url": "data:" + "A" * 195}]}]}, ("vision",), 50 + 85),
        ("messages", {"messages": [{"role": "user", "content": [
            {"type": "tool_result", "content": [{"type": "image", "source": {"data": "A" * 200}}]}]}]},
         ("vision",), 135),
        ("chat", {"messages": [{"content": [{"type": "input_audio", "input_audio": {"data": "A" * 400}}]}]},
         ("audio",), 0),
        ("chat", {"messages": [None, 5, {"content": [None, 5, {"type": ["image"]}]}]}, (), 100),
        ("text", {"prompt": "hi"}, (), 100),
    ],
)  # fmt: skip
def test_needs_are_read_from_the_shapes_of_each_dialect(
    kind: str, params: dict[str, Any], flags: tuple[str, ...], tokens: int
) -> None:
    found = needs_of(_call(kind, **params))
    assert (found.flags, found.tokens) == (flags, tokens)


_names = st.sampled_from(["type", "content", "data", "image_url", "text", "messages"])
_anything = st.recursive(
    st.none() | st.text() | st.integers() | st.booleans(),
    lambda inner: st.lists(inner) | st.dictionaries(_names, inner),
    max_leaves=20,
)


@given(_anything)
def test_no_shape_of_a_call_fails_its_needs(value: Any) -> None:
    for name in ("messages", "input", "tools", "response_format", "text", "max_tokens"):
        assert needs_of(_call(**{name: value})).tokens >= 0
    assert needs_of(_call(messages=[{"content": value}])).answer_tokens == 0


def test_one_deployments_word_holds_for_the_group_only_when_it_denies() -> None:
    members = [deployment("a", can={"vision": True, "tools": True}), deployment("b", can={"tools": False})]
    assert capabilities_of(members) == Capabilities({"tools": False}, None)
    assert capabilities_of([deployment("a"), deployment("b")]) is None


def test_a_group_is_last_when_all_of_its_deployments_are_out() -> None:
    board = Board(clock=lambda: 50.0)
    groups = {"g": [deployment("a", parallel=1), deployment("b", rpm=1), deployment("c", tpm=5)], "e": []}
    standing = Standing(groups, Health(["a", "b", "c"], failures=1, seconds=10), board)
    assert standing.last("g") is None
    board.begin("a")
    board.begin("b")
    board.end("b", seconds=1, tokens=1, completion_tokens=0, failed=False)
    assert standing.last("g") is None
    board.begin("c")
    board.end("c", seconds=3, tokens=9, completion_tokens=0, failed=False)
    assert standing.last("g") == (
        "1 calls under way, its limit, its requests per minute are used up, its tokens per minute are used up"
    )
    assert standing.last("e") == "no deployment"


def test_a_groups_latency_is_the_mean_of_what_was_measured() -> None:
    board = Board(clock=lambda: 50.0)
    health = Health(["a", "b", "c"], failures=1, seconds=10)
    standing = Standing({"g": [deployment("a"), deployment("b"), deployment("c")]}, health, board)
    assert standing.latency("g") is None
    for name, seconds, failed in (("a", 1.0, False), ("b", 3.0, False), ("c", 9.0, True)):
        board.begin(name)
        board.end(name, seconds=seconds, tokens=0, completion_tokens=0, failed=failed)
    assert standing.latency("g") == 2.0
    for name in ("a", "b"):
        health.failed(name, 50.0, may_rest=False)
    assert standing.latency("g") == math.inf  # the one that is left has just failed


async def test_prices_are_compared_for_this_call_when_all_groups_have_one() -> None:
    seen: list[Terms] = []

    class Noting(_LikesLast):
        async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
            seen.append(terms)
            return await super().choose(prompt, candidates, terms)

    groups = {
        "a": [deployment("a-1", price=Price(1, 2)), deployment("a-2", price=Price(3, 4))],
        "b": [deployment("b-1", price=Price(call=7))],
    }
    call = _call(max_tokens=10)
    auto = Auto(groups)
    await auto.choose(Principal("k"), call, auto.sift(call, ("a", "b")), Noting())
    assert seen[0].costs == {"a": 100 * 2 + 10 * 3, "b": 7}
    unpriced = Auto({**groups, "c": [deployment("c-1")]})
    await unpriced.choose(Principal("k"), call, unpriced.sift(call, ("a", "c")), Noting())
    assert seen[1].costs is None


def test_the_first_who_says_an_objective_is_followed() -> None:
    header, key, config, environment = (Objective(cost=n) for n in (1, 2, 3, 4))
    all_of_them = Objectives(config=config, environment=environment)
    assert all_of_them.choose(header=header, principal=key) == (header, "x-routeiq-objective")
    assert all_of_them.choose(header=None, principal=key) == (key, "the key")
    assert all_of_them.choose(header=None, principal=None) == (config, "config.yaml")
    only = Objectives(environment=environment)
    assert only.choose(header=None, principal=None) == (environment, "ROUTEIQ_OBJECTIVE")
    assert Objectives().choose(header=None, principal=None) == (Objective(), "the default")
