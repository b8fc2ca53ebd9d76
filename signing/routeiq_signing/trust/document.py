"""What a site remembers: its root, its policy, and per channel the newest bundle that it accepted.

Pure: `state.json`'s bytes to values and back. The file is canonical JSON and carries the SHA-256 of its own body, so
that a changed digit is damage and not another sequence. What each channel keeps is the signed metadata itself; the
numbers beside it are for people. Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from routeiq_signing.errors import DocumentError, KeyFileError, SigningError
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.strict_json import dumps, loads
from routeiq_signing.trust.builders import Builders
from routeiq_signing.trust.metadata import RELEASE_FILES, read_release, read_root

__all__ = ["SCHEMA", "ChannelState", "SitePolicy", "TrustState"]

SCHEMA = "routeiq.trust-state/v1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z")


@dataclass(frozen=True)
class SitePolicy:
    """What a site demands besides the producer's signatures.

    `site_signatures` of the `site_keys` (PEM) must have co-signed; `max_age_days` 0 is no limit; an empty `channels`
    takes the first accepted bundle's channel. `builder_signatures` of the `builder_keys` must have built it.
    """

    site_keys: tuple[str, ...] = ()
    site_signatures: int = 0
    max_age_days: int = 0
    channels: tuple[str, ...] = ()
    builder_keys: tuple[str, ...] = ()
    builder_signatures: int = 0

    def keys(self) -> dict[str, PublicKey]:
        """Return the site's keys by keyid; raises `DocumentError` when they cannot give the signatures demanded."""
        try:
            keys = [PublicKey.from_pem(pem.encode(), "policy: site key") for pem in self.site_keys]
        except KeyFileError as error:
            raise DocumentError(str(error)) from None
        by_id = {key.keyid: key for key in keys}
        if not 0 <= self.site_signatures <= len(by_id):
            raise DocumentError(
                f"policy: {self.site_signatures} site signatures cannot be given by {len(by_id)} different keys"
            )
        return by_id

    def builders(self) -> Builders:
        """Return the builders that the site demands; raises `DocumentError` when they cannot give the signatures.

        Nobody is both a co-signer and a builder: both sign the same bytes, so one signature would count as two.
        """
        try:
            keys = [PublicKey.from_pem(pem.encode(), "policy: builder key") for pem in self.builder_keys]
            builders = Builders.of(keys, self.builder_signatures)
        except SigningError as error:
            raise DocumentError(f"policy: {error}", hint=error.hint) from None
        both = sorted(builders.keys.keys() & self.keys().keys())
        if both:
            raise DocumentError(f"policy: key {both[0][:16]}… is a co-signer and a builder")
        return builders

    def check_apart(self, release: Collection[str]) -> None:
        """Raise `DocumentError` when a co-signer or a builder is one of the `release` keyids.

        All sign the same bytes: the signature in the tar, copied beside it, would be the second opinion.
        """
        for keyid in sorted({*self.keys(), *self.builders().keys} & set(release)):
            raise DocumentError(
                f"policy: key {keyid[:16]}… releases bundles, so it is no second opinion on them",
                hint="`routeiq trust policy` with keys that the producer does not hold",
            )


@dataclass(frozen=True)
class ChannelState:
    """The bundle that a channel is at; `metadata` is its timestamp, snapshot and targets by file name."""

    sequence: int
    digest: str
    version: str
    created: str
    expires: str
    accepted: str
    metadata: Mapping[str, str]

    def files(self) -> dict[str, bytes]:
        """Return the metadata as the files that it was."""
        return {name: self.metadata[name].encode() for name in RELEASE_FILES}


@dataclass(frozen=True)
class TrustState:
    """All that a site remembers; `root` is the raw metadata, `last_seen` the latest time its clock has shown."""

    root: str
    last_seen: str
    policy: SitePolicy = field(default_factory=SitePolicy)
    channels: Mapping[str, ChannelState] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Return the file's bytes."""
        body = {
            "schema": SCHEMA,
            "root": self.root,
            "last_seen": self.last_seen,
            "policy": asdict(self.policy),
            "channels": {name: _plain(channel) for name, channel in self.channels.items()},
        }
        raw = dumps({"body": body, "sha256": hashlib.sha256(dumps(body)).hexdigest()})
        self.from_bytes(raw, "state.json")
        return raw

    @classmethod
    def from_bytes(cls, raw: bytes, what: str) -> TrustState:
        """Parse; raises `DocumentError` for anything that `to_bytes` would not have written."""
        document = loads(raw, what, limit=LIMITS.trust_state)
        body = document.get("body")
        if set(document) != {"body", "sha256"} or not isinstance(body, dict):
            raise DocumentError(f"{what}: not a trust state", subject=what)
        if hashlib.sha256(dumps(body)).hexdigest() != document["sha256"]:
            raise DocumentError(f"{what}: its content is not that of its checksum", subject=what)
        if body.get("schema") != SCHEMA:
            raise DocumentError(f"{what}: this version reads {SCHEMA!r}", subject=what)
        try:
            channels = {name: ChannelState(**item) for name, item in body["channels"].items()}
            said: dict[str, Any] = body["policy"]
            policy = SitePolicy(
                site_keys=tuple(said["site_keys"]),
                site_signatures=said["site_signatures"],
                max_age_days=said["max_age_days"],
                channels=tuple(said["channels"]),
                builder_keys=tuple(said.get("builder_keys", ())),
                builder_signatures=said.get("builder_signatures", 0),
            )
            state = cls(body["root"], body["last_seen"], policy, channels)
            state._check(what)
        except (KeyError, TypeError, AttributeError):
            raise DocumentError(f"{what}: not a trust state", subject=what) from None
        return state

    def _check(self, what: str) -> None:
        read_root(self.root.encode(), f"{what}: root")
        self.policy.builders()
        for name in (*self.channels, *self.policy.channels):
            if not _NAME.match(name):
                raise DocumentError(f"{what}: {name[:80]!r} is no name of a channel", subject=what)
        if type(self.policy.max_age_days) is not int or self.policy.max_age_days < 0:
            raise DocumentError(f"{what}: max_age_days is no number of days", subject=what)
        times = [
            self.last_seen,
            *(t for c in self.channels.values() for t in (c.created, c.expires, c.accepted)),
        ]
        if not all(_TIME.match(time) for time in times):
            raise DocumentError(f"{what}: a time is not in the form of one", subject=what)
        for channel in self.channels.values():
            _, release = read_release(channel.files())
            if (release.sequence, f"sha256:{release.sha256}") != (channel.sequence, channel.digest):
                raise DocumentError(f"{what}: a channel is not what its metadata says", subject=what)


def _plain(channel: ChannelState) -> dict[str, Any]:
    values = {item.name: getattr(channel, item.name) for item in fields(channel)}
    return {**values, "metadata": dict(channel.metadata)}
