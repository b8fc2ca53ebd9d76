"""Builders' signatures over a bundle: who built it from its inputs and got these very bytes.

Detached files beside the tar, `TAR.<keyid>.builder.json`, each a sigstore bundle over the raw bytes of `bundle.json`.
A verification may ask that so many of certain builders have signed: the site's policy says so, or the command line.
A key counts once, however often it is named; what other keys signed is told and counts for nothing. Standard library
only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from routeiq_signing.errors import DocumentError, SigningError, VerificationError
from routeiq_signing.files import named_file, read_capped, write_atomic
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.sigstore_bundle import message_bundle, read_message_bundle
from routeiq_signing.verify.trust import PinnedKey, Told, Trust

__all__ = ["Builders", "BuiltBy", "builder_signature_path", "write_builder_signature"]

_SHOWN = 10


def builder_signature_path(tar: Path, keyid: str) -> Path:
    """Return where the signature by `keyid` lies."""
    return named_file(tar).with_name(f"{tar.name}.{keyid}.builder.json")


def write_builder_signature(tar: Path, identity: bytes, key: Signer) -> Path:
    """Sign the raw bundle.json as its builder; return the file written. The caller has built the same bytes."""
    path = builder_signature_path(tar, key.public.keyid)
    write_atomic(path, message_bundle(key.public.keyid, identity, key.sign(identity)))
    return path


@dataclass(frozen=True)
class Builders:
    """`required` of `keys` (by keyid) must have signed; `found` lay beside the tar, `strangers` other keys there."""

    keys: Mapping[str, PublicKey]
    required: int
    found: Mapping[str, bytes] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()

    @classmethod
    def of(cls, keys: Iterable[PublicKey], required: int) -> Builders:
        """Raises `SigningError` for a number that these keys can never give."""
        by_id = {key.keyid: key for key in keys}
        if not 0 <= required <= len(by_id):
            raise SigningError(
                f"{required} builders cannot be had from {len(by_id)} different keys",
                hint="name each builder's public key once, at least as many as are required",
            )
        return cls(by_id, required)

    def beside(self, tar: Path) -> Builders:
        """Return these with what lies beside `tar`; a file of a key that is not named is not read."""
        pattern = re.compile(re.escape(tar.name) + r"\.([0-9a-f]{64})\.builder\.json\Z")
        matches = (pattern.match(path.name) for path in tar.parent.iterdir()) if tar.parent.is_dir() else ()
        there = sorted(match.group(1) for match in matches if match)
        found = {
            keyid: read_capped(builder_signature_path(tar, keyid), LIMITS.signature)
            for keyid in there
            if keyid in self.keys
        }
        strangers = tuple(keyid for keyid in there if keyid not in self.keys)
        return replace(self, found=found, strangers=strangers)

    def with_found(self, others: Builders) -> Builders:
        """Return these with the files that `others` found beside the tar."""
        found = {keyid: raw for keyid, raw in others.found.items() if keyid in self.keys}
        return replace(self, found=found, strangers=others.strangers)

    def check(self, identity: bytes) -> tuple[str, ...]:
        """Return what to tell of them; raises `VerificationError` when too few signed, or one signed something else."""
        for keyid, raw in self.found.items():
            name = f"{keyid[:16]}….builder.json"
            try:
                signature = read_message_bundle(raw, name, keyid=keyid, message=identity)
            except DocumentError as error:
                raise VerificationError(str(error), step=2, subject=name) from None
            if not self.keys[keyid].verifies(signature, identity):
                raise VerificationError(
                    f"{name}: the signature is not of this bundle",
                    step=2,
                    subject=name,
                    hint="that builder got other bytes, or the file belongs to another tar",
                )
        if len(self.found) < self.required:
            raise VerificationError(
                f"bundle.json: signed by {len(self.found)} of the {self.required} builders that are required",
                step=2,
                subject="bundle.json",
                hint="a builder runs `routeiq bundle rebuild TAR --inputs FILE --sign KEY`; carry"
                " TAR.<keyid>.builder.json with the tar",
            )
        told = [f"signed by {len(self.found)} builders, {self.required} required"] if self.required else []
        told += [
            f"{keyid[:16]}….builder.json: by a builder that nobody asked for: ignored"
            for keyid in self.strangers[:_SHOWN]
        ]
        return tuple(told)


class BuiltBy:
    """A `Trust` that asks for builders besides what another one asks for.

    Raises `SigningError` for a builder who may sign the bundle too: one signature, copied out of the tar, would be two.
    """

    def __init__(self, trust: Trust, builders: Builders) -> None:
        for keyid in sorted(builders.keys.keys() & trust.keys().keys()):
            raise SigningError(
                f"key {keyid[:16]}… is to have signed the bundle, so it is no second opinion as a builder",
                hint="name builders' own keys",
            )
        self._trust = trust
        self._builders = builders
        self._told: tuple[str, ...] = ()

    def keys(self) -> Mapping[str, PinnedKey]:
        """See `Trust.keys`."""
        return self._trust.keys()

    def required(self) -> int:
        """See `Trust.required`."""
        return self._trust.required()

    def clock(self, now: datetime) -> datetime:
        """See `Trust.clock`."""
        return self._trust.clock(now)

    def begin(self, manifest: BundleManifest, identity: bytes) -> None:
        """See `Trust.begin`."""
        self._told = self._builders.check(identity)
        self._trust.begin(manifest, identity)

    def wanted(self, attachments: Attachments) -> Mapping[str, str]:
        """See `Trust.wanted`."""
        return self._trust.wanted(attachments)

    def finish(self, manifest: BundleManifest, identity: bytes, documents: Mapping[str, bytes]) -> Told:
        """See `Trust.finish`."""
        told = self._trust.finish(manifest, identity, documents)
        return replace(told, notes=(*told.notes, *self._told))
