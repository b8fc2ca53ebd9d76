"""Opens what is written to: the gateway's database at this release's schema, and the pepper. For commands.

A dry run makes nothing: where there is no database yet it works on one in memory.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from routeiq_appliance.config.variables import read_variable
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.state.database import database_url, describe, open_engine
from routeiq_appliance.state.pepper import ensure_pepper
from routeiq_appliance.state.schema import require_schema
from routeiq_appliance.state.tables import METADATA

__all__ = ["Target", "open_target"]

_PEPPER_CHARS = 32
_TRIAL_PEPPER = bytes(32)
"""Nothing that is hashed with it is kept."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database that is ready to be written to; `name` may be shown."""

    engine: sa.Engine
    pepper: bytes = field(repr=False)
    name: str


@contextmanager
def open_target(environ: Mapping[str, str], *, dry_run: bool) -> Iterator[Target]:
    """Yield the target; raises `ConfigError` or `StateError`. SQLite is made and migrated unless `dry_run`."""
    secret, pepper = read_variable("DATABASE_URL", environ), read_variable("ROUTEIQ_PEPPER", environ)
    if secret is not None and pepper is None:
        raise ConfigError(
            "ROUTEIQ_PEPPER: required with DATABASE_URL, not set",
            subject="ROUTEIQ_PEPPER",
            hint="use the gateway's: keys that are imported with another one do not open it",
        )
    if pepper is not None and len(pepper) < _PEPPER_CHARS:
        raise ConfigError(
            f"ROUTEIQ_PEPPER: shorter than {_PEPPER_CHARS} characters", subject="ROUTEIQ_PEPPER"
        )
    data_dir = Path(environ.get("ROUTEIQ_DATA_DIR") or "routeiq-data")
    url = database_url(secret, data_dir)
    if secret is None and dry_run and not Path(str(url.database)).exists():
        engine = sa.create_engine("sqlite://")
        METADATA.create_all(engine)
        made = _TRIAL_PEPPER
    else:
        engine = open_engine(url)
        if secret is None and not dry_run:
            from routeiq_appliance.state.migrate import migrate  # noqa: PLC0415 - Alembic, where it is needed only

            migrate(engine)
        require_schema(engine)
        made = b"" if pepper else ensure_pepper(data_dir)
    try:
        yield Target(engine, pepper.encode() if pepper else made, describe(url))
    finally:
        engine.dispose()
