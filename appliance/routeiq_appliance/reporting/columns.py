"""The names that a report has: the groupings that callers write, and the fields of a row."""

from collections.abc import Mapping, Sequence
from typing import Any

from routeiq_appliance.errors import ApplianceError
from routeiq_appliance.money import dollars
from routeiq_appliance.state.reconcile import Reconciliation
from routeiq_appliance.state.reports import GROUPS, Group, Row, Sums

__all__ = [
    "ALIASES",
    "GROUPING",
    "ReportError",
    "account_fields",
    "name_fields",
    "parse_groups",
    "sum_fields",
]

_FIELDS: Mapping[Group, str] = {
    "day": "day", "organization": "organization_id", "team": "team_id", "user": "user_id", "key": "api_key",
    "model": "model",
}  # fmt: skip
_ALIAS_FIELDS: Mapping[Group, str] = {"team": "team_alias", "key": "key_alias"}
ALIASES: Mapping[str, Group] = {"api_key": "key", "internal_user": "user"}
"""LiteLLM's words for a grouping."""
GROUPING = ", ".join(GROUPS)
_WORDS = "|".join((*GROUPS, *ALIASES, "customer"))
GROUPING_PATTERN = f"^ *(?:(?:{_WORDS}) *(?:, *(?:{_WORDS}) *)*)?$"
_UNKNOWN = {"customer": "customers of callers are not kept by this release: group by user"}


class ReportError(ApplianceError):
    """A report cannot be made as it was asked for; the message is for who asked."""


def parse_groups(text: str) -> tuple[Group, ...]:
    """Return the groupings in `text` (`team,day`), in the order of a report; raises `ReportError`."""
    found: set[Group] = set()
    for word in filter(None, (item.strip() for item in text.split(","))):
        name = ALIASES.get(word, word)
        if name in _UNKNOWN:
            raise ReportError(_UNKNOWN[name], subject=name)
        known = next((group for group in GROUPS if group == name), None)
        if known is None:
            raise ReportError(f"there is no grouping `{word[:64]}`: {GROUPING}", subject=word[:64])
        found.add(known)
    return tuple(group for group in GROUPS if group in found)


def name_fields(groups: Sequence[Group], row: Row) -> dict[str, str | None]:
    """Return what a row is about: its names, and the aliases of its key and team."""
    fields: dict[str, str | None] = {}
    for group, name, alias in zip(groups, row.names, row.aliases, strict=True):
        fields[_FIELDS[group]] = name
        if group in _ALIAS_FIELDS:
            fields[_ALIAS_FIELDS[group]] = alias
    return fields


def sum_fields(sums: Sums) -> dict[str, Any]:
    """Return the sums of a row, money as dollars (`Decimal`)."""
    spend = sums.spend
    return {
        "requests": sums.requests,
        "failed_requests": sums.failed_requests,
        "unpriced_requests": sums.unpriced_requests,
        "estimated_requests": sums.estimated_requests,
        "prompt_tokens": sums.prompt_tokens,
        "completion_tokens": sums.completion_tokens,
        "total_tokens": sums.prompt_tokens + sums.completion_tokens,
        "unpriced_tokens": sums.unpriced_tokens,
        "spend": None if spend is None else dollars(spend),
        "estimated_spend": dollars(sums.estimated_spend),
    }


def account_fields(account: Reconciliation) -> dict[str, Any]:
    """Return how ledger and `spend` table agree, money as dollars (`Decimal`)."""
    return {
        "scope": account.scope,
        "ledger": dollars(account.ledger),
        "uncharged": dollars(account.uncharged),
        "spend_table": dollars(account.spend),
        "carried_over": dollars(account.carried),
        "difference": dollars(account.difference),
        "reconciled": account.reconciled,
    }
