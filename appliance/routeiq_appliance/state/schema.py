"""Which schema version this release needs, and which one a database has; without Alembic, which takes 8 MB.

`SCHEMA` is the newest revision in `migrations/versions`; a test compares the two.
"""

import sqlalchemy as sa

from routeiq_appliance.errors import StateError

__all__ = ["SCHEMA", "current_revision", "reason", "require_schema"]

SCHEMA = "0004"


def current_revision(engine: sa.Engine) -> str | None:
    """Return the schema version of the database, None when it is empty."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return None if found is None else str(found)


def require_schema(engine: sa.Engine) -> None:
    """Raise `StateError` unless the database has this release's schema."""
    try:
        found = current_revision(engine)
    except sa.exc.SQLAlchemyError as error:
        raise StateError(
            f"database: {reason(error)}", hint="check DATABASE_URL, and that the server is up"
        ) from None
    if found != SCHEMA:
        raise StateError(
            f"database: schema is {found or 'empty'}, want {SCHEMA}",
            hint="run `routeiq admin migrate` first",
        )


def reason(error: sa.exc.SQLAlchemyError) -> str:
    """Return the driver's first line: SQLAlchemy's own text shows statements and parameters."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return (lines[0] if lines else type(cause).__name__)[:300]
