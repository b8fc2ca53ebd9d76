"""What a caller says about routing beside the model: where it is read from, and what of it is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.api.http import Request
from routeiq_appliance.api.wishes import wishes_of
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Wishes


def _wishes(metadata: Any = None, **headers: str | bytes) -> Wishes:
    raw = [
        (name.replace("_", "-").encode(), value if isinstance(value, bytes) else value.encode())
        for name, value in headers.items()
    ]
    scope = {"path": "/", "method": "POST", "headers": raw}
    return wishes_of(Request(scope, None, None, "id"), metadata)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "metadata", [None, {}, {"tags": None}, {"tags": []}, [], "x", {"conversation_id": 7}]
)
def test_who_says_nothing_wishes_nothing(metadata: Any) -> None:
    assert _wishes(metadata) == Wishes()


def test_headers_say_hint_strategy_and_conversation() -> None:
    assert _wishes(
        x_routeiq_hint=" small ", x_routeiq_strategy="knn", x_routeiq_conversation="c-1"
    ) == Wishes("small", "knn", "c-1")


def test_the_conversation_is_the_headers_else_the_bodys() -> None:
    metadata = {"conversation_id": "body"}
    assert _wishes(metadata).conversation == "body"
    assert _wishes(metadata, x_routeiq_conversation="header").conversation == "header"
    assert _wishes(metadata, x_routeiq_conversation="").conversation == "body"
    assert _wishes({"conversation_id": ""}).conversation is None


def test_tags_of_all_places_add_up() -> None:
    wishes = _wishes({"tags": ["a", "b"]}, x_litellm_tags="b, c,,", x_routeiq_tags=" d ")
    assert wishes.tags == {"a", "b", "c", "d"}


@pytest.mark.parametrize("tags", ["a", 7, {"a": 1}, ["a", 7], [None], [["a"]], ["a"] * 33, True])
def test_tags_that_are_no_list_of_strings_are_400(tags: Any) -> None:
    with pytest.raises(CallError, match=r"`metadata\.tags` must be a list of at most 32 strings") as caught:
        _wishes({"tags": tags})
    assert (caught.value.status, caught.value.param) == (400, "metadata.tags")


def test_long_words_are_cut() -> None:
    wishes = _wishes(x_routeiq_hint="h" * 5000, x_routeiq_strategy="s" * 5000, x_routeiq_tags="t," * 5000)
    assert (len(wishes.hint or ""), len(wishes.strategy or "")) == (256, 256)
    assert wishes.tags == {"t"}
    assert len(_wishes(x_routeiq_tags=",".join(map(str, range(100)))).tags) == 32


@given(metadata=st.dictionaries(st.sampled_from(["tags", "conversation_id"]), st.none() | st.integers() | st.text()),
       header=st.binary(max_size=40))  # fmt: skip
def test_any_bytes_and_values_are_wishes_or_400(metadata: dict[str, Any], header: bytes) -> None:
    status = 200
    try:
        _wishes(metadata, x_routeiq_hint=header, x_routeiq_conversation=header, x_routeiq_tags=header)
    except CallError as error:
        status = error.status
    assert status == (200 if metadata.get("tags") is None else 400)
