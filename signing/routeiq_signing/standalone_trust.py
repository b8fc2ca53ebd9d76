"""What `verify.pyz` judges by: public keys, a site's state, or a root's file and the roots that follow; builders too.

Only reads. Standard library only, Python 3.9.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from routeiq_signing.errors import SigningError, VerificationError
from routeiq_signing.files import read_capped
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.trust.builders import Builders, BuiltBy
from routeiq_signing.trust.chain import follow_roots
from routeiq_signing.trust.document import TrustState
from routeiq_signing.trust.rules import accept_first_root
from routeiq_signing.trust.site import SiteTrust
from routeiq_signing.trust.state import StateFolder, to_text
from routeiq_signing.verify.trust import OneKey, PinnedKey, SeveralKeys, Trust

__all__ = ["Basis", "built_by", "by_keys", "by_root"]

_NO_STATE = "one root and no site's state: no rollback protection"
_SEPARATORS = re.compile(r"[\s:-]")


@dataclass(frozen=True)
class Basis:
    """The judge, and what the report must say of it."""

    trust: Trust
    notes: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


def by_keys(paths: Sequence[Path], required: int) -> Basis:
    """Judge by pinned public keys of which `required` must have signed; raises `KeyFileError`, `SigningError`."""
    keys = [PinnedKey(key.keyid, key.verifies) for key in map(_read_key, paths)]
    if len(keys) == 1 and required == 1:
        return Basis(OneKey(keys[0]))
    return Basis(SeveralKeys(keys, required))


def built_by(basis: Basis, tar: Path, paths: Sequence[Path], required: int | None) -> Basis:
    """Return `basis` that asks for builders too: `required` of the keys in `paths`, all of them unless said."""
    if not paths and required is None:
        return basis
    keys = {key.keyid: key for key in map(_read_key, paths)}
    builders = Builders.of(keys.values(), len(keys) if required is None else required)
    return replace(basis, trust=BuiltBy(basis.trust, builders.beside(tar)))


def _read_key(path: Path) -> PublicKey:
    return PublicKey.from_pem(read_capped(path, LIMITS.key_file), str(path))


def by_root(
    pinned: Path,
    following: Mapping[str, bytes],
    tar: Path,
    now: datetime,
    *,
    fingerprint: str | None,
    allow_rollback: str | None,
) -> Basis:
    """Judge by `pinned` (a trust folder, its state.json, or a root's file), then the roots `following` it.

    Raises `SigningError` for a state that is damaged, a root that is not the one of `fingerprint`, a broken chain.
    """
    if allow_rollback is not None and not allow_rollback.strip():
        raise SigningError("--allow-rollback wants a reason")
    state, notes, lacks = _pinned(pinned, now, fingerprint)
    if following:
        state = replace(state, root=follow_roots(state.root.encode(), following).decode())
    trust = SiteTrust.of(state, tar, now, allow_rollback=allow_rollback)
    return Basis(trust, notes, lacks)


def _pinned(
    path: Path, now: datetime, fingerprint: str | None
) -> tuple[TrustState, tuple[str, ...], tuple[str, ...]]:
    of_site = path.name == "state.json"
    if of_site or not path.is_file():
        if fingerprint is not None:
            raise SigningError(
                "--fingerprint goes with a root's file: a site's state was compared when it began",
                subject=str(path),
            )
        folder = StateFolder(path.parent if of_site else path)
        return folder.load(), ("judged by the site's state, which is left as it is",), ()
    raw = read_capped(path, LIMITS.tuf_metadata)
    digest = hashlib.sha256(raw).hexdigest()
    if fingerprint is not None:
        wanted = _SEPARATORS.sub("", fingerprint).lower()
        if not hmac.compare_digest(digest.encode(), wanted.encode()):
            raise VerificationError(
                f"{path}: its fingerprint is {digest}, not the one given",
                step=2,
                subject=str(path),
                hint="do not go on: ask the producer for the fingerprint by telephone, and for the file again",
            )
        note = f"pinned by the fingerprint {digest}"
    else:
        note = f"the root's fingerprint is {digest}: compare it with the one from the second channel"
    accept_first_root(raw, str(path))
    return TrustState(raw.decode("ascii"), to_text(now)), (note,), (_NO_STATE,)
