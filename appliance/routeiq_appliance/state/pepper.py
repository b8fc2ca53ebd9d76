"""The secret that keys are hashed with, and the hash.

A stored key is HMAC-SHA256(pepper, SHA-256(key)): whoever has the table alone cannot try guesses, and LiteLLM's
unsalted SHA-256 rows can be brought over. The pepper is a setting with PostgreSQL (all replicas share it); with
SQLite it is made once and kept beside the database, readable by its owner only.
"""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from routeiq_appliance.errors import StateError
from routeiq_appliance.limits import DEFAULT_LIMITS, Limits

__all__ = ["ensure_pepper", "key_digest"]

_FILE = "pepper"


def key_digest(pepper: bytes, key: str) -> str:
    """Return what is stored of `key`, 64 hex digits."""
    inner = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return hmac.new(pepper, inner, hashlib.sha256).hexdigest()


def ensure_pepper(data_dir: Path, *, limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Return the pepper kept in `data_dir`, made when there is none; raises `StateError`."""
    path = data_dir / _FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            _create(path)
        with path.open("rb") as file:
            pepper = file.read(limits.pepper_bytes).strip()
    except OSError as error:
        raise StateError(
            f"{path}: {(error.strerror or 'cannot be used').lower()}",
            subject=str(path),
            hint="set ROUTEIQ_DATA_DIR to a directory that this user may write to",
        ) from None
    if len(pepper) < 32:
        raise StateError(
            f"{path}: shorter than 32 bytes",
            subject=str(path),
            hint="restore it from the backup; keys depend on it",
        )
    return pepper


def _create(path: Path) -> None:
    draft = path.with_name(f".{_FILE}-{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_hex(32).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # link, not rename: of two first starts one pepper wins and both use it.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink(missing_ok=True)
