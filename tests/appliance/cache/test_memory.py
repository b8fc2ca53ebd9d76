"""The first level: bounded by bytes, count and age; the least recently used goes first."""

from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.cache.entry import Entry
from routeiq_appliance.cache.memory import MemoryLevel

_EACH = 600


def entry(size: int = 100, *, until: float = 100.0) -> Entry:
    return Entry(b"x" * size, False, 0.0, until)


def test_the_least_recently_used_goes_first() -> None:
    level = MemoryLevel(3 * (_EACH + 100))
    for name in (b"a", b"b", b"c"):
        level.put(name, entry())
    assert level.get(b"a", 0) is not None
    level.put(b"d", entry())
    assert [name for name in (b"a", b"b", b"c", b"d") if level.get(name, 0)] == [b"a", b"c", b"d"]


def test_an_entry_goes_when_its_time_is_over() -> None:
    level = MemoryLevel(10_000)
    level.put(b"a", entry(until=10.0))
    assert level.get(b"a", 9.999) is not None
    assert level.get(b"a", 10.0) is None
    assert (len(level), level.bytes) == (0, 0)


def test_an_entry_takes_the_place_of_an_older_one() -> None:
    level = MemoryLevel(10_000)
    level.put(b"a", entry(100))
    level.put(b"a", entry(200))
    assert (len(level), level.bytes) == (1, _EACH + 200)


def test_what_has_no_room_leaves_the_others_alone() -> None:
    level = MemoryLevel(2000)
    level.put(b"a", entry())
    level.put(b"b", entry(5000))
    assert level.get(b"a", 0) is not None
    assert level.get(b"b", 0) is None


def test_without_room_nothing_is_kept() -> None:
    level = MemoryLevel(0)
    level.put(b"a", entry(0))
    assert (len(level), level.bytes) == (0, 0)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 3000), st.integers(1, 20), st.booleans()), max_size=60
    )
)
def test_it_never_holds_more_than_it_may(steps: list[tuple[int, int, int, bool]]) -> None:
    level = MemoryLevel(5000, max_entries=4)
    for now, (number, size, until, reads) in enumerate(steps):
        name = bytes([number])
        if reads:
            found = level.get(name, now)
            assert found is None or found.until > now
        else:
            level.put(name, entry(size, until=float(until)))
        assert level.bytes <= 5000
        assert len(level) <= 4
        assert level.bytes == sum(len(e.payload) + _EACH for e in level._entries.values())
