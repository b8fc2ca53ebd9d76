from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.state.records import (
    UNLIMITED,
    Allowance,
    anchored,
    duration_seconds,
    period_end,
    period_of,
)

ANCHOR = datetime(2026, 11, 21, 8, 0, 0, 700_000, tzinfo=UTC)
START = int(ANCHOR.timestamp() // 1)
DURATIONS = ["1s", "90m", "24h", "30d", "4w", "1mo", "daily", "36500d"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30m", 1800), ("2h", 7200), ("30d", 2_592_000), ("4w", 2_419_200), ("1mo", 2_592_000),
     ("hourly", 3600), ("daily", 86_400), ("weekly", 604_800), ("monthly", 2_592_000), ("36500d", 3_153_600_000)],
)  # fmt: skip
def test_litellms_durations(text: str, seconds: int) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0d", "-1d", "-1", "1y", "1.5h", "\uff11d", "1 d", "1d\n", "30", "d", "36501d", "9" * 5000 + "d"],
)
def test_what_is_no_duration(text: str) -> None:
    assert duration_seconds(text) is None


@given(
    duration=st.sampled_from(DURATIONS),
    now=st.floats(min_value=0, max_value=5e9),
    periods=st.integers(min_value=-50, max_value=50),
)
def test_an_instant_lies_in_exactly_one_period(duration: str, now: float, periods: int) -> None:
    allowance = Allowance(budget_duration=duration, budget_anchor=ANCHOR)
    seconds = duration_seconds(duration)
    assert seconds is not None
    began, end = period_of(allowance, now), period_end(allowance, now)
    assert began <= now < began + seconds
    assert end == began + seconds
    assert (began - START) % seconds == 0
    # The same for all workers, whenever they ask within the period; and the next begins where it ends.
    assert period_of(allowance, began) == period_of(allowance, end - 0.001) == began
    assert period_of(allowance, end) == end
    assert period_of(allowance, began + periods * seconds) == began + periods * seconds


@given(now=st.floats(min_value=0, max_value=5e9))
def test_without_a_duration_there_is_one_period_for_ever(now: float) -> None:
    for allowance in (UNLIMITED, Allowance(max_budget=5, budget_anchor=ANCHOR)):
        assert period_of(allowance, now) == 0
        assert period_end(allowance, now) is None


def test_only_another_duration_moves_the_anchor() -> None:
    before = Allowance(budget_duration="30d", budget_anchor=ANCHOR)
    later = ANCHOR + timedelta(days=3)
    assert anchored({"rpm_limit": 1}, before, later) == {"rpm_limit": 1}
    assert anchored({"budget_duration": "30d"}, before, later) == {"budget_duration": "30d"}
    assert anchored({"budget_duration": "1d"}, before, later) == {
        "budget_duration": "1d",
        "budget_anchor": later.replace(microsecond=0),
    }
    assert anchored({"budget_duration": None}, before, later) == {
        "budget_duration": None,
        "budget_anchor": None,
    }
