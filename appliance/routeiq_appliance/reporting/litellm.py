"""The forms in which LiteLLM's proxy answers: spend per team and day, spend per key, sums by day.

What LiteLLM cannot say is added beside its fields: calls without a price, and whose tokens are estimated. Where no
call of a sum has a price, it is null.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

from routeiq_appliance.money import dollars
from routeiq_appliance.reporting.text import json_text
from routeiq_appliance.state.reconcile import Reconciliation
from routeiq_appliance.state.reports import Group, Row, Sums

__all__ = ["DailyLayout", "KeysLayout", "TeamsLayout"]


class _ListLayout:
    """A JSON list; rows that belong to one of its items come one after the other, and may span pages."""

    groups: Sequence[Group] = ()

    def __init__(self) -> None:
        self._held: list[Row] = []
        self._first = True

    def head(self) -> str:
        """Return the start of the list."""
        return "["

    def page(self, rows: Sequence[Row]) -> str:
        """Return the items that are complete."""
        ready: list[str] = []
        for row in rows:
            if self._held and self._held[0].names[0] != row.names[0]:
                ready.append(self._end())
            self._held.append(row)
        return "".join(ready)

    def tail(self, total: Sums, account: Reconciliation, *, reconciled: bool) -> str:
        """Return the last item and the end of the list."""
        del total, account, reconciled
        return (self._end() if self._held else "") + "]"

    def _end(self) -> str:
        text = json_text(self._item(self._held))
        separator = "" if self._first else ","
        self._held, self._first = [], False
        return separator + text

    def _item(self, rows: Sequence[Row]) -> dict[str, Any]:
        raise NotImplementedError


class TeamsLayout(_ListLayout):
    """`group_by=team`: per day its teams, per team what each key spent on each model."""

    groups: Sequence[Group] = ("day", "team", "key", "model")

    def _item(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {
            "group_by_day": rows[0].names[0],
            "teams": [
                {
                    "team_name": found[0].aliases[1] or team or "Unassigned",
                    "team_id": team,
                    "total_spend": _spend(found),
                    **_apart(found),
                    "metadata": [_part(row) for row in found],
                }
                for team, found in _by(rows, lambda row: row.names[1])
            ],
        }


class KeysLayout(_ListLayout):
    """`group_by=api_key`: per key its tokens and cost, and the same per model."""

    groups: Sequence[Group] = ("key", "model")

    def _item(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {
            "api_key": rows[0].names[0],
            "key_alias": rows[0].aliases[0],
            "total_cost": _spend(rows),
            "total_input_tokens": sum(row.sums.prompt_tokens for row in rows),
            "total_output_tokens": sum(row.sums.completion_tokens for row in rows),
            **_apart(rows),
            "model_details": [
                {
                    "model": row.names[1],
                    "total_cost": _spend([row]),
                    "total_input_tokens": row.sums.prompt_tokens,
                    "total_output_tokens": row.sums.completion_tokens,
                    **_apart([row]),
                }
                for row in rows
            ],
        }


class DailyLayout(_ListLayout):
    """`/spend/logs?summarize=true`: per day its spend, by user, by model, and (under the key's id) by key."""

    groups: Sequence[Group] = ("day", "user", "key", "model")

    def _item(self, rows: Sequence[Row]) -> dict[str, Any]:
        def sums(place: int) -> dict[str, Any]:
            return {name or "": _spend(found) for name, found in _by(rows, lambda row: row.names[place])}

        return {
            **sums(2),
            "startTime": rows[0].names[0],
            "spend": _spend(rows),
            **_apart(rows),
            "users": sums(1),
            "models": sums(3),
        }


def _part(row: Row) -> dict[str, Any]:
    return {
        "model": row.names[3],
        "api_key": row.names[2],
        "key_alias": row.aliases[2],
        "spend": _spend([row]),
        "total_tokens": row.sums.prompt_tokens + row.sums.completion_tokens,
        **_apart([row]),
    }


def _by(rows: Iterable[Row], name: Callable[[Row], str | None]) -> list[tuple[str | None, list[Row]]]:
    ordered = sorted(rows, key=lambda row: name(row) or "")
    return [(key, list(found)) for key, found in groupby(ordered, name)]


def _spend(rows: Sequence[Row]) -> Any:
    spend = Sums(
        requests=sum(row.sums.requests for row in rows),
        unpriced_requests=sum(row.sums.unpriced_requests for row in rows),
        priced_spend=sum(row.sums.priced_spend for row in rows),
    ).spend
    return None if spend is None else dollars(spend)


def _apart(rows: Sequence[Row]) -> dict[str, int]:
    return {
        "requests": sum(row.sums.requests for row in rows),
        "unpriced_requests": sum(row.sums.unpriced_requests for row in rows),
        "estimated_requests": sum(row.sums.estimated_requests for row in rows),
    }
