import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_router.errors import RouterError
from routeiq_router.strict_json import parse_json


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1, "a": 2}', "name 'a' appears twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b'{"a": -Infinity}', "-Infinity is not a JSON number"),
        (b'{"a": 1e999}', "number 1e999 is out of range"),
        (b"[" * 100_000, "nested too deeply"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"{", "not valid JSON"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"1" * 5000, "not valid JSON"),
    ],
)
def test_hostile_json_is_refused_with_the_file_and_the_fault(data, message):
    with pytest.raises(RouterError, match=f"^router.json: .*{message}"):
        parse_json(data, subject="router.json")


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_our_error(data):
    try:
        json.loads(data.decode())
    except ValueError:
        with pytest.raises(RouterError, match="^x: "):
            parse_json(data, subject="x")
