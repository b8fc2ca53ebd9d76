"""What every endpoint needs: the stores, off the event loop, their errors as the caller's; and who calls."""

import asyncio
import contextvars
import difflib
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from fastapi import Request

from routeiq_appliance.errors import CallError, StateError
from routeiq_appliance.pipeline.roles import admin_only, may_manage
from routeiq_appliance.pipeline.types import AUTO, Principal
from routeiq_appliance.state.access import ConflictError, MissingError, TakenError
from routeiq_appliance.state.budgets import BudgetStore
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.members import MemberStore
from routeiq_appliance.state.organizations import OrganizationStore
from routeiq_appliance.state.records import Allowance, period_of
from routeiq_appliance.state.shared.interface import Notice, SharedState
from routeiq_appliance.state.teams import TeamStore
from routeiq_appliance.state.users import UserStore

__all__ = ["KEYS_SHOWN", "Context", "Flush", "ReadLogs", "ReadSpend", "near"]

KEYS_SHOWN = 1_000
"""Keys of one team or user in an answer, the newest."""
_FLUSH_SECONDS = 1.0
"""How long a read of spend waits for this worker's own rows."""

ReadSpend = Callable[[Sequence[tuple[str, int]]], Mapping[tuple[str, int], int]]

_T = TypeVar("_T")


class Flush(Protocol):
    """`Ledger.flush`: blocks until the rows of this worker are in the database, for at most `seconds`."""

    def __call__(self, *, seconds: float) -> object:
        """Wait."""


class ReadLogs(Protocol):
    """`state.spend.spend_logs`, bound to an engine: rows of `calls`, newest first."""

    def __call__(
        self,
        *,
        key_id: str | None = None,
        team_id: str | None = None,
        user_id: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        request_id: str | None = None,
        limit: int,
        offset: int,
    ) -> Sequence[Mapping[str, Any]]:
        """Return the rows that match all of what is given."""


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """One per application."""

    keys: KeyStore
    teams: TeamStore
    users: UserStore
    organizations: OrganizationStore
    budgets: BudgetStore
    members: MemberStore
    shared: SharedState | None
    executor: Executor
    groups: AbstractSet[str]
    strategies: frozenset[str] | None
    load_spend: ReadSpend
    spend_logs: ReadLogs
    flush: Flush
    principal: Callable[[], Principal | None]
    now: Callable[[], datetime]

    def caller(self) -> Principal | None:
        """Return who calls, when that is a key which sees only itself."""
        principal = self.principal()
        if principal is None:
            # Nobody was let in: what asks is a mistake of ours, and no admin.
            raise admin_only()
        return None if principal.is_admin or principal.role is not None else principal

    async def admins_only(self, request: Request) -> None:
        """Refuse whoever may not use the path, also when `api.server` let them through: a viewer may read."""
        principal = self.principal()
        if principal is None or not may_manage(principal, request.method, request.url.path):
            raise admin_only()
        if self.caller() is not None:
            raise admin_only()

    def caller_id(self) -> str | None:
        """Return the id of the key that calls."""
        principal = self.principal()
        return None if principal is None else principal.key_id

    async def run(self, work: Callable[[], _T]) -> _T:
        """Run blocking work in the executor.

        Raises `CallError` 409 for what is taken or contradicts, 400 for a reference to nothing, 503 for no database.
        """
        try:
            # In the request's context: work asks who calls.
            inside = contextvars.copy_context().run
            return await asyncio.get_running_loop().run_in_executor(self.executor, inside, work)
        except TakenError as error:
            name = error.subject or ""
            code = "alias_taken" if name.endswith("alias") else "id_taken"
            raise CallError(409, str(error), code=code, param=name) from None
        except ConflictError as error:
            raise CallError(409, str(error), code="conflict", param=error.subject) from None
        except MissingError as error:
            raise CallError(400, str(error), code="invalid_value", param=error.subject) from None
        except sa.exc.DataError:
            # PostgreSQL keeps no NUL in text; to answer 503 would call that an outage.
            raise CallError(
                400, "a value holds what the database cannot keep", code="invalid_value"
            ) from None
        except (StateError, sa.exc.SQLAlchemyError) as error:
            raise CallError(
                503,
                "the key store does not answer",
                kind="server_error",
                code="key_store_unavailable",
                retry_after=1,
            ) from error

    def settled(self) -> None:
        """Wait until this worker's rows are in the database, as far as it takes them. Blocking."""
        self.flush(seconds=_FLUSH_SECONDS)

    def spend_of(self, scopes: Mapping[str, Allowance]) -> dict[str, int]:
        """Return scope name → pico-dollars spent in the budget's current period. Blocking."""
        self.settled()
        now = self.now().timestamp()
        pairs = [(name, period_of(allowance, now)) for name, allowance in scopes.items()]
        found = self.load_spend(pairs)
        return {name: found.get((name, period), 0) for name, period in pairs}

    def changed(self, value: str) -> None:
        """Tell all workers that a key (by its id), or `team:ID`, `user:ID`, … is not what it was."""
        if self.shared is not None:
            self.shared.publish(Notice("key", value))

    def require_groups(self, names: Sequence[str], field: str) -> None:
        """Raise `CallError` 400 for the first name that is no group."""
        for name in names:
            if name != AUTO and name not in self.groups:
                shown = name[:128]
                raise CallError(
                    400,
                    f"`{field}`: there is no group `{shown}`{near(shown, self.groups)}",
                    code="invalid_value",
                    param=field,
                )

    def require_strategy(self, metadata: Mapping[str, Any] | None) -> None:
        """Raise `CallError` 400 when the metadata names a routing strategy that does not exist."""
        name = ((metadata or {}).get("routeiq") or {}).get("strategy")
        if name is None or self.strategies is None or name in self.strategies:
            return
        raise CallError(
            400,
            f"`metadata.routeiq.strategy`: there is no strategy `{name}`{near(name, self.strategies)}",
            code="invalid_value",
            param="metadata.routeiq.strategy",
        )


def near(name: str, known: AbstractSet[str]) -> str:
    """Return advice: the known name that is nearest, or nothing."""
    found = difflib.get_close_matches(name[:128], sorted(known), n=1)
    return f"; did you mean `{found[0]}`?" if found else ""
