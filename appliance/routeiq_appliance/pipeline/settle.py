"""Step 6: what a call used and cost, as one row, whatever became of it. Pure; `state.ledger` keeps the row.

Without usage from the upstream an answer's tokens are estimated from its bytes, and marked so: a caller who leaves,
or a stream that breaks, has still made the upstream work. An answer from the cache used nothing and costs 0: its
decision says `cached`, with the tokens that it saved.
"""

from datetime import datetime
from typing import Any

from routeiq_appliance.pipeline.types import Call, Decision, Deployment, Price, Principal, Tally
from routeiq_appliance.policy.ruling import Ruling

__all__ = ["cost_of", "ledger_row"]

_BYTES_PER_TOKEN = 3


def cost_of(price: Price, *, prompt_tokens: int, completion_tokens: int, seconds: float) -> int:
    """Return pico-dollars; a part of a second is charged to the microsecond."""
    return (
        price.input_token * prompt_tokens
        + price.output_token * completion_tokens
        + price.second * round(seconds * 1_000_000) // 1_000_000
        + price.call
    )


def ledger_row(
    call: Call,
    principal: Principal,
    decision: Decision | None,
    tally: Tally,
    *,
    now: datetime,
    trace_id: str | None = None,
) -> dict[str, Any]:
    """Return the row: the columns of `calls`, and `charges`: the (scope, period) pairs that its cost is added to."""
    deployment = tally.deployment
    group = deployment.group if deployment else decision.group if decision else None
    estimated = tally.worked and not tally.counted
    prompt, completion = tally.prompt_tokens, tally.completion_tokens
    if estimated:
        prompt = call.request_bytes // _BYTES_PER_TOKEN
        completion = tally.text_bytes // _BYTES_PER_TOKEN
    seconds = max(0.0, (now - call.started_at).total_seconds())
    cost: int | None = 0
    if tally.worked and deployment is not None:
        cost = _cost(deployment, prompt, completion, seconds)
    return {
        "id": call.id,
        "started_at": call.started_at,
        "key_id": principal.key_id,
        "team_id": principal.team_id,
        "user_id": principal.user_id,
        "organization_id": principal.organization_id,
        "kind": call.kind,
        # PostgreSQL takes no NUL in text; a caller may send one in a model's name.
        "asked": (call.asked if call.ruling is None else call.ruling.asked)[:128].replace("\0", ""),
        "group": group,
        "deployment": deployment.id if deployment else None,
        "provider": deployment.provider if deployment else None,
        "status": tally.status,
        "outcome": tally.outcome,
        "stream": call.stream,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "estimated": estimated,
        "cost": cost,
        "attempts": len(tally.attempts),
        "duration_ms": round(seconds * 1000),
        "first_token_ms": None
        if tally.first_token_seconds is None
        else round(tally.first_token_seconds * 1000),
        "trace_id": trace_id,
        "decision": _decision(decision, tally, call.ruling),
        "charges": _charges(principal, group) if cost else [],
    }


def _cost(deployment: Deployment, prompt: int, completion: int, seconds: float) -> int | None:
    if deployment.price is None:
        return None
    return cost_of(deployment.price, prompt_tokens=prompt, completion_tokens=completion, seconds=seconds)


def _charges(principal: Principal, group: str | None) -> list[tuple[str, int]]:
    charges = [(scope.name, scope.period) for scope in principal.scopes]
    if group in principal.model_limits:
        charges.append((f"key:{principal.key_id}/model:{group}", 0))
    return charges


def _decision(decision: Decision | None, tally: Tally, ruling: Ruling | None) -> dict[str, Any] | None:
    if decision is None:
        return None if ruling is None else _undecided(ruling)
    record: dict[str, Any] = {
        "strategy": decision.strategy,
        "score": decision.score,
        "ranking": [{"group": group, "score": score} for group, score in decision.ranking],
        "reason": decision.reason,
        "artifact": decision.artifact,
        "balancing": decision.balancing,
        "ms": round(decision.seconds * 1000, 3),
    }
    if decision.why is not None:
        record |= decision.why.record(decision.ranking)
    if ruling is not None:
        record["policy"] = ruling.record()
    if tally.cached is not None:
        record["cached"] = tally.cached
    if decision.passed_over:
        record["passed_over"] = [
            {"deployment": name, "reason": reason} for name, reason in decision.passed_over
        ]
    if len(tally.attempts) > 1 or (tally.attempts and tally.attempts[0].outcome != "answered"):
        record["attempts"] = [
            {"deployment": a.deployment.id, "outcome": a.outcome, "ms": round(a.seconds * 1000)}
            for a in tally.attempts
        ]
    return record


def _undecided(ruling: Ruling) -> dict[str, Any]:
    """Return the decision's record of a call that was never routed."""
    denied = ruling.refusal() is not None
    return {
        "strategy": "policy" if denied else "none",
        "score": None,
        "ranking": [],
        "reason": "the policy denies the call" if denied else "",
        "artifact": None,
        "balancing": "",
        "ms": 0.0,
        "policy": ruling.record(),
    }
