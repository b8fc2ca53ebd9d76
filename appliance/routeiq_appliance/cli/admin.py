"""`routeiq admin`: one-off tasks on the gateway's database."""

import logging
import os
from pathlib import Path

import click

from routeiq_appliance.cli.support import BarProgress, RouteIQGroup, emit, json_option

__all__ = ["admin"]


@click.group(cls=RouteIQGroup)
def admin() -> None:
    """One-off tasks on the gateway's database."""


@admin.command()
@click.option("--wait", "seconds", type=click.FloatRange(0, 3600), default=60.0, show_default=True,
              help="Seconds to wait for the database to answer")  # fmt: skip
@json_option
def migrate(seconds: float, as_json: bool) -> None:
    """Bring the database (DATABASE_URL, else SQLite in ROUTEIQ_DATA_DIR) to this release's schema.

    Safe to repeat and to run from several places at once.
    """
    from routeiq_appliance.state.database import database_url, describe, open_engine  # noqa: PLC0415
    from routeiq_appliance.state.migrate import migrate as upgrade  # noqa: PLC0415
    from routeiq_appliance.state.migrate import wait_for_database  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)
    url = database_url(
        os.environ.get("DATABASE_URL") or None, Path(os.environ.get("ROUTEIQ_DATA_DIR") or "routeiq-data")
    )
    engine = open_engine(url)
    try:
        wait_for_database(engine, seconds=seconds, progress=BarProgress())
        before, after = upgrade(engine)
    finally:
        engine.dispose()
    done = f"already at {after}" if before == after else f"migrated from {before or 'empty'} to {after}"
    emit(
        {"database": describe(url), "before": before, "after": after},
        as_json=as_json,
        text=f"{describe(url)}: {done}",
    )


@admin.command()
@click.option("--seconds", type=click.FloatRange(0, 3600), default=300.0, show_default=True,
              help="How long to wait")  # fmt: skip
@json_option
def wait(seconds: float, as_json: bool) -> None:
    """Wait until the database answers and has this release's schema; changes nothing.

    For what starts beside `routeiq admin migrate`: the init container of the chart's gateway.
    """
    from routeiq_appliance.state.database import database_url, describe, open_engine  # noqa: PLC0415
    from routeiq_appliance.state.migrate import wait_for_schema  # noqa: PLC0415

    url = database_url(
        os.environ.get("DATABASE_URL") or None, Path(os.environ.get("ROUTEIQ_DATA_DIR") or "routeiq-data")
    )
    engine = open_engine(url)
    try:
        revision = wait_for_schema(engine, seconds=seconds, progress=BarProgress())
    finally:
        engine.dispose()
    emit(
        {"database": describe(url), "schema": revision},
        as_json=as_json,
        text=f"{describe(url)}: at {revision}",
    )
