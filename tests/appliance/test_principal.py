"""In which scopes a key's calls count, what holds there, and which groups it may use."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.principal import member_scope, principal_of, require_usable
from routeiq_appliance.pipeline.route import may_use
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.records import (
    UNLIMITED,
    Allowance,
    Holder,
    KeyRecord,
    MemberRecord,
    OrganizationRecord,
    TeamRecord,
    UserRecord,
    merged,
)

NOW = datetime(2026, 11, 21, 8, tzinfo=UTC)
STAMP = NOW.timestamp()
KEY = KeyRecord("k", "sk-...", None, (), {}, NOW, None, team_id="t", user_id="u")
TEAM = TeamRecord("t", "Team", (), {}, NOW, Allowance(rpm_limit=2), organization_id="o")
USER = UserRecord("u", None, {}, NOW, Allowance(rpm_limit=3))
ORGANIZATION = OrganizationRecord("o", "Org", (), {}, NOW, Allowance(rpm_limit=4, max_budget=9))
MEMBER = MemberRecord("team", "t", "u", "user", NOW, Allowance(rpm_limit=5))
WHOLE = Holder(KEY, TEAM, USER, ORGANIZATION, MEMBER)


def made(holder: Holder) -> Principal:
    return principal_of(holder, STAMP).principal


def test_a_call_counts_in_every_scope_that_its_key_belongs_to() -> None:  # C7
    scopes = {scope.name: scope.rpm for scope in made(WHOLE).scopes}
    assert scopes == {"key:k": None, "team:t": 2, "user:u": 3, "organization:o": 4, "member:1:t/u": 5}
    assert made(WHOLE).organization_id == "o"
    bare = replace(WHOLE, member=replace(MEMBER, allowance=UNLIMITED))
    assert "member:1:t/u" not in {scope.name for scope in made(bare).scopes}


def test_the_teams_organization_comes_before_the_keys() -> None:
    own = replace(KEY, organization_id="p", team_id=None)
    assert made(Holder(own)).organization_id == "p"
    assert {scope.name for scope in made(Holder(own)).scopes} == {"key:k", "user:u", "organization:p"}
    assert made(Holder(replace(KEY, organization_id="p"), TEAM)).organization_id == "o"


def test_a_principal_holds_until_the_first_period_ends() -> None:
    day = Allowance(max_budget=1, budget_duration="1d", budget_anchor=NOW)
    hour = Allowance(max_budget=1, budget_duration="1h", budget_anchor=NOW)
    holder = replace(
        WHOLE, organization=replace(ORGANIZATION, allowance=UNLIMITED, budget_id="b", budget=day)
    )
    assert principal_of(holder, STAMP).until == STAMP + 86400
    holder = replace(holder, member=replace(MEMBER, allowance=hour))
    assert principal_of(holder, STAMP).until == STAMP + 3600


@pytest.mark.parametrize("who", ["key", "team", "user", "organization"])
def test_whatever_is_blocked_blocks_the_key(who: str) -> None:
    require_usable(WHOLE, STAMP)
    record = getattr(WHOLE, who)
    blocked = replace(WHOLE, **{who: replace(record, allowance=Allowance(blocked=True))})
    with pytest.raises(CallError) as caught:
        require_usable(blocked, STAMP)
    assert (caught.value.status, caught.value.code) == (401, f"{who}_blocked")


@pytest.mark.parametrize(
    ("kind", "identity", "concerned"),
    [("key", "k", True), ("key", "t", False), ("team", "t", True), ("user", "u", True), ("organization", "o", True),
     ("organization", "p", False), ("budget", "b", True), ("budget", "c", False), ("model", "k", False)],
)  # fmt: skip
def test_news_concern_what_the_key_belongs_to(kind: str, identity: str, concerned: bool) -> None:
    holder = replace(WHOLE, organization=replace(ORGANIZATION, budget_id="b"))
    assert holder.concerns(kind, identity) is concerned


LISTS = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3).map(tuple)


@given(LISTS, LISTS, LISTS, LISTS, st.booleans())
def test_a_group_is_open_when_every_list_that_counts_opens_it(
    key: tuple[str, ...],
    team: tuple[str, ...],
    organization: tuple[str, ...],
    user: tuple[str, ...],
    in_team: bool,
) -> None:
    holder = Holder(
        replace(KEY, models=key, team_id="t" if in_team else None, organization_id="o"),
        replace(TEAM, models=team) if in_team else None,
        replace(USER, models=user),
        replace(ORGANIZATION, models=organization),
    )
    principal = made(holder)
    counted = [key, organization, team if in_team else user]
    for group in ("a", "b", "c"):
        assert may_use(principal, group) == all(not each or group in each for each in counted)


NUMBERS = st.none() | st.integers(0, 5)
LIMITS = st.builds(
    Allowance,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    st.sampled_from([None, "1d", "1h"]),
    st.just(NOW),
    st.booleans(),
)


@given(LIMITS, st.none() | LIMITS)
def test_a_named_budget_fills_what_is_open_and_takes_no_limit_away(
    own: Allowance, named: Allowance | None
) -> None:
    both = merged(own, named)
    assert both.blocked == own.blocked
    for name in ("rpm_limit", "tpm_limit", "max_parallel_requests"):
        mine, theirs = getattr(own, name), None if named is None else getattr(named, name)
        assert getattr(both, name) == (theirs if mine is None else mine)
    # An amount and its period are never of two minds.
    money = (both.max_budget, both.budget_duration)
    assert money in {(each.max_budget, each.budget_duration) for each in (own, named) if each is not None}
    amounts = [each.max_budget for each in (own, named) if each is not None and each.max_budget is not None]
    assert both.max_budget == (amounts[0] if amounts else None)


@given(st.text("a/:#1", min_size=1, max_size=128), st.text("a/:#1", min_size=1, max_size=128))
def test_no_two_members_share_a_scope_and_each_fits_its_column(team: str, user: str) -> None:
    name = member_scope(MemberRecord("team", team, user, "user", NOW))
    assert len(name) <= 192
    for cut in range(1, len(team + user)):
        other = MemberRecord("team", (team + user)[:cut], (team + user)[cut:], "user", NOW)
        assert (member_scope(other) == name) == ((other.owner_id, other.user_id) == (team, user))
