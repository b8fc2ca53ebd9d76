"""Opens the gateway's database for a command that reads it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

__all__ = ["open_database"]


def open_database() -> "Engine":
    """Return an engine on a database of this release's schema; raises `ConfigError` or `StateError`."""
    from routeiq_appliance.config.variables import read_variable  # noqa: PLC0415 - SQLAlchemy
    from routeiq_appliance.errors import StateError  # noqa: PLC0415
    from routeiq_appliance.state.database import database_url, open_engine  # noqa: PLC0415
    from routeiq_appliance.state.schema import require_schema  # noqa: PLC0415

    folder = Path(os.environ.get("ROUTEIQ_DATA_DIR") or "routeiq-data")
    url = database_url(read_variable("DATABASE_URL", os.environ), folder)
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
        # To look at what there is must not make an empty one.
        raise StateError(f"{url.database}: no such database", hint="set ROUTEIQ_DATA_DIR, or DATABASE_URL")
    engine = open_engine(url)
    require_schema(engine)
    return engine
