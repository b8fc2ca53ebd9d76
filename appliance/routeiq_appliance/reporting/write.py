"""Makes a report: one snapshot of the database, the rows through a layout into a file, and whether all adds up."""

from collections.abc import Callable
from dataclasses import dataclass

import sqlalchemy as sa

from routeiq_appliance.reporting.columns import ReportError
from routeiq_appliance.reporting.layouts import Layout
from routeiq_appliance.state.reconcile import Reconciliation, compare
from routeiq_appliance.state.reports import Sums, Wanted, report_rows, report_total, snapshot

__all__ = ["Made", "write_report"]

_CANCELLED = "57014"
"""PostgreSQL's state of a statement that took longer than it may."""


@dataclass(frozen=True, slots=True)
class Made:
    """What a report comes to."""

    total: Sums
    account: Reconciliation
    rows_spend: int
    """Sum over the rows that were written, pico-dollars."""
    size: int
    """Bytes."""

    @property
    def reconciled(self) -> bool:
        """Return whether the rows add up to the ledger, and the ledger to what was charged."""
        return self.rows_spend == self.total.priced_spend and self.account.reconciled


def write_report(
    engine: sa.Engine,
    layout: Layout,
    wanted: Wanted,
    write: Callable[[bytes], object],
    *,
    uncharged: str,
    largest: int | None = None,
) -> Made:
    """Write a report of at most `largest` bytes; raises `ReportError`. Blocking.

    `uncharged` is the id of the key whose calls are charged to nobody.
    """
    size = rows_spend = 0

    def put(text: str) -> None:
        nonlocal size
        data = text.encode("utf-8", "replace")
        size += len(data)
        if largest is not None and size > largest:
            raise ReportError(
                f"the report is larger than {largest >> 20} MiB: narrow its dates, or group by less"
            )
        write(data)

    try:
        with snapshot(engine) as connection:
            total = report_total(connection, wanted)
            account = compare(connection, wanted, uncharged=uncharged)
            put(layout.head())
            for rows in report_rows(connection, layout.groups, wanted):
                rows_spend += sum(row.sums.priced_spend for row in rows)
                put(layout.page(rows))
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", None) == _CANCELLED:
            raise ReportError("the report takes too long: narrow its dates") from None
        raise
    made = Made(total, account, rows_spend, 0)
    put(layout.tail(total, account, reconciled=made.reconciled))
    return Made(total, account, rows_spend, size)
