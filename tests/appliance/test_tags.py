"""Which deployments answer a call with tags, and the reason of the others (C9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.appliance.deployments import deployment

from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.routing.tags import matching


def _of(members: dict[str, str]) -> list[Deployment]:
    return [deployment(name, tags=frozenset(tags.split())) for name, tags in members.items()]


@pytest.mark.parametrize(
    ("members", "tags", "chosen"),
    [
        ({"a": "", "b": ""}, "eu", "a b"),
        ({"a": "", "b": ""}, "", "a b"),
        ({"a": "eu", "b": "us", "c": "eu gpu"}, "eu", "a c"),
        ({"a": "eu", "b": "us"}, "us gpu", "b"),
        ({"a": "eu", "b": "default"}, "gpu", "b"),
        ({"a": "eu", "b": ""}, "gpu", ""),
        ({"a": "eu", "b": "us"}, "gpu", ""),
        ({"a": "eu", "b": "", "c": "default"}, "", "b c"),
        ({"a": "eu", "b": "us"}, "", "a b"),
        ({"a": "eu", "b": "default"}, "default", "b"),
    ],
)
def test_tags_choose(members: dict[str, str], tags: str, chosen: str) -> None:
    found, passed_over = matching(_of(members), frozenset(tags.split()))
    assert [d.id for d in found] == chosen.split()
    assert {name for name, _ in passed_over} == set(members) - set(chosen.split())


def test_each_deployment_passed_over_has_its_reason() -> None:
    members = _of({"a": "eu", "b": "default", "c": ""})
    assert matching(members, frozenset({"us"}))[1] == (
        ("a", "no tag of the call"),
        ("c", "no tag of the call"),
    )
    assert matching(members, frozenset())[1] == (("a", "tagged, and the call has no tags"),)


_TAGS = st.frozensets(st.sampled_from(["default", "eu", "us", "gpu"]), max_size=3)


@given(st.lists(_TAGS, min_size=1, max_size=5), _TAGS)
def test_every_deployment_is_either_chosen_or_explained_and_order_is_kept(
    given_tags: list[frozenset[str]], tags: frozenset[str]
) -> None:
    members = [deployment(str(number), tags=each) for number, each in enumerate(given_tags)]
    found, passed_over = matching(members, tags)
    ids = [d.id for d in found]
    assert ids == sorted(ids)
    assert sorted([*ids, *(name for name, _ in passed_over)]) == [d.id for d in members]
    if not tags:
        assert found  # a call without tags is never shut out by them
    elif any(given_tags):
        direct = [d.id for d in members if d.tags & tags]
        assert ids == (direct or [d.id for d in members if "default" in d.tags])
