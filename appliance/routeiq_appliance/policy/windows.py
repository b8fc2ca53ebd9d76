"""Windows of time: whether an instant is within hours of days, in a time zone. Pure but for the tables of zones.

These are the system's, read when a window is made: nothing is looked up over a network.
"""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from routeiq_appliance.errors import ConfigError
from routeiq_appliance.policy.schema import Window

__all__ = ["compile_window", "zone_of"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def zone_of(name: str) -> ZoneInfo:
    """Return the zone; raises `ConfigError` for one that the system's tables do not hold."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"`{name}` is no time zone of this system's tables") from None


def compile_window(window: Window) -> Callable[[datetime], bool]:
    """Return whether an aware instant is in the window; raises `ConfigError` for an unknown zone.

    Clocks are the zone's own: where an hour is skipped or repeated, so is what the window says of it.
    """
    zone = zone_of(window.timezone)
    days = frozenset(_DAYS.index(day) for day in window.days or _DAYS)
    begin, end = map(_minutes, window.hours.split("-"))

    def within(now: datetime) -> bool:
        local = now.astimezone(zone)
        minute = local.hour * 60 + local.minute
        if begin < end:
            return begin <= minute < end and local.weekday() in days
        # Over midnight: the evening of its day, or the morning after it.
        if minute >= begin:
            return local.weekday() in days
        return minute < end and (local.weekday() - 1) % 7 in days

    return within


def _minutes(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)
