"""Splitting an upstream's bytes into events: any cut, any line ending, bounded (C1)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.upstreams.sse import EventSplitter

_DATA = st.binary(max_size=40).filter(lambda data: b"\n" not in data and b"\r" not in data)


@given(
    st.lists(_DATA, max_size=8),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_events_come_out_whole_wherever_the_bytes_are_cut(
    events: list[bytes], line: bytes, cuts: list[int]
) -> None:
    stream = b"".join(b": note" + line + line + b"data: " + data + line + line for data in events)
    splitter = EventSplitter(maximum=1 << 20)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    found = [d for a, b in itertools.pairwise(edges) for d in splitter.feed(stream[a:b])]
    found += splitter.feed(b"\n") if line == b"\r" else []
    assert found == events
    assert not splitter.pending


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_any_bytes_are_taken(chunks: list[bytes]) -> None:
    splitter = EventSplitter(maximum=1 << 20)
    for chunk in chunks:
        assert all(isinstance(data, bytes) for data in splitter.feed(chunk))


def test_lines_of_one_event_are_joined_and_other_fields_skipped() -> None:
    splitter = EventSplitter(maximum=100)
    assert splitter.feed(b"event: x\ndata: a\ndata:b\nid: 1\n\nretry: 5\n\n") == [b"a\nb"]


def test_half_an_event_is_pending() -> None:
    splitter = EventSplitter(maximum=100)
    assert splitter.feed(b'data: {"a"') == []
    assert splitter.pending


def test_an_event_without_end_is_refused() -> None:
    splitter = EventSplitter(maximum=100)
    with pytest.raises(UpstreamError, match="broke off"):
        splitter.feed(b"data: " + b"x" * 200)
