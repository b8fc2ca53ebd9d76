"""Secrets from the environment: `NAME`, or the contents of the file that `NAME_FILE` names.

Both at once is a mistake, for nobody could say which one holds. A file is read once, up to `SECRET_BYTES`, and
stripped; errors name the variable and the file, never what is in it.
"""

import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from routeiq_appliance.errors import ConfigError

__all__ = ["SECRET_BYTES", "read_variable", "with_files"]

SECRET_BYTES = 64 << 10
"""A service account's JSON has 3 KiB."""


def read_variable(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the value of `name` or of the file in `name_FILE`; None when neither is set. Raises `ConfigError`."""
    value, file = environ.get(name), environ.get(f"{name}_FILE")
    if not file:
        return value or None
    if value:
        raise ConfigError(f"{name}: given twice, as {name} and as {name}_FILE", subject=name)
    return _contents(Path(file), f"{name}_FILE")


def with_files(names: Iterable[str], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return what `names` are by way of a file, and the mistakes found."""
    found: dict[str, str] = {}
    mistakes: list[str] = []
    for name in names:
        if not environ.get(f"{name}_FILE"):
            continue
        try:
            found[name] = read_variable(name, environ) or ""
        except ConfigError as error:
            mistakes.append(str(error))
    return found, mistakes


def _contents(path: Path, variable: str) -> str:
    try:
        # Opening a FIFO that nobody writes to would hang the start.
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(f"{variable}: {path}: not a regular file", subject=variable)
        with path.open("rb") as file:
            raw = file.read(SECRET_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror or "cannot be read").lower() if isinstance(error, OSError) else "not a path"
        raise ConfigError(f"{variable}: {path}: {reason}", subject=variable) from None
    if len(raw) > SECRET_BYTES:
        raise ConfigError(f"{variable}: {path}: larger than {SECRET_BYTES} bytes", subject=variable)
    try:
        text = raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{variable}: {path}: not UTF-8", subject=variable) from None
    if not text or "\0" in text:
        raise ConfigError(
            f"{variable}: {path}: {'holds a NUL byte' if text else 'is empty'}", subject=variable
        )
    return text
