"""Brings a database to the schema of this release with Alembic; idempotent, safe to run from several places at once.

SQLite is migrated by the gateway itself; PostgreSQL by `routeiq admin migrate` (a Job), under an advisory lock.
"""

import io
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from routeiq_appliance.errors import StateError
from routeiq_appliance.state.schema import SCHEMA, reason, require_schema
from routeiq_signing.progress import Progress

__all__ = ["migrate", "wait_for_database", "wait_for_schema"]

_LOCK = (
    0x526F757465  # "Route": one number for every gateway on a server; PostgreSQL scopes it to the database
)


def _config() -> Config:
    # Alembic may print to its own stdout: nothing of it is ours to show.
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def migrate(engine: sa.Engine) -> tuple[str | None, str]:
    """Upgrade to the head; returns the version before and after. Raises `StateError`."""
    config = _config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # Calls are cut off after seconds (`state.database`); a large table takes longer to change.
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            before = MigrationContext.configure(connection).get_current_revision()
            if before is not None and before not in known:
                raise StateError(
                    f"database: schema {before} is newer than this release ({SCHEMA})",
                    hint="run the release that made it, or restore the backup from before it",
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            return before, SCHEMA
    except sa.exc.SQLAlchemyError as error:
        raise StateError(
            f"database: {reason(error)}", hint="check DATABASE_URL and the user's rights"
        ) from None


def wait_for_database(engine: sa.Engine, *, seconds: float, progress: Progress) -> None:
    """Try once a second until the database answers; raises `StateError` when `seconds` have passed."""

    def ask() -> None:
        try:
            with engine.connect():
                return
        except sa.exc.SQLAlchemyError as error:
            raise StateError(
                f"database: no answer within {seconds:g} s: {reason(error)}",
                hint="check DATABASE_URL, and that the server is up",
            ) from None

    _retry(ask, "waiting for the database", seconds, progress)


def wait_for_schema(engine: sa.Engine, *, seconds: float, progress: Progress) -> str:
    """Try once a second until `require_schema` is content, return the schema; raises its error at the end."""
    _retry(lambda: require_schema(engine), "waiting for the database's schema", seconds, progress)
    return SCHEMA


def _retry(attempt: Callable[[], None], what: str, seconds: float, progress: Progress) -> None:
    """Call `attempt` once a second until it raises no `StateError`; its last one when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    with progress.task(what, None, "try") as advance:
        while True:
            try:
                return attempt()
            except StateError:
                advance(1)
                if time.monotonic() >= deadline:
                    raise
            time.sleep(min(1.0, max(0.0, deadline - time.monotonic())))
