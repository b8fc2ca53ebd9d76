"""Reads and writes the locks of this package: JSON or TOML in, frozen and validated objects out.

One border for pydantic: a document that does not fit its model becomes one `LockError` that names the place.
"""

import json
import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from routeiq_signing.files import write_atomic
from routeiq_vendor.errors import LockError
from routeiq_vendor.limits import LIMITS

__all__ = ["Document", "read_document", "write_document"]


class Document(BaseModel):
    """Base of everything read from a lock: unknown keys are refused, values keep their type, nothing changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T", bound=Document)


def read_document(path: Path, model: type[T]) -> T:
    """Read a `.json` or `.toml` file as `model`; raises `LockError` when it is absent, too large or wrong."""
    name = path.name
    try:
        if path.stat().st_size > LIMITS.lock:
            raise LockError(f"{name}: larger than {LIMITS.lock} bytes", subject=name)
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise LockError(f"{name}: no such lock", subject=name, hint="run `make lock`") from error
    try:
        if path.suffix == ".toml":
            return model.model_validate(tomllib.loads(raw.decode("utf-8")), strict=False)
        return model.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "document"
        raise LockError(
            f"{name}: {place}: {first['msg'].lower()}", subject=name, hint="run `make lock`"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LockError(f"{name}: {error}", subject=name) from error


def write_document(path: Path, document: Document) -> None:
    """Write a lock in its one form: sorted keys, two spaces, a newline at the end."""
    text = json.dumps(
        document.model_dump(mode="json", exclude_none=True), indent=2, sort_keys=True, ensure_ascii=False
    )
    write_atomic(path, text.encode("utf-8") + b"\n")
