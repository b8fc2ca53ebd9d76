"""What a verification rests on: which keys may sign, and what must hold besides signatures and digests.

`bundle` asks at three points and decides nothing of this itself. `OneKey` is the simple site's answer; a site with a
pinned root hands in its own (`trust.site`). Standard library only, Python 3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from routeiq_signing.errors import SigningError
from routeiq_signing.manifest import Attachments, BundleManifest

__all__ = ["LACKS_OF_ONE_KEY", "OneKey", "PinnedKey", "SeveralKeys", "Told", "Trust"]

LACKS_OF_ONE_KEY = ("no rollback protection", "no revocation", "no threshold")


@dataclass(frozen=True)
class PinnedKey:
    """A key that may have signed: its `keyid`, and a check of (DER signature, message)."""

    keyid: str
    verifies: Callable[[bytes, bytes], bool]


@dataclass(frozen=True)
class Told:
    """What the report says of the trust: `basis` in words, what it `lacks`, `notes` and `warnings` for people."""

    basis: str
    lacks: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    root: int = field(default=0)  # version of the pinned root; 0: none


class Trust(Protocol):
    """Decides who may sign and how old is too old; raises `VerificationError` with the number of the step."""

    def keys(self) -> Mapping[str, PinnedKey]:
        """Return the keys that may sign a bundle, by keyid."""

    def required(self) -> int:
        """Return how many of these must have signed bundle.json, at least one."""

    def clock(self, now: datetime) -> datetime:
        """Return the time to judge by, never before `now`."""

    def begin(self, manifest: BundleManifest, identity: bytes) -> None:
        """Judge what bundle.json says of its age, before the long read. `identity` is its raw bytes."""

    def wanted(self, attachments: Attachments) -> Mapping[str, str]:
        """Return name → path of the attached documents that `finish` wants the bytes of."""

    def finish(self, manifest: BundleManifest, identity: bytes, documents: Mapping[str, bytes]) -> Told:
        """Judge at the end, when every digest was found right; `documents` are what `wanted` asked for."""


class OneKey:
    """One pinned key: whoever holds it may sign anything, for ever."""

    def __init__(self, key: PinnedKey) -> None:
        self._key = key

    def keys(self) -> Mapping[str, PinnedKey]:
        """See `Trust.keys`."""
        return {self._key.keyid: self._key}

    def required(self) -> int:
        """See `Trust.required`."""
        return 1

    def clock(self, now: datetime) -> datetime:
        """See `Trust.clock`."""
        return now

    def begin(self, manifest: BundleManifest, identity: bytes) -> None:
        """See `Trust.begin`: one key cannot tell an old bundle from the newest."""

    def wanted(self, attachments: Attachments) -> Mapping[str, str]:  # noqa: ARG002
        """See `Trust.wanted`."""
        return {}

    def finish(
        self,
        manifest: BundleManifest,  # noqa: ARG002
        identity: bytes,  # noqa: ARG002
        documents: Mapping[str, bytes],  # noqa: ARG002
    ) -> Told:
        """See `Trust.finish`."""
        return Told(basis="one pinned key", lacks=LACKS_OF_ONE_KEY)


class SeveralKeys(OneKey):
    """Pinned keys of which `required` must have signed; as blind to age and revocation as one key."""

    def __init__(self, keys: Iterable[PinnedKey], required: int) -> None:
        self._keys = {key.keyid: key for key in keys}
        self._required = required
        if not 1 <= required <= len(self._keys):
            raise SigningError(
                f"{required} signatures cannot be had from {len(self._keys)} different keys",
                hint="name each public key once, at least as many as are required",
            )
        super().__init__(next(iter(self._keys.values())))

    def keys(self) -> Mapping[str, PinnedKey]:
        """See `Trust.keys`."""
        return self._keys

    def required(self) -> int:
        """See `Trust.required`."""
        return self._required

    def finish(self, manifest: BundleManifest, identity: bytes, documents: Mapping[str, bytes]) -> Told:
        """See `Trust.finish`."""
        told = super().finish(manifest, identity, documents)
        lacks = tuple(item for item in told.lacks if item != "no threshold" or self._required == 1)
        return replace(told, basis=f"{self._required} of {len(self._keys)} pinned keys", lacks=lacks)
