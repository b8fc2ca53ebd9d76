"""What callers write in a query: dates and times as instants, a key as its id."""

from datetime import UTC, date, datetime, timedelta

from routeiq_appliance.api.management.context import Context
from routeiq_appliance.errors import CallError

__all__ = ["instant", "key_id_of"]


def instant(text: str | None, name: str, *, whole: bool = False) -> datetime | None:
    """Return the instant that a date or a time names, in UTC unless it says otherwise; raises `CallError` 400.

    With `whole` a date is the end of its day. `name` is the parameter's.
    """
    if text is None:
        return None
    try:
        # `+` is a space in a query string that was not encoded.
        found = datetime.fromisoformat(text.replace(" +", "+"))
        day = len(text) == len("2026-11-21") and date.fromisoformat(text) is not None
        found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CallError(
            400,
            f"`{name}` must look like 2026-11-21 or 2026-11-21T08:00:00Z",
            code="invalid_value",
            param=name,
        ) from None
    if not (day and whole):
        return found
    return found + timedelta(days=1) if found.date() < date.max else datetime.max.replace(tzinfo=UTC)


def key_id_of(context: Context, reference: str | None) -> str | None:
    """Return the id of a key given as itself or by its id; a deleted key is known by its id still. Blocking."""
    holder = None if reference is None else context.keys.get(reference)
    return reference if holder is None else holder.key.id
