"""Moves a site over: stage the rows, decide for each, write all of them in one transaction or none.

Order: budgets and organizations before the teams, users and members that name them, keys last. A row stays behind
when one that it names does: without it, it would be without that one's limits.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from routeiq_appliance.errors import StateError
from routeiq_appliance.moving import tables
from routeiq_appliance.moving.decide import Decider
from routeiq_appliance.moving.limits import MoveLimits
from routeiq_appliance.moving.outcome import Carried, Held, Outcome
from routeiq_appliance.moving.people import Terms
from routeiq_appliance.moving.report import Report
from routeiq_appliance.moving.staging import Staging
from routeiq_appliance.moving.write import ALIAS_TAKEN, Writer
from routeiq_appliance.state.schema import reason
from routeiq_signing.progress import Progress

__all__ = ["KINDS", "Move", "move"]

KINDS = {
    "budgets": (tables.BUDGETS,),
    "organizations": (tables.ORGANIZATIONS,),
    "teams": (tables.TEAMS,),
    "users": (tables.USERS,),
    "members": (tables.TEAMS, tables.ORGANIZATION_MEMBERS),
    "keys": (tables.KEYS,),
}
"""What is carried, in the order in which it is written → LiteLLM's tables that say it."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a run needs beside the rows."""

    pepper: bytes
    now: datetime
    dry_run: bool
    unsafe: bool
    limits: MoveLimits


def move(engine: sa.Engine, staging: Staging, report: Report, settings: Move, progress: Progress) -> None:
    """Write what is staged and fill the report; raises `StateError`. A dry run writes nothing that stays."""
    decider = Decider(staging, settings.pepper, Terms(settings.now, settings.unsafe))
    with _transaction(engine, undo=settings.dry_run) as connection:
        writer = Writer(connection)
        for kind, sources in KINDS.items():
            with progress.task(kind, sum(staging.count(table) for table in sources), "rows") as advance:
                outcomes = _outcomes(decider, staging, kind, sources, advance)
                while batch := list(itertools.islice(outcomes, settings.limits.rows_at_once)):
                    _some(writer, report, kind, batch)
    for table, count in staging.others.items():
        if count and table not in tables.CARRIED:
            report.other(table, count, tables.why_not(table))


def _outcomes(
    decider: Decider, staging: Staging, kind: str, sources: tuple[str, ...], advance: Callable[[int], object]
) -> Iterator[Outcome]:
    for table in sources:
        for row in staging.rows(table):
            yield from decider.decide(kind, table, row)
            advance(1)


def _some(writer: Writer, report: Report, kind: str, outcomes: list[Outcome]) -> None:
    report.tallies[kind].found += len(outcomes)
    for outcome in outcomes:
        if isinstance(outcome, Held):
            report.held(kind, outcome.name, outcome.reason)
    written, here = writer.write(kind, [outcome for outcome in outcomes if isinstance(outcome, Carried)])
    report.tallies[kind].already_here += here
    for row, lost_alias in written:
        report.carried(kind, row.name, (*row.changes, ALIAS_TAKEN) if lost_alias else row.changes)


@contextmanager
def _transaction(engine: sa.Engine, *, undo: bool) -> Iterator[sa.Connection]:
    try:
        with engine.connect() as connection, connection.begin() as work:
            yield connection
            if undo:
                work.rollback()
    except sa.exc.SQLAlchemyError as error:
        raise StateError(
            f"nothing was imported: {reason(error)}", hint="see that the database answers, and run it again"
        ) from None
