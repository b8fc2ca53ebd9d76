"""Windows of time: days, hours over midnight, zones and their changes of clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.errors import ConfigError
from routeiq_appliance.policy.schema import Window
from routeiq_appliance.policy.windows import compile_window


def _window(**fields: object) -> Window:
    return Window.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "instant", "within"),
    [
        ({}, "2026-11-21T00:00:00+00:00", True),
        ({"hours": "08:00-18:00"}, "2026-11-23T07:59:59+00:00", False),
        ({"hours": "08:00-18:00"}, "2026-11-23T08:00:00+00:00", True),
        ({"hours": "08:00-18:00"}, "2026-11-23T18:00:00+00:00", False),
        ({"hours": "08:00-24:00"}, "2026-11-23T23:59:59+00:00", True),
        # Berlin is an hour ahead in winter, two in summer.
        ({"hours": "08:00-18:00", "timezone": "Europe/Berlin"}, "2026-11-23T07:00:00+00:00", True),
        ({"hours": "08:00-18:00", "timezone": "Europe/Berlin"}, "2026-07-01T06:00:00+00:00", True),
        ({"hours": "08:00-18:00", "timezone": "Europe/Berlin"}, "2026-07-01T16:00:00+00:00", False),
        ({"days": ["sat", "sun"]}, "2026-11-21T12:00:00+00:00", True),
        ({"days": ["mon"]}, "2026-11-21T12:00:00+00:00", False),
        # Sunday in Berlin, Saturday in UTC.
        ({"days": ["sun"], "timezone": "Europe/Berlin"}, "2026-11-21T23:30:00+00:00", True),
        # Over midnight the morning belongs to the day before.
        ({"days": ["fri"], "hours": "22:00-06:00"}, "2026-11-20T23:00:00+00:00", True),
        ({"days": ["fri"], "hours": "22:00-06:00"}, "2026-11-21T05:59:00+00:00", True),
        ({"days": ["fri"], "hours": "22:00-06:00"}, "2026-11-21T06:00:00+00:00", False),
        ({"days": ["fri"], "hours": "22:00-06:00"}, "2026-11-20T05:00:00+00:00", False),
        ({"days": ["mon"], "hours": "22:00-06:00"}, "2026-11-24T01:00:00+00:00", True),
        ({"hours": "08:00-08:00"}, "2026-11-24T01:00:00+00:00", True),
    ],
)
def test_an_instant_is_in_a_window(fields: dict[str, object], instant: str, *, within: bool) -> None:
    assert compile_window(_window(**fields))(datetime.fromisoformat(instant)) is within


@pytest.mark.parametrize("name", ["Europe/Atlantis", "../../etc/passwd", "/etc/localtime", "\0", "UTC " * 10])
def test_a_zone_that_the_system_does_not_hold_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no time zone"):
        compile_window(_window(timezone=name))


@given(
    st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 23),
    st.integers(0, 23),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]),
)
def test_a_window_and_its_complement_are_all_of_the_time(now: datetime, a: int, b: int, zone: str) -> None:
    if a != b:
        here = compile_window(_window(hours=f"{a:02}:00-{b:02}:00", timezone=zone))
        there = compile_window(_window(hours=f"{b:02}:00-{a:02}:00", timezone=zone))
        assert here(now) != there(now)
        assert here(now) == here(now + timedelta(0))
