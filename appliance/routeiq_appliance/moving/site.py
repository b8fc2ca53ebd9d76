"""`routeiq admin import-litellm` as one call: read the site, move it, return the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from routeiq_appliance.config.variables import read_variable
from routeiq_appliance.errors import MoveError
from routeiq_appliance.moving.database import read_database
from routeiq_appliance.moving.dump_file import size_of
from routeiq_appliance.moving.limits import DEFAULT_MOVE_LIMITS, MoveLimits
from routeiq_appliance.moving.models_out import require_new, write_models
from routeiq_appliance.moving.report import Report
from routeiq_appliance.moving.run import KINDS, Move, move
from routeiq_appliance.moving.source import read_dump
from routeiq_appliance.moving.staging import Staging, open_staging
from routeiq_appliance.moving.target import open_target
from routeiq_signing.progress import Progress

__all__ = ["Wish", "import_site"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What the operator asks for."""

    dump: Path | None = None
    url_file: Path | None = None
    """Holds the URL of LiteLLM's database; one of the two is given."""
    models_out: Path | None = None
    """A new folder for the models that LiteLLM keeps in its database; None: they are only told."""
    dry_run: bool = False
    unsafe: bool = False
    """Carry rows without limits that are not enforced here."""


def import_site(
    wish: Wish,
    environ: Mapping[str, str],
    progress: Progress,
    *,
    now: datetime,
    limits: MoveLimits = DEFAULT_MOVE_LIMITS,
) -> dict[str, Any]:
    """Return the report; raises `MoveError`, `StateError` or `ConfigError`, and then nothing was written."""
    salt_key = read_variable("LITELLM_SALT_KEY", environ)
    require_new(wish.models_out)
    with open_staging() as staging:
        source = _read(wish, staging, progress, limits)
        # After the rows are known to be good: what cannot be read makes no database.
        with open_target(environ, dry_run=wish.dry_run) as target:
            report = Report(
                source,
                target.name,
                (*KINDS, "models"),
                dry_run=wish.dry_run,
                most_names=limits.names_per_reason,
            )
            settings = Move(target.pepper, now, wish.dry_run, wish.unsafe, limits)
            move(target.engine, staging, report, settings, progress)
            write_models(staging, report, wish.models_out, salt_key, dry_run=wish.dry_run)
            return report.as_json()


def _read(wish: Wish, staging: Staging, progress: Progress, limits: MoveLimits) -> str:
    """Stage the site's rows; returns how the report calls it."""
    if wish.url_file is not None:
        # As a secret's file is read: bounded, stripped, and never a FIFO.
        url = read_variable("URL", {"URL_FILE": str(wish.url_file)})
        return read_database(url or "", staging, progress, limits)
    if wish.dump is None:
        raise MoveError("neither a dump nor a database is given")
    with progress.task(f"reading {wish.dump.name}", size_of(wish.dump)) as advance:
        read_dump(wish.dump, staging, advance, limits)
    return str(wish.dump)
