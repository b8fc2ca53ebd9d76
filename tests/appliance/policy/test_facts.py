"""What rules see of a call: names, sizes, and every text wherever a dialect has it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.pipeline.types import Call, Principal, Wishes
from routeiq_appliance.policy.facts import facts_of, text_of


def _call(params: dict[str, Any], kind: Any = "chat", **more: Any) -> Call:
    return Call(
        id="1", kind=kind, asked="m", params=params, extra={}, stream=False, include_usage=False, prompt="",
        request_bytes=30, started_at=datetime.now(UTC), **more,
    )  # fmt: skip


def test_names_are_ids_and_aliases() -> None:
    principal = Principal(
        "k1",
        key_alias="build",
        team_id="t1",
        team_alias="research",
        user_id="u",
        organization_id="o",
        role="viewer",
    )
    facts = facts_of(principal, _call({"messages": []}), reads_text=False, text_chars=10)
    assert (facts.keys, facts.teams) == ({"k1", "build"}, {"t1", "research"})
    assert (facts.users, facts.organizations, facts.roles) == ({"u"}, {"o"}, {"viewer"})
    assert (
        "admin"
        in facts_of(Principal("master", is_admin=True), _call({}), reads_text=False, text_chars=1).roles
    )


def test_sizes_tags_and_dialects() -> None:
    call = _call(
        {"messages": [{"role": "user", "content": "x"}] * 3},
        "messages",
        wishes=Wishes(tags=frozenset({"eu"})),
    )
    facts = facts_of(Principal("k"), call, reads_text=False, text_chars=10)
    assert (facts.bytes, facts.tokens, facts.messages) == (30, 10, 3)
    assert (facts.dialect, facts.kind, facts.tags, facts.text) == ("anthropic", "messages", {"eu"}, "")
    for params, count in (({"input": "a"}, 1), ({"input": ["a", "b"]}, 2), ({"prompt": [1, 2]}, 1), ({}, 0)):
        assert facts_of(Principal("k"), _call(params), reads_text=False, text_chars=10).messages == count


@pytest.mark.parametrize(
    "params",
    [
        {"messages": [{"role": "user", "content": "needle"}]},
        {"messages": [{"role": "system", "content": "needle"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "needle"}]}]},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "needle"}}]}
            ]
        },
        {"messages": [], "tools": [{"type": "function", "function": {"name": "f", "description": "needle"}}]},
        {"messages": [], "system": [{"type": "text", "text": "needle"}]},
        {"prompt": "needle", "suffix": "x"},
        {"prompt": ["a", "needle"]},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "needle"}]}]},
        {"instructions": "needle", "input": "x"},
        {"query": "x", "documents": [{"text": "needle"}]},
        # A text that says it is a file is read all the same.
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "data:;base64,needle"}]}]},
        {"messages": [{"role": "user", "content": [{"source": {"type": "text", "data": "needle"}}]}]},
        {"messages": [{"role": "user", "content": [{"image_url": {"url": "data:text/plain,needle"}}]}]},
    ],
)
def test_text_is_found_wherever_it_is(params: dict[str, Any]) -> None:
    text, _, unreadable = text_of(params, {}, 1000)
    assert "needle" in text
    assert not unreadable


def test_what_is_relayed_beside_is_read_too() -> None:
    assert text_of({"prompt": ""}, {"chat_template_kwargs": {"x": "needle"}}, 100)[0].strip() == "needle"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    ],
)
def test_files_are_not_read(part: dict[str, Any]) -> None:
    assert "AAAA" not in text_of({"messages": [{"role": "user", "content": [part]}]}, {}, 1000)[0]


def test_the_users_part_is_theirs_alone() -> None:
    messages = [
        {"role": "system", "content": "a"},
        {"role": "user", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert text_of({"messages": messages}, {}, 100)[1] == "b\nc"
    assert text_of({"input": "b", "instructions": "a"}, {}, 100)[1] == "b"


@pytest.mark.parametrize("params", [{"prompt": [1, 2]}, {"input": [[1], [2]]}, {"prompt": ["a", 3]}])
def test_token_ids_cannot_be_read(params: dict[str, Any]) -> None:
    assert "token ids" in text_of(params, {}, 100)[2]


def test_a_text_up_to_the_bound_is_read() -> None:
    assert text_of({"prompt": "x" * 100}, {}, 100) == ("x" * 100, "x" * 100, "")
    assert "longer than the 100 characters" in text_of({"prompt": "x" * 101}, {}, 100)[2]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "type", "data", "text", "content", "url", "format", "input"]), inner
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(st.sampled_from(["messages", "input", "prompt", "documents", "x"]), _JSON),
    st.integers(0, 50),
)
def test_any_body_has_facts(params: dict[str, Any], chars: int) -> None:
    facts = facts_of(Principal("k"), _call(params), reads_text=True, text_chars=chars)
    assert len(facts.text) <= chars or facts.unreadable
