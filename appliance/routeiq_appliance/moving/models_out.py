"""Writes what became of LiteLLM's stored models: `model_list.yaml`, and each credential in a file of its own.

The folder must be new: a credential is never written over another. Its files are readable by their owner alone; the
gateway reads them as `NAME_FILE`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from routeiq_appliance.errors import MoveError
from routeiq_appliance.moving import tables
from routeiq_appliance.moving.models import Secrets, model_entry
from routeiq_appliance.moving.people import shown_name
from routeiq_appliance.moving.report import Report
from routeiq_appliance.moving.staging import Staging
from routeiq_appliance.moving.values import UnfitError, Values

__all__ = ["require_new", "write_models"]

_HEAD = "# Models that LiteLLM kept in its database: check them, and take them into config.yaml.\n"
_NOT_ASKED = "give --models-out to write them as `model_list`"


def require_new(folder: Path | None) -> None:
    """Raise `MoveError` when the folder exists."""
    if folder is not None and folder.exists():
        raise MoveError(
            f"{folder}: exists", subject=str(folder), hint="name a folder that does not exist yet"
        )


def write_models(
    staging: Staging, report: Report, folder: Path | None, salt_key: str | None, *, dry_run: bool
) -> None:
    """Write the models to `folder`, nothing when it is None or for a dry run; fill the report. Raises `MoveError`."""
    secrets, entries = Secrets(), []
    tally = report.tallies["models"]
    for row in staging.rows(tables.MODELS):
        tally.found += 1
        values = Values(row)
        name = shown_name(values, "model_name")
        if folder is None:
            report.held("models", name, _NOT_ASKED)
            continue
        try:
            entry = model_entry(values, lambda wanted: _credential(staging, wanted), salt_key, secrets)
        except UnfitError as error:
            report.held("models", name, str(error))
            continue
        entries.append(entry.value)
        if entry.fault is not None:
            report.held("models", name, entry.fault)
        else:
            report.carried("models", name, entry.changes)
    if folder is None or dry_run or not entries:
        return
    _write(folder, entries, secrets.values)
    report.notes.append(f"{folder / 'model_list.yaml'}: {len(entries)} models to take into config.yaml")
    report.notes += [f"set {name}_FILE={folder / 'secrets' / name}" for name in sorted(secrets.values)]


def _credential(staging: Staging, name: str) -> Mapping[str, Any] | None:
    row = staging.find(tables.CREDENTIALS, name)
    return None if row is None else Values(row).object("credential_values")


def _write(folder: Path, entries: list[dict[str, Any]], secrets: Mapping[str, str]) -> None:
    text = yaml.safe_dump({"model_list": entries}, sort_keys=False, allow_unicode=True, width=120)
    (folder / "secrets").mkdir(parents=True, mode=0o700)
    folder.chmod(0o700)
    _new_file(folder / "model_list.yaml", _HEAD + text)
    for name, value in secrets.items():
        _new_file(folder / "secrets" / name, value)


def _new_file(path: Path, text: str) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
