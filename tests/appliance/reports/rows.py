"""Calls as a test describes them, posted as the shipper does it, and what any report must say of them."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from tests.appliance.ledger_rows import make_row

from routeiq_appliance.state.posting import open_poster
from routeiq_appliance.state.reports import GROUPS, Group, Sums

FIRST_DAY = datetime(2026, 11, 20, tzinfo=UTC)
GROUPINGS = [
    tuple(chosen) for count in range(len(GROUPS) + 1) for chosen in itertools.combinations(GROUPS, count)
]


@dataclass(frozen=True)
class Called:
    """One call; `key` "master" is charged to nobody."""

    key: str = "k1"
    team: str | None = None
    user: str | None = None
    organization: str | None = None
    model: str | None = "small"
    second: int = 0
    cost: int | None = 0
    tokens: tuple[int, int] = (3, 2)
    estimated: bool = False
    status: int = 200

    @property
    def started(self) -> datetime:
        return FIRST_DAY + timedelta(seconds=self.second)

    def name(self, group: Group) -> str | None:
        return {
            "day": self.started.date().isoformat(), "organization": self.organization, "team": self.team,
            "user": self.user, "key": self.key, "model": self.model,
        }[group]  # fmt: skip


def post(engine: sa.Engine, found: Iterable[Called], *, first: int = 1) -> None:
    rows = []
    for number, call in enumerate(found, first):
        scopes = [f"key:{call.key}"]
        scopes += [f"team:{call.team}"] if call.team else []
        scopes += [f"user:{call.user}"] if call.user else []
        scopes += [f"organization:{call.organization}"] if call.organization else []
        rows.append(
            make_row(
                number, started_at=call.started.isoformat(timespec="microseconds"), key_id=call.key, team_id=call.team,
                user_id=call.user, organization_id=call.organization, group=call.model, cost=call.cost,
                prompt_tokens=call.tokens[0], completion_tokens=call.tokens[1],
                estimated=call.estimated, status=call.status,
                # Periods of budgets move on: their sum is what counts.
                charges=[] if call.key == "master" or not call.cost
                else [[scope, call.second // 86_400] for scope in scopes] + [[f"key:{call.key}/model:small", 0]],
            )
        )  # fmt: skip
    if rows:
        open_poster(engine).post(rows)


def expected(found: Iterable[Called], groups: Sequence[Group]) -> dict[tuple[str | None, ...], Sums]:
    sums: dict[tuple[str | None, ...], list[Called]] = {}
    for call in found:
        sums.setdefault(tuple(call.name(group) for group in groups), []).append(call)
    return {names: summed(of) for names, of in sums.items()}


def summed(found: Sequence[Called]) -> Sums:
    return Sums(
        requests=len(found),
        failed_requests=sum(call.status >= 400 for call in found),
        unpriced_requests=sum(call.cost is None for call in found),
        estimated_requests=sum(call.estimated for call in found),
        prompt_tokens=sum(call.tokens[0] for call in found),
        completion_tokens=sum(call.tokens[1] for call in found),
        unpriced_tokens=sum(sum(call.tokens) for call in found if call.cost is None),
        priced_spend=sum(call.cost or 0 for call in found),
        estimated_spend=sum(call.cost or 0 for call in found if call.estimated),
    )
