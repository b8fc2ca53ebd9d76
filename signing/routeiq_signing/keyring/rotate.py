"""Replaces a key file by a new key: the old one stays beside it under its keyid, and nothing is ever overwritten.

The order makes a power cut harmless: the old file gets its second name first, then the new key takes its place whole.
There is no statement signed by the old key that names the new one: a thief could sign it as well. What tells a site of
the new key is a second channel, or the next root (docs/key-ceremony.md).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.errors import KeyFileError
from routeiq_signing.files import named_file, read_capped, write_atomic
from routeiq_signing.keys import KeyForm, PrivateKey, key_form
from routeiq_signing.limits import LIMITS

__all__ = ["Rotated", "rotate_key_files"]


@dataclass(frozen=True, slots=True)
class Rotated:
    """Both keys, open, and where the old one lies now."""

    old: PrivateKey
    new: PrivateKey
    kept: Path


def rotate_key_files(
    path: Path, passphrase: bytes, new_passphrase: bytes, form: KeyForm | None = None
) -> Rotated:
    """Put a new key at `path` and `path`.pub; the old pair stays as `path`.<keyid> and `path`.<keyid>.pub.

    The new key has the old one's form unless `form` says otherwise. Raises `KeyFileError` when the old key cannot be
    opened or another file has its later name.
    """
    raw = read_capped(path, LIMITS.key_file)
    old = PrivateKey.from_pem(raw, passphrase, str(path))
    public = named_file(path).with_name(f"{path.name}.pub")
    kept = path.with_name(f"{path.name}.{old.public.keyid}")
    new = PrivateKey.generate()
    pem = new.to_pem(new_passphrase, form or key_form(raw) or "pkcs8")
    _keep(path, kept, raw)
    if public.exists():
        _keep(public, kept.with_name(f"{kept.name}.pub"), read_capped(public, LIMITS.key_file))
    write_atomic(path, pem, mode=0o600)
    write_atomic(public, new.public.pem)
    return Rotated(old, new, kept)


def _keep(path: Path, kept: Path, raw: bytes) -> None:
    """Give the file a second name; one that has it already, from a run that was cut off, is this very file."""
    try:
        os.link(path, kept)
    except FileExistsError:
        if kept.is_symlink() or read_capped(kept, LIMITS.key_file) != raw:
            raise KeyFileError(
                f"{kept}: exists already, and is another file", subject=str(kept), hint="move it away"
            ) from None
