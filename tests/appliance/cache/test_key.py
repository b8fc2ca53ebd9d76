"""No two requests that differ in anything, and no two callers of different scopes, ever share an entry."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.cache.key import Keys, is_cold
from routeiq_appliance.cache.rules import Scope
from routeiq_appliance.pipeline.types import Call, Deployment, Principal, Upload, Wishes

SECRET = b"s" * 32


def deployment(**changes: Any) -> Deployment:
    base = Deployment(
        "small-1", "small", None, {"api_base": "http://a/v1", "api_key": "sk-1"}, None, "direct", "openai", "tiny",
        1.0, 1.0, 1.0, 1.0, 0,
    )  # fmt: skip
    return replace(base, **changes)


def call(**changes: Any) -> Call:
    base = Call(
        "id", "chat", "small", {"messages": [{"role": "user", "content": "x"}]}, {}, stream=False, include_usage=False,
        prompt="", request_bytes=1, started_at=datetime.now(UTC),
    )  # fmt: skip
    return replace(base, **changes)


ANN = Principal("ann", team_id="blue")
MEMBERS = [deployment()]


def key(
    made: Call | None = None, principal: Principal = ANN, *, group: str = "small", members: Any = None,
    namespace: str = "", scope: Scope = "key", secret: bytes = SECRET,
) -> bytes:  # fmt: skip
    keys = Keys(secret, scope)
    told = keys.key(made or call(), principal, group, keys.group(group, members or MEMBERS), namespace)
    assert told is not None
    assert len(told) == 32
    return told


@pytest.mark.parametrize(
    "other",
    [
        {"made": call(params={"messages": [{"role": "user", "content": "y"}]})},
        {"made": call(params={"messages": [{"role": "system", "content": "x"}]})},
        {"made": call(params={**call().params, "temperature": 0})},
        {"made": call(params={**call().params, "user": "someone"})},
        {"made": call(extra={"top_k": 1})},
        {"made": call(extra=call().params, params={})},
        {"made": call(kind="text")},
        {"made": call(stream=True)},
        {"made": call(include_usage=True)},
        {"made": call(wishes=Wishes(tags=frozenset({"eu"})))},
        {"group": "large"},
        {"namespace": "mine"},
        {"secret": b"t" * 32},
        {"members": [deployment(model="tiny-2")]},
        {"members": [deployment(params={"api_base": "http://b/v1", "api_key": "sk-1"})]},
        {"members": [deployment(params={**deployment().params, "seed": 1})]},
        {"members": [deployment(), deployment(id="small-2")]},
        {"principal": Principal("ann-2", team_id="blue")},
        {"principal": Principal("ann-2")},
    ],
)
def test_whatever_makes_another_answer_makes_another_key(other: dict[str, Any]) -> None:
    assert key(**other) != key()


@pytest.mark.parametrize(
    "same",
    [
        {"made": call(id="other", prompt="p", request_bytes=99, asked="auto")},
        {"made": call(params=dict(reversed([("seed", 1), *call().params.items()])))},
        {"made": call(wishes=Wishes(hint="small", conversation="c", strategy="ml"))},
        {"made": call(trace_headers={"traceparent": "00"})},
        {"principal": replace(ANN, user_id="someone", is_admin=True)},
    ],
)
def test_what_makes_no_other_answer_makes_no_other_key(same: dict[str, Any]) -> None:
    first = same.get("made")
    if first is not None and "seed" in first.params:
        assert key(first) == key(call(params={**call().params, "seed": 1}))
    else:
        assert key(**same) == key()


def test_the_order_of_a_schemas_properties_is_told_apart() -> None:
    # A model writes its fields in the schema's order.
    one, two = [
        call(
            params={
                "response_format": {
                    "type": "json_schema",
                    "schema": {"properties": dict.fromkeys(names, True)},
                }
            }
        )
        for names in ("ab", "ba")
    ]
    assert key(one) != key(two)


def test_a_change_of_the_configuration_is_seen_at_once() -> None:
    keys = Keys(SECRET, "key")
    first = keys.group("small", MEMBERS)
    assert keys.group("small", MEMBERS) is first
    other = keys.group("small", [deployment(model="other")])
    assert keys.key(call(), ANN, "small", other, "") != keys.key(call(), ANN, "small", first, "")


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
_fields = st.dictionaries(st.text(max_size=5), _values, max_size=4)
_names = st.text(max_size=4)
_principals = st.builds(Principal, _names, team_id=st.none() | _names)
_calls = st.builds(
    lambda kind, params, extra, stream, usage, tags: call(
        kind=kind, params=params, extra=extra, stream=stream, include_usage=usage, wishes=Wishes(tags=tags)
    ),
    st.sampled_from(["chat", "text", "embedding"]),
    _fields,
    _fields,
    st.booleans(),
    st.booleans(),
    st.frozensets(_names, max_size=2),
)
_requests = st.tuples(_calls, _principals, _names, _names)


def _told(scope: Scope, request: Any) -> str:
    """Return what must be the same for two requests to share an answer, told in another way than the key tells it."""
    made, principal, group, namespace = request
    holder: Any = {"key": ["k", principal.key_id], "team": ["t", principal.team_id], "global": ["g"]}[scope]
    if scope == "team" and principal.team_id is None:
        holder = ["k", principal.key_id]
    told = {
        "holder": holder, "kind": made.kind, "stream": made.stream, "usage": made.include_usage, "group": group,
        "namespace": namespace, "tags": sorted(made.wishes.tags),
        "params": {name: json.dumps(value) for name, value in made.params.items()},
        "extra": {name: json.dumps(value) for name, value in made.extra.items()},
    }  # fmt: skip
    return json.dumps(told, sort_keys=True)


@given(st.sampled_from(["key", "team", "global"]), _requests, _requests)
def test_two_requests_share_a_key_exactly_when_nothing_differs(scope: Scope, one: Any, two: Any) -> None:
    same = _told(scope, one) == _told(scope, two)
    keys = [
        key(made, principal, group=group, namespace=namespace, scope=scope)
        for made, principal, group, namespace in (one, two)
    ]
    assert (keys[0] == keys[1]) is same


@given(_requests, st.data())
def test_one_changed_field_is_enough(request_: Any, data: st.DataObject) -> None:
    made, principal, group, namespace = request_
    before = key(made, principal, group=group, namespace=namespace)
    where = data.draw(st.sampled_from(["params", "extra"]))
    fields = dict(getattr(made, where))
    name = data.draw(st.sampled_from(sorted(fields)) if fields else _names)
    value = data.draw(_values.filter(lambda v: json.dumps(v) != json.dumps(fields.get(name))))
    fields[name] = value
    changed = replace(made, **{where: fields})
    if json.dumps(fields) != json.dumps(getattr(made, where)):
        assert key(changed, principal, group=group, namespace=namespace) != before


@given(_requests, _principals)
def test_no_team_and_no_key_reads_anothers(request_: Any, other: Principal) -> None:
    made, principal, group, namespace = request_

    def of(who: Principal, scope: Scope) -> bytes:
        return key(made, who, group=group, namespace=namespace, scope=scope)

    assert (of(principal, "key") == of(other, "key")) is (principal.key_id == other.key_id)
    shared = of(principal, "team") == of(other, "team")
    if principal.team_id != other.team_id:
        assert not shared
    assert of(principal, "global") == of(other, "global")


def test_a_team_named_like_a_key_is_another_holder() -> None:
    assert key(principal=Principal("x"), scope="team") != key(
        principal=Principal("y", team_id="x"), scope="team"
    )
    assert key(principal=Principal(""), scope="key") != key(principal=Principal(""), scope="global")


def test_text_that_is_no_unicode_is_not_cached() -> None:
    keys = Keys(SECRET, "key")
    group = keys.group("small", MEMBERS)
    assert keys.key(call(params={"user": "\ud800"}), ANN, "small", group, "") is None


def test_a_call_with_a_file_is_not_cached() -> None:
    keys = Keys(SECRET, "key")
    made = call(file=Upload("a.wav", "audio/wav", b"x"))
    assert keys.key(made, ANN, "small", keys.group("small", MEMBERS), "") is None


@pytest.mark.parametrize(
    ("asked", "configured", "cold"),
    [
        ({"temperature": 0}, [{}], True),
        ({"temperature": 0.0}, [{"temperature": 1}], True),
        ({"temperature": 1e-9}, [{"temperature": 0}], False),
        ({}, [{"temperature": 0}, {"temperature": 0.0}], True),
        ({}, [{"temperature": 0}, {}], False),
        ({}, [{"temperature": "0"}], False),
        ({}, [{"temperature": False}], False),
        ({}, [{}], False),
    ],
)
def test_a_call_is_cold_by_itself_or_by_every_deployment(asked: Any, configured: Any, cold: bool) -> None:
    group = Keys(SECRET, "key").group("g", [deployment(params=params) for params in configured])
    assert is_cold(call(params=asked), group) is cold
