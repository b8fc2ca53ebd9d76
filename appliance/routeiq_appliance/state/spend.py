"""Reads of the ledger: what scopes have spent, and the calls behind it. Blocking: for a thread, never the event loop.

They see what was shipped; `Ledger.flush` first, where a caller wants to find the call that it has just made.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from routeiq_appliance.state.tables import calls, spend

__all__ = ["Total", "load_spend", "spend_logs", "spend_totals"]

Per = Literal["day", "group", "key_id", "team_id", "user_id"]


@dataclass(frozen=True, slots=True)
class Total:
    """A sum over calls. `name` is a day (`2026-11-21`, UTC), a group or an id; None for calls without."""

    name: str | None
    calls: int
    unpriced: int
    """Calls whose deployment has no price: `cost` does not know them."""
    prompt_tokens: int
    completion_tokens: int
    cost: int
    """Pico-dollars."""


def load_spend(engine: sa.Engine, pairs: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """Return pico-dollars by (scope, period), in one query; a pair without spend is left out."""
    wanted = sorted(set(pairs))
    if not wanted:
        return {}
    query = sa.select(spend).where(sa.tuple_(spend.c.scope, spend.c.period).in_(wanted))
    with engine.connect() as connection:
        return {(row.scope, row.period): row.amount for row in connection.execute(query)}


def spend_logs(
    engine: sa.Engine,
    *,
    key_id: str | None = None,
    team_id: str | None = None,
    user_id: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    request_id: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> list[Mapping[str, Any]]:
    """Return calls as rows of `calls`, newest first, that match all that is given; `start` is included, `end` not."""
    chosen = _chosen(key_id=key_id, team_id=team_id, user_id=user_id, id=request_id)
    query = (
        sa.select(calls)
        .where(*chosen, *_between(start, end))
        .order_by(calls.c.started_at.desc(), calls.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def spend_totals(
    engine: sa.Engine,
    *,
    per: Per,
    key_id: str | None = None,
    team_id: str | None = None,
    user_id: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
) -> list[Total]:
    """Return one sum per day, group, key, team or user, in order of its name."""
    name = _day(engine.dialect.name) if per == "day" else calls.c[per]
    query = (
        sa.select(
            name.label("name"),
            sa.func.count().label("calls"),
            (sa.func.count() - sa.func.count(calls.c.cost)).label("unpriced"),
            sa.func.sum(calls.c.prompt_tokens).label("prompt_tokens"),
            sa.func.sum(calls.c.completion_tokens).label("completion_tokens"),
            sa.func.coalesce(sa.func.sum(calls.c.cost), 0).label("cost"),
        )
        .where(*_chosen(key_id=key_id, team_id=team_id, user_id=user_id), *_between(start, end))
        .group_by(name)
        .order_by(name.nulls_first())
    )
    with engine.connect() as connection:
        return [
            Total(
                row.name,
                row.calls,
                row.unpriced,
                int(row.prompt_tokens),
                int(row.completion_tokens),
                int(row.cost),
            )
            for row in connection.execute(query)
        ]


def _day(dialect: str) -> sa.ColumnElement[Any]:
    if dialect == "postgresql":
        return sa.literal_column("to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')", sa.String())
    return sa.func.substr(calls.c.started_at, 1, 10, type_=sa.String())


def _chosen(**values: str | None) -> list[sa.ColumnElement[bool]]:
    return [calls.c[name] == value for name, value in values.items() if value is not None]


def _between(start: datetime | None, end: datetime | None) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if start is not None:
        conditions.append(calls.c.started_at >= start)
    if end is not None:
        conditions.append(calls.c.started_at < end)
    return conditions
