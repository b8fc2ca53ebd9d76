"""Step 6: one row per call, whatever became of it. Pure; `state.ledger` writes the row."""

from datetime import datetime
from typing import Any

from routeiq_appliance.pipeline.types import Call, Decision, Principal, Tally

__all__ = ["ledger_row"]

_BYTES_PER_TOKEN = 3


def ledger_row(
    call: Call, principal: Principal, decision: Decision | None, tally: Tally, *, now: datetime
) -> dict[str, Any]:
    """Return the row; without usage from the upstream an answer's tokens are estimated from its bytes."""
    answered = tally.status < 400
    estimated = answered and not tally.counted
    return {
        "id": call.id,
        "started_at": call.started_at,
        "key_id": principal.key_id,
        "kind": call.kind,
        # PostgreSQL takes no NUL in text; a caller may send one in a model's name.
        "asked": call.asked[:128].replace("\0", ""),
        "group": decision.group if decision else None,
        "deployment": decision.deployment.id if decision else None,
        "status": tally.status,
        "outcome": tally.outcome,
        "stream": call.stream,
        "prompt_tokens": call.request_bytes // _BYTES_PER_TOKEN if estimated else tally.prompt_tokens,
        "completion_tokens": tally.text_bytes // _BYTES_PER_TOKEN if estimated else tally.completion_tokens,
        "estimated": estimated,
        "duration_ms": max(0, round((now - call.started_at).total_seconds() * 1000)),
        "decision": _decision(decision),
    }


def _decision(decision: Decision | None) -> dict[str, Any] | None:
    if decision is None:
        return None
    return {
        "strategy": decision.strategy,
        "score": decision.score,
        "ranking": [{"group": group, "score": score} for group, score in decision.ranking],
        "reason": decision.reason,
        "artifact": decision.artifact,
        "ms": round(decision.seconds * 1000, 3),
    }
