"""A row of the ledger → why the call went where it went, what came next, and what that would have cost. Pure.

What it would have cost is the call's own tokens and time at the prices of that moment, which the record keeps; a group
without a price has no such number. Answers of other models are of other lengths: it is a comparison, not a bill.
"""

from collections.abc import Mapping
from typing import Any

from routeiq_appliance.money import dollars

__all__ = ["explain"]

_KEPT = ("strategy", "score", "reason", "artifact", "objective", "objective_from", "seed", "balancing", "ms")
_LISTS = ("needs", "filtered", "undeclared", "put_last", "passed_over", "attempts")


def explain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the explanation of a row of `calls`; money is in dollars, exact."""
    decision: Mapping[str, Any] = row["decision"] or {}
    cost = row["cost"]
    candidates = [_candidate(row, place, item) for place, item in enumerate(decision.get("ranking") or [], 1)]
    return {
        "id": row["id"],
        "started_at": row["started_at"],
        "asked": row["asked"],
        "group": row["group"],
        "deployment": row["deployment"],
        "status": row["status"],
        "outcome": row["outcome"],
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "estimated": bool(row["estimated"]),
        "spend": None if cost is None else dollars(cost),
        **{name: decision.get(name) for name in _KEPT},
        **{name: decision.get(name) or [] for name in _LISTS},
        "policy": decision.get("policy"),
        "cached": decision.get("cached"),
        "candidates": candidates,
        "runner_up": _runner_up(row, candidates),
    }


def _candidate(row: Mapping[str, Any], place: int, item: Mapping[str, Any]) -> dict[str, Any]:
    answered = item["group"] == row["group"] and row["deployment"] is not None
    would = row["cost"] if answered else _cost(row, item.get("price"))
    return {
        "place": place,
        "group": item["group"],
        "model": item.get("model"),
        "score": item.get("score"),
        "quality": item.get("quality"),
        "cost": item.get("cost"),
        "latency": item.get("latency"),
        "spend": None if would is None else dollars(would),
    }


def _runner_up(row: Mapping[str, Any], candidates: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the best candidate that did not answer: the one before it where a fallback did."""
    others = [item for item in candidates if item["group"] != row["group"]]
    if not others:
        return None
    other = others[0]
    chosen = next((item for item in candidates if item["group"] == row["group"]), None)
    behind = None
    if chosen is not None and chosen["score"] is not None and other["score"] is not None:
        behind = round(chosen["score"] - other["score"], 9)
    spend, own = other["spend"], None if row["cost"] is None else dollars(row["cost"])
    return {
        "group": other["group"],
        "score": other["score"],
        "behind": behind,
        "spend": spend,
        "difference": None if spend is None or own is None else spend - own,
    }


def _cost(row: Mapping[str, Any], price: list[int] | None) -> int | None:
    if price is None:
        return None
    token_in, token_out, second, call = price
    total: int = (
        token_in * row["prompt_tokens"]
        + token_out * row["completion_tokens"]
        + second * row["duration_ms"] // 1000
        + call
    )
    return total
