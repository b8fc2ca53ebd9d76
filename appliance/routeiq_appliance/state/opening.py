"""Opens what a gateway keeps: the database, at this release's schema, and the pepper."""

import logging

import sqlalchemy as sa

from routeiq_appliance.errors import ConfigError
from routeiq_appliance.settings import Settings
from routeiq_appliance.state.database import database_url, describe, open_engine
from routeiq_appliance.state.pepper import ensure_pepper
from routeiq_appliance.state.schema import SCHEMA, current_revision, require_schema

__all__ = ["open_state"]

_LOG = logging.getLogger(__name__)


def open_state(settings: Settings) -> tuple[sa.Engine, bytes]:
    """Return the engine and the pepper; raises `StateError` or `ConfigError`. SQLite is migrated here."""
    secret = settings.database_url.get_secret_value() if settings.database_url else None
    pepper = settings.pepper.get_secret_value().encode() if settings.pepper else None
    if secret is not None and pepper is None:
        raise ConfigError(
            "ROUTEIQ_PEPPER: required with DATABASE_URL, not set",
            subject="ROUTEIQ_PEPPER",
            hint="make one once, for all replicas: `openssl rand -hex 32`",
        )
    url = database_url(secret, settings.data_dir)
    engine = open_engine(url)
    if secret is not None:
        require_schema(engine)
    elif current_revision(engine) != SCHEMA:
        from routeiq_appliance.state.migrate import migrate  # noqa: PLC0415 - Alembic, at the first start only

        migrate(engine)
    _LOG.info("database", extra={"database": describe(url)})
    return engine, pepper or ensure_pepper(settings.data_dir)
