"""Rows as `pipeline.settle` writes them, and what the ledger says of them."""

import json
from collections import Counter
from typing import Any

import sqlalchemy as sa

from routeiq_appliance.state.tables import calls, spend

STARTED = "2026-11-21T08:00:00.123456+00:00"


def make_row(number: int, **changes: Any) -> bytes:
    """Return a whole row; its id is `number`, its cost too unless given."""
    row = {
        "id": f"{number:032x}", "started_at": STARTED, "key_id": "k1", "team_id": "t1", "user_id": None,
        "organization_id": "o1", "kind": "chat", "asked": "auto", "group": "small", "deployment": "small-1",
        "provider": "openai", "status": 200, "outcome": "answered", "stream": True, "prompt_tokens": 3,
        "completion_tokens": 2, "estimated": False, "cost": number, "attempts": 2, "duration_ms": 12,
        "first_token_ms": 4, "trace_id": "f" * 32, "decision": {"strategy": "round-robin", "reason": "ü"},
        "charges": [["team:t1", 1_700_000_000], ["key:k1", 0]],
    }  # fmt: skip
    return json.dumps(row | changes, ensure_ascii=False).encode()


def ids_of(engine: sa.Engine) -> list[int]:
    with engine.connect() as connection:
        return sorted(
            int(identifier, 16) for identifier in connection.execute(sa.select(calls.c.id)).scalars()
        )


def spend_of(engine: sa.Engine) -> dict[tuple[str, int], int]:
    with engine.connect() as connection:
        return {(row.scope, row.period): row.amount for row in connection.execute(sa.select(spend))}


def charged(rows: list[bytes]) -> dict[tuple[str, int], int]:
    """Return what `spend` must be when each of these rows was taken once."""
    amounts: Counter[tuple[str, int]] = Counter()
    for row in map(json.loads, rows):
        for scope, period in row["charges"]:
            amounts[scope, period] += row["cost"] or 0
    return {pair: amount for pair, amount in amounts.items() if amount}
