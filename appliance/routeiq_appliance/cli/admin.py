"""`routeiq admin`: one-off tasks on the gateway's database."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routeiq_appliance.cli.spend import spend
from routeiq_appliance.cli.support import BarProgress, RouteIQGroup, emit, json_option

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

__all__ = ["admin"]


@click.group(cls=RouteIQGroup)
def admin() -> None:
    """One-off tasks on the gateway's database."""


admin.add_command(spend)


@admin.command()
@click.option("--wait", "seconds", type=click.FloatRange(0, 3600), default=60.0, show_default=True,
              help="Seconds to wait for the database to answer")  # fmt: skip
@json_option
def migrate(seconds: float, as_json: bool) -> None:
    """Bring the database (DATABASE_URL, else SQLite in ROUTEIQ_DATA_DIR) to this release's schema.

    Safe to repeat and to run from several places at once.
    """
    from routeiq_appliance.state.database import describe, open_engine  # noqa: PLC0415
    from routeiq_appliance.state.migrate import migrate as upgrade  # noqa: PLC0415
    from routeiq_appliance.state.migrate import wait_for_database  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)
    url = _url()
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
    from routeiq_appliance.state.database import describe, open_engine  # noqa: PLC0415
    from routeiq_appliance.state.migrate import wait_for_schema  # noqa: PLC0415

    url = _url()
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


@admin.command("import-litellm")
@click.option("--dump", type=click.Path(path_type=Path),
              help="LiteLLM's database as `pg_dump` writes it: plain SQL, or the same as gzip")  # fmt: skip
@click.option("--from-url-file", type=click.Path(path_type=Path),
              help="A file that holds the URL of LiteLLM's database, to read it as it runs")  # fmt: skip
@click.option("--models-out", type=click.Path(path_type=Path),
              help="A new folder for models that LiteLLM keeps in its database: a model_list, credentials apart; "
              "LITELLM_SALT_KEY opens them")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Tell what would happen; write nothing")
@click.option("--unsafe-drop-limits", is_flag=True,
              help="Carry also keys, teams and users with limits that are not enforced here")  # fmt: skip
@json_option
def import_litellm(
    dump: Path | None,
    from_url_file: Path | None,
    models_out: Path | None,
    dry_run: bool,
    unsafe_drop_limits: bool,
    as_json: bool,
) -> None:
    """Bring keys, teams, users, organizations, budgets and models of a LiteLLM proxy over.

    Keys go on working with the same secret.

    All is written in one transaction, or nothing is. What is here already stays as it is: safe to repeat. Nothing of
    the dump is executed.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from routeiq_appliance.moving.report import report_text  # noqa: PLC0415
    from routeiq_appliance.moving.site import Wish, import_site  # noqa: PLC0415

    if (dump is None) == (from_url_file is None):
        raise click.UsageError("give one of --dump and --from-url-file")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    wish = Wish(dump, from_url_file, models_out, dry_run=dry_run, unsafe=unsafe_drop_limits)
    report = import_site(wish, os.environ, BarProgress(), now=datetime.now(UTC))
    emit(report, as_json=as_json, text=report_text(report))


def _url() -> "URL":
    """Return the database's URL; raises `ConfigError` or `StateError`."""
    from routeiq_appliance.config.variables import read_variable  # noqa: PLC0415
    from routeiq_appliance.state.database import database_url  # noqa: PLC0415

    data_dir = Path(os.environ.get("ROUTEIQ_DATA_DIR") or "routeiq-data")
    return database_url(read_variable("DATABASE_URL", os.environ), data_dir)
