"""Strict JSON: one reading, one spelling."""

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from routeiq_signing.errors import DocumentError, RouteIQError
from routeiq_signing.strict_json import dumps, loads

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYS, VALUES))
def test_it_spells_as_the_whole_of_rfc_8785_does(document: dict[str, object]) -> None:
    assert dumps(document) == rfc8785.dumps(document)  # type: ignore[arg-type]


@given(st.dictionaries(KEYS, VALUES))
def test_what_it_writes_it_reads(document: dict[str, object]) -> None:
    assert loads(dumps(document), "d", limit=1 << 20) == document


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_with_our_error(raw: bytes) -> None:
    try:
        assert isinstance(loads(raw, "d", limit=100), dict)
    except RouteIQError:
        pass


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"a":1,"a":2}', "duplicate key 'a'"),
        (b'{"a":1.5}', "not an integer"),
        (b'{"a":NaN}', "not an integer"),
        (b'{"a":1e3}', "not an integer"),
        (b'{"a":99999999999999999999}', "out of range"),
        (b'{"a":9007199254740992}', "53 bits"),
        (b'{"a": 1}', "canonical"),
        (b'{"b":1,"a":2}', "canonical"),
        (b'{"a":"\\u0041"}', "canonical"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'\xef\xbb\xbf{}', "strict JSON"),
        (b'{"\xc3\xa4":1}', "ASCII"),
        (b"[]", "object"),
        (b"{}x", "strict JSON"),
        (b"", "strict JSON"),
        (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "nested deeper"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * 2_000_000, "more than the"),
    ],
)  # fmt: skip
def test_a_second_reading_is_refused(raw: bytes, message: str) -> None:
    with pytest.raises(DocumentError, match=message):
        loads(raw, "d", limit=1 << 20)
