"""Reads of the ledger: what scopes have spent, and the calls behind it. Blocking: for a thread, never the event loop.

They see what was shipped; `Ledger.flush` first, where a caller wants to find the call that it has just made.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.tables import calls, spend

__all__ = ["load_spend", "spend_logs"]


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


def _chosen(**values: str | None) -> list[sa.ColumnElement[bool]]:
    return [calls.c[name] == value for name, value in values.items() if value is not None]


def _between(start: datetime | None, end: datetime | None) -> list[sa.ColumnElement[bool]]:
    conditions = []
    if start is not None:
        conditions.append(calls.c.started_at >= start)
    if end is not None:
        conditions.append(calls.c.started_at < end)
    return conditions
