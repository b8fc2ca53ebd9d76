"""A migrated database of either kind, and rows put into it as the shipper puts them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.appliance.management.conftest import managed  # noqa: F401 - a fixture here too
from tests.appliance.postgresql import PostgreSQL, running_postgresql

from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.migrate import migrate


@pytest.fixture(scope="package")
def postgresql() -> Iterator[PostgreSQL]:
    with running_postgresql("pg-reports") as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    url = request.getfixturevalue("postgresql").new_database() if request.param == "postgresql" else None
    made = open_engine(database_url(url, tmp_path / "data"))
    migrate(made)
    yield made
    made.dispose()
