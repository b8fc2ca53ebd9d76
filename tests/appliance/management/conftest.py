"""The management application alone: over real stores in SQLite, with a shared state that only keeps what it is told."""

from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from routeiq_appliance.api.management import build_management
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.budgets import BudgetStore
from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.keys import KeyStore
from routeiq_appliance.state.members import MemberStore
from routeiq_appliance.state.migrate import migrate
from routeiq_appliance.state.organizations import OrganizationStore
from routeiq_appliance.state.shared.interface import Notice, SharedState
from routeiq_appliance.state.spend import load_spend, spend_logs
from routeiq_appliance.state.tables import calls, spend
from routeiq_appliance.state.teams import TeamStore
from routeiq_appliance.state.users import UserStore

ADMIN = Principal("master", is_admin=True)
START = datetime(2026, 11, 21, 8, 0, 0, 250_000, tzinfo=UTC)


class TellingState:
    """Of `SharedState`, what management uses; keeps it for the test to see."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.blocked: set[str] = set()

    def publish(self, notice: Notice) -> None:
        assert notice.kind == "key"
        self.notices.append(notice.value)

    async def block(self, key_id: str) -> None:
        self.blocked.add(key_id)

    async def unblock(self, key_id: str) -> None:
        self.blocked.discard(key_id)


@dataclass
class Managed:
    """The application and what a test may turn."""

    app: FastAPI
    client: httpx.AsyncClient
    engine: sa.Engine
    keys: KeyStore
    shared: TellingState
    flushed: list[float]
    now: datetime = START
    principal: Principal | None = ADMIN

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.client.get(path, params=query)

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.post(path, **body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def spent(self, scope: str, period: int, pico: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(spend.insert().values(scope=scope, period=period, amount=pico))

    def called(self, number: int, **columns: Any) -> str:
        row = {
            "id": f"{number:032x}", "started_at": START + timedelta(seconds=number), "key_id": "k", "kind": "chat",
            "asked": "auto", "group": "small", "deployment": "small-1", "provider": "openai", "status": 200,
            "outcome": "answered", "stream": False, "prompt_tokens": 3, "completion_tokens": 2, "estimated": False,
            "cost": 1_500_000, "attempts": 1, "duration_ms": 1500, "first_token_ms": 250, "trace_id": None,
            "decision": {"strategy": "knn"}, **columns,
        }  # fmt: skip
        with self.engine.begin() as connection:
            connection.execute(calls.insert().values(row))
        return str(row["id"])


@pytest.fixture
async def managed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Managed, None]:
    wanted = getattr(request, "param", "sqlite")
    url = request.getfixturevalue("postgresql").new_database() if wanted == "postgresql" else None
    engine = open_engine(database_url(url, tmp_path / "data"))
    migrate(engine)
    shared = TellingState()
    keys = KeyStore(engine, b"p" * 32)
    with ThreadPoolExecutor(max_workers=2) as executor:
        held: list[Managed] = []
        flushed: list[float] = []
        app = build_management(
            keys=keys,
            teams=TeamStore(engine),
            users=UserStore(engine),
            organizations=OrganizationStore(engine),
            budgets=BudgetStore(engine),
            members=MemberStore(engine),
            shared=cast("SharedState", shared),
            executor=executor,
            groups=frozenset({"small", "large"}),
            request_id=lambda: "r" * 32,
            load_spend=partial(load_spend, engine),
            spend_logs=partial(spend_logs, engine),
            flush=lambda *, seconds: flushed.append(seconds),
            engine=engine,
            folder=tmp_path,
            principal=lambda: held[0].principal,
            strategies=frozenset({"knn", "ridge"}),
            now=lambda: held[0].now,
        )
        # As in production, what is not foreseen is the server's to answer.
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://management") as client:
            held.append(Managed(app, client, engine, keys, shared, flushed))
            yield held[0]
    engine.dispose()
