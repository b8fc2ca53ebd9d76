"""Step 2: whether a call may start. Pure; budgets, rates and queues join here later."""

from routeiq_appliance.errors import CallError

__all__ = ["admit", "admit_size"]


def admit_size(size: int, *, maximum: int) -> None:
    """Raise `CallError` 413 when a body of `size` bytes is too large."""
    if size > maximum:
        raise CallError(413, f"the request body is larger than {maximum} bytes", code="request_too_large")


def admit(*, ledger_has_room: bool) -> None:
    """Raise `CallError` 503 when the call could not be accounted for."""
    if not ledger_has_room:
        raise CallError(
            503,
            "the database has not taken accounting rows for a while; calls wait until it does",
            kind="server_error",
            code="ledger_full",
            retry_after=5,
        )
