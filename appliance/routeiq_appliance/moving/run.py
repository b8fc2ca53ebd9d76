"""Moves a site over: stage the rows, decide for each, write all of them in one transaction or none.

Order: teams and users before the keys that name them; a key whose team or user stays behind stays, too, for without
them it would be without their limits.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from routeiq_appliance.errors import StateError
from routeiq_appliance.moving import tables
from routeiq_appliance.moving.keys import Named, key_outcome
from routeiq_appliance.moving.limits import MoveLimits
from routeiq_appliance.moving.outcome import Carried, Held, Outcome
from routeiq_appliance.moving.people import team_outcome, user_outcome
from routeiq_appliance.moving.report import Report
from routeiq_appliance.moving.staging import Row, Staging
from routeiq_appliance.moving.values import Values
from routeiq_appliance.moving.write import ALIAS_TAKEN, Writer
from routeiq_appliance.state.schema import reason
from routeiq_signing.progress import Progress

__all__ = ["KINDS", "Move", "move"]

KINDS = {"teams": tables.TEAMS, "users": tables.USERS, "keys": tables.KEYS}
"""What is carried, in the order in which it is written → LiteLLM's table."""


@dataclass(frozen=True, slots=True)
class Move:
    """What a run needs beside the rows. `unsafe` carries rows without limits that are not enforced here."""

    pepper: bytes
    now: datetime
    dry_run: bool
    unsafe: bool
    limits: MoveLimits


def move(engine: sa.Engine, staging: Staging, report: Report, settings: Move, progress: Progress) -> None:
    """Write what is staged and fill the report; raises `StateError`. A dry run writes nothing that stays."""
    run = _Run(staging, settings)
    with _transaction(engine, undo=settings.dry_run) as connection:
        writer = Writer(connection)
        for kind, table in KINDS.items():
            total = report.tallies[kind].found = staging.count(table)
            with progress.task(f"{kind}", total, "rows") as advance:
                for rows in _batches(staging.rows(table), settings.limits.rows_at_once):
                    _some(writer, report, kind, [run.decide(kind, row) for row in rows])
                    advance(len(rows))
    for table, count in staging.others.items():
        if count and table not in tables.CARRIED:
            report.other(table, count, tables.why_not(table))


def _some(writer: Writer, report: Report, kind: str, outcomes: list[Outcome]) -> None:
    carried = [outcome for outcome in outcomes if isinstance(outcome, Carried)]
    identity = "digest" if kind == "keys" else "id"
    here = writer.here(kind, carried)
    for outcome in outcomes:
        if isinstance(outcome, Held):
            report.held(kind, outcome.name, outcome.reason)
        elif outcome.values[identity] in here:
            report.already_here(kind)
    new = [row for row in carried if row.values[identity] not in here]
    for row, lost_alias in writer.write(kind, new):
        report.carried(kind, row.name, (*row.changes, ALIAS_TAKEN) if lost_alias else row.changes)


class _Run:
    """Hands each row the rows that it names; remembers which teams and users stay behind."""

    def __init__(self, staging: Staging, settings: Move) -> None:
        self._staging = staging
        self._settings = settings
        self._held: dict[str, set[str]] = {"teams": set(), "users": set()}
        self._decide: dict[str, Callable[[Values], Outcome]] = {
            "teams": self._team,
            "users": self._user,
            "keys": self._key,
        }

    def decide(self, kind: str, row: Row) -> Outcome:
        """Return what becomes of a row."""
        outcome = self._decide[kind](Values(row))
        if isinstance(outcome, Held) and kind in self._held:
            self._held[kind].add(row[tables.CARRIED[KINDS[kind]][0]] or "")
        return outcome

    def _team(self, values: Values) -> Outcome:
        settings = self._settings
        return team_outcome(values, self._permission(values), settings.now, unsafe=settings.unsafe)

    def _user(self, values: Values) -> Outcome:
        settings = self._settings
        return user_outcome(values, self._permission(values), settings.now, unsafe=settings.unsafe)

    def _key(self, values: Values) -> Outcome:
        settings = self._settings
        team, user = values.text("team_id"), values.text("user_id")
        held = None
        if team in self._held["teams"]:
            held = "team"
        elif user in self._held["users"]:
            held = "user"
        named = Named(
            team=self._values(tables.TEAMS, team),
            user=self._values(tables.USERS, user),
            budget=self._values(tables.BUDGETS, values.text("budget_id")),
            permission=self._permission(values),
            held=held,
        )
        return key_outcome(values, named, settings.pepper, settings.now, unsafe=settings.unsafe)

    def _permission(self, values: Values) -> Values | None:
        return self._values(tables.PERMISSIONS, values.text("object_permission_id"))

    def _values(self, table: str, identity: str | None) -> Values | None:
        row = self._staging.find(table, identity) if identity is not None else None
        return None if row is None else Values(row)


def _batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


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
