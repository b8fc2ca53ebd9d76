"""Entries in Redis: what was changed, cut, moved or grown there is none of ours, whatever it says."""

import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.cache.entry import OVERHEAD, Entry, pack, unpack

KEY, OTHER = b"k" * 32, b"o" * 32
SEAL = b"s" * 32
ROOM = 1 << 16


def entry(value: Any = None, *, stream: bool = False) -> Entry:
    payload = json.dumps(value if value is not None else {"id": "x"}).encode()
    return Entry(payload, stream, 1_790_000_000.125, 1_790_000_600.125, 7, 2)


def read(
    raw: bytes, key: bytes = KEY, *, stream: bool = False, max_bytes: int = ROOM, seal: bytes = SEAL
) -> Any:
    return unpack(raw, key, seal, stream=stream, max_bytes=max_bytes)


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=3000), max_size=3))
def test_a_body_comes_back_as_it_was(value: dict[str, str]) -> None:
    made = entry(value)
    found = read(pack(made, KEY, SEAL))
    assert found == made
    assert found.body() == value
    assert found.body() is not found.body()


@given(st.lists(st.dictionaries(st.text(max_size=9), st.integers(), max_size=3), min_size=1))
def test_events_come_back_as_they_were(value: list[dict[str, int]]) -> None:
    made = entry(value, stream=True)
    found = read(pack(made, KEY, SEAL), stream=True)
    assert found == made
    assert found.events() == value


def test_an_entry_is_zipped_only_where_that_pays() -> None:
    long, noise = (
        entry({"text": "word " * 2000}),
        entry({"text": "".join(chr(33 + (i * i * 7919) % 90) for i in range(40))}),
    )
    assert len(pack(long, KEY, SEAL)) < len(long.payload) / 5
    assert len(pack(noise, KEY, SEAL)) == len(noise.payload) + OVERHEAD


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_one_changed_byte_is_enough_to_be_refused(position: int, byte: int) -> None:
    raw = bytearray(pack(entry(), KEY, SEAL))
    position %= len(raw)
    if raw[position] != byte:
        raw[position] = byte
        assert read(bytes(raw)) is None


@given(st.binary(max_size=200))
def test_bytes_of_anybody_are_no_entry(raw: bytes) -> None:
    assert read(raw) is None


def test_an_entry_moved_to_another_key_is_refused() -> None:
    raw = pack(entry({"secret": "of another team"}), KEY, SEAL)
    assert read(raw, OTHER) is None
    assert read(raw) is not None


def test_an_entry_of_another_secret_is_refused() -> None:
    assert read(pack(entry(), KEY, b"t" * 32)) is None


def test_a_stream_is_no_body_and_a_body_no_stream() -> None:
    assert read(pack(entry([{}], stream=True), KEY, SEAL)) is None
    assert read(pack(entry(), KEY, SEAL), stream=True) is None


@pytest.mark.parametrize("cut", [1, 10, 50])
def test_a_cut_entry_is_refused(cut: int) -> None:
    raw = pack(entry(), KEY, SEAL)
    assert read(raw[:-cut]) is None
    assert read(raw + b"x" * cut) is None


def test_an_entry_above_the_bound_is_refused() -> None:
    raw = pack(entry({"text": "x" * 3000}), KEY, SEAL)
    assert len(raw) < 1000  # zipped
    assert read(raw, max_bytes=2000) is None
    assert read(raw, max_bytes=4000) is not None


def test_what_unzips_to_more_than_it_says_is_refused_before_it_is_whole() -> None:
    import hmac
    import struct

    payload = zlib.compress(b"{" + b" " * 50_000_000 + b"}", 9)
    head = struct.pack(">4sBQQIII", b"RQC1", 2, 1, 2**40, 0, 0, 100)
    raw = head + hmac.digest(SEAL, KEY + head + payload, "sha256") + payload
    assert read(raw) is None


@pytest.mark.parametrize(
    ("payload", "stream"),
    [(b"[]", False), (b"{", False), (b'"x"', False), (b"[]", True), (b"[1]", True), (b"{}", True)],
)
def test_what_is_no_answer_is_refused_even_when_it_is_sealed(payload: bytes, stream: bool) -> None:
    raw = pack(Entry(payload, stream, 1, 2), KEY, SEAL)
    assert read(raw, stream=stream) is None


def test_counts_that_no_field_holds_are_kept_as_the_largest() -> None:
    found = read(pack(Entry(b"{}", False, 1, 2, 2**40, 0), KEY, SEAL))
    assert found.prompt_tokens == 2**32 - 1
