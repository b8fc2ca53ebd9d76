from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from tests.appliance.ledger_rows import make_row

from routeiq_appliance.state.posting import open_poster
from routeiq_appliance.state.spend import load_spend, spend_logs


@pytest.fixture
def engine(engine: sa.Engine) -> sa.Engine:
    rows = [
        make_row(number, started_at=f"2026-11-{20 + number // 4:02}T0{number}:00:00.000000+00:00",
                 key_id=f"k{number % 2}", user_id="u" if number == 3 else None,
                 cost=None if number == 5 else number * 10**15, group="large" if number == 6 else "small",
                 charges=[[f"key:k{number % 2}", 0], ["team:t1", number // 4]])
        for number in range(1, 7)
    ]  # fmt: skip
    open_poster(engine).post(rows)
    return engine


def at(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def numbers(rows: list[object]) -> list[int]:
    return [int(row["id"], 16) for row in rows]  # type: ignore[index]


def test_spend_is_loaded_for_the_pairs_that_are_asked_for(engine: sa.Engine) -> None:  # H11
    pairs = [("key:k0", 0), ("team:t1", 0), ("team:t1", 1), ("team:t1", 2), ("key:none", 0), ("key:k0", 0)]
    assert load_spend(engine, pairs) == {
        ("key:k0", 0): 12 * 10**15, ("team:t1", 0): 6 * 10**15, ("team:t1", 1): 10 * 10**15,
    }  # fmt: skip
    assert load_spend(engine, []) == {}


def test_calls_are_listed_newest_first_and_filtered(engine: sa.Engine) -> None:
    assert numbers([*spend_logs(engine)]) == [6, 5, 4, 3, 2, 1]
    assert numbers([*spend_logs(engine, limit=2, offset=1)]) == [5, 4]
    assert numbers([*spend_logs(engine, key_id="k0")]) == [6, 4, 2]
    assert numbers([*spend_logs(engine, user_id="u", team_id="t1")]) == [3]
    assert numbers([*spend_logs(engine, team_id="other")]) == []
    assert numbers([*spend_logs(engine, request_id=f"{5:032x}")]) == [5]
    assert numbers([*spend_logs(engine, start=at(20, 2), end=at(21, 5))]) == [4, 3, 2]
