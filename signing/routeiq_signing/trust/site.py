"""Judges bundles by what a site trusts and remembers: the `Trust` of `verify.bundle` for a pinned root.

Keys come from the site's root, never from the medium; the sequence, the clock and the policy from its state. `judge` is
what verification calls; `record` writes what was accepted, last, after whatever the bundle was verified for. Standard
library only, Python 3.9: part of `verify.pyz`, where `keys` and `trust.rules` are small ones (`pyz`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest, blob_path
from routeiq_signing.trust.builders import Builders
from routeiq_signing.trust.cosign import check_site_signatures, read_site_signatures
from routeiq_signing.trust.document import ChannelState, TrustState
from routeiq_signing.trust.metadata import RELEASE_FILES, Release, RootRole, read_root
from routeiq_signing.trust.offered import check_equivocation
from routeiq_signing.trust.rules import Offered, judge, recall
from routeiq_signing.trust.state import StateFolder, from_text, to_text
from routeiq_signing.verify.trust import PinnedKey, Told

__all__ = ["ATTACHMENT_KIND", "MEDIA_TYPE", "Accepted", "SiteTrust"]

ATTACHMENT_KIND = "tuf-metadata"
MEDIA_TYPE = "application/vnd.routeiq.tuf.metadata.v1+json"


@dataclass(frozen=True)
class Accepted:
    """What `finish` accepted and `record` will remember."""

    manifest: BundleManifest
    identity: bytes
    documents: Mapping[str, bytes]


class SiteTrust:
    """The site's trust for one verification; `allow_rollback` is the reason to take an older bundle, if there is one.

    `cosignatures` are the site signatures found beside the tar, by keyid, `builders` the builders' ones; `signing` is
    for who is about to give one, and asks for neither.
    """

    def __init__(
        self,
        state: TrustState,
        now: datetime,
        *,
        cosignatures: Mapping[str, bytes] | None = None,
        allow_rollback: str | None = None,
        builders: Builders | None = None,
        signing: bool = False,
    ) -> None:
        self._signing = signing
        demanded = state.policy.builders()
        self._builders = demanded if builders is None else demanded.with_found(builders)
        self._state = state
        self._now = now
        self._cosignatures = cosignatures or {}
        self.allow_rollback = allow_rollback
        self.accepted: Accepted | None = None
        self._built: tuple[str, ...] = ()
        _, self._root = read_root(state.root.encode(), "the site's root")

    @classmethod
    def for_tar(
        cls,
        folder: StateFolder,
        tar: Path,
        now: datetime,
        *,
        allow_rollback: str | None = None,
        signing: bool = False,
    ) -> SiteTrust:
        """Return the trust to verify `tar` with; raises `TrustStateError` when the site has none that is whole."""
        return cls.of(folder.load(), tar, now, allow_rollback=allow_rollback, signing=signing)

    @classmethod
    def of(
        cls,
        state: TrustState,
        tar: Path,
        now: datetime,
        *,
        allow_rollback: str | None = None,
        signing: bool = False,
    ) -> SiteTrust:
        """Return the trust to verify `tar` with, and the signatures that lie beside it."""
        found = read_site_signatures(tar, state.policy.keys())
        builders = state.policy.builders().beside(tar)
        return cls(
            state, now, cosignatures=found, allow_rollback=allow_rollback, builders=builders, signing=signing
        )

    @property
    def root(self) -> RootRole:
        """Return what the site's root says."""
        return self._root

    def keys(self) -> Mapping[str, PinnedKey]:
        """See `Trust.keys`: the release keys of the root."""
        return {keyid: PinnedKey(keyid, key.verifies) for keyid, key in self._root.release.keys.items()}

    def required(self) -> int:
        """See `Trust.required`: one; how many release keys must agree is said by the root, of the metadata."""
        return 1

    def clock(self, now: datetime) -> datetime:
        """See `Trust.clock`: a clock that was set back makes nothing fresh again."""
        return max(now, self._now, from_text(self._state.last_seen, "state.json"))

    def begin(self, manifest: BundleManifest, identity: bytes) -> None:
        """See `Trust.begin`: site signatures, channel, age and sequence."""
        policy = self._state.policy
        if not self._signing:
            self._check_policy()
            check_site_signatures(identity, policy.keys(), policy.site_signatures, self._cosignatures)
            self._built = self._builders.check(identity)
        known = policy.channels or tuple(self._state.channels)
        if known and manifest.channel not in known:
            raise VerificationError(
                f"bundle.json: of channel {manifest.channel}, this site takes {', '.join(known)}",
                step=4,
                subject="bundle.json",
                hint="`routeiq trust policy --channel NAME` adds one",
            )
        age = (self.clock(self._now) - _created(manifest)).days
        if policy.max_age_days and age > policy.max_age_days:
            raise VerificationError(
                f"bundle.json: {age} days old, the site's policy allows {policy.max_age_days}",
                step=5,
                subject="bundle.json",
                hint="get a newer bundle",
            )
        before = self._before(manifest.channel)
        if before is not None and manifest.sequence < before.sequence and not self.allow_rollback:
            raise VerificationError(
                f"bundle.json: sequence {manifest.sequence} is older than {before.sequence}, which this site has"
                f" accepted in channel {manifest.channel}",
                step=4,
                subject="bundle.json",
                hint="to go back on purpose: --allow-rollback REASON, which is logged",
            )

    def wanted(self, attachments: Attachments) -> Mapping[str, str]:
        """See `Trust.wanted`: the bundle's TUF metadata."""
        found: dict[str, str] = {}
        for item in attachments.attachments:
            if item.kind != ATTACHMENT_KIND or item.subject != attachments.bundle:
                continue
            if item.name in found or item.name not in RELEASE_FILES:
                raise VerificationError(f"{item.name}: attached twice or unknown", step=7, subject=item.name)
            if item.size > LIMITS.tuf_metadata:
                raise VerificationError(
                    f"{item.name}: {item.size} bytes, more than the {LIMITS.tuf_metadata} allowed",
                    step=1,
                    subject=item.name,
                )
            found[item.name] = blob_path(item.digest)
        if len(found) != len(RELEASE_FILES):
            raise VerificationError(
                "attachments.json: the bundle carries no TUF metadata, which a pinned root asks for",
                step=4,
                subject="attachments.json",
                hint="the producer attaches it with `routeiq trust attach`; --key PUB verifies with less protection",
            )
        return found

    def finish(self, manifest: BundleManifest, identity: bytes, documents: Mapping[str, bytes]) -> Told:
        """See `Trust.finish`: TUF's rules."""
        offered = Offered(documents, manifest.sequence, hashlib.sha256(identity).hexdigest(), len(identity))
        channel = self._state.channels.get(manifest.channel)
        before = None if channel is None or self.allow_rollback else channel.files()
        clock = self.clock(self._now)
        release = judge(self._state.root.encode(), before, offered, clock)
        if channel is not None and self.allow_rollback and self._before(manifest.channel) is not None:
            check_equivocation(channel.files(), release)  # back to an older one, never to another one
        self.accepted = Accepted(manifest, identity, documents)
        return self._told(manifest, release, clock)

    def vouches(self, identity: bytes, files: Mapping[str, bytes]) -> bool:
        """Tell whether the root's present release keys say of the raw bundle.json `identity` that it is a bundle.

        Whether it is expired or old does not count: it is asked of the registry's current bundle.
        """
        release = recall(self._state.root.encode(), files)
        return release is not None and release.sha256 == hashlib.sha256(identity).hexdigest()

    def record(self, folder: StateFolder) -> None:
        """Remember what was accepted, judged once more against the state as it is now; the last thing to do."""
        accepted = self.accepted
        if accepted is None:
            raise AssertionError("only what was accepted is recorded")
        manifest = accepted.manifest
        event = {
            "event": "rollback allowed" if self._went_back(manifest) else "accepted",
            "channel": manifest.channel,
            "sequence": manifest.sequence,
            "digest": f"sha256:{hashlib.sha256(accepted.identity).hexdigest()}",
            **({"reason": self.allow_rollback} if self.allow_rollback else {}),
        }
        folder.change(lambda state: self._after(state, accepted), event, self._now)

    def _after(self, state: TrustState, accepted: Accepted) -> TrustState:
        manifest = accepted.manifest
        again = SiteTrust(
            state,
            self._now,
            cosignatures=self._cosignatures,
            allow_rollback=self.allow_rollback,
            builders=self._builders,
        )
        again.begin(manifest, accepted.identity)
        again.finish(manifest, accepted.identity, accepted.documents)
        channel = ChannelState(
            sequence=manifest.sequence,
            digest=f"sha256:{hashlib.sha256(accepted.identity).hexdigest()}",
            version=manifest.version,
            created=manifest.created,
            expires=manifest.expires,
            accepted=to_text(self._now),
            metadata={name: raw.decode() for name, raw in accepted.documents.items()},
        )
        return replace(
            state,
            last_seen=to_text(again.clock(self._now)),
            channels={**state.channels, manifest.channel: channel},
        )

    def _check_policy(self) -> None:
        """A root that came after the policy may have made a key of it a release key."""
        try:
            self._state.policy.check_apart(self._root.release.keys)
        except DocumentError as error:
            raise VerificationError(str(error), step=2, subject="policy", hint=error.hint) from None

    def _before(self, channel: str) -> Release | None:
        """Return what this channel accepted, while the root's present keys vouch for it."""
        known = self._state.channels.get(channel)
        return None if known is None else recall(self._state.root.encode(), known.files())

    def _went_back(self, manifest: BundleManifest) -> bool:
        before = self._before(manifest.channel)
        return bool(self.allow_rollback) and before is not None and manifest.sequence < before.sequence

    def _told(self, manifest: BundleManifest, release: Release, clock: datetime) -> Told:
        role, policy = self._root, self._state.policy
        root_ends = from_text(role.expires, "root")
        age = (clock - _created(manifest)).days
        notes = [f"created {age} days ago; metadata valid to {release.expires}, root to {role.expires}"]
        warnings = []
        before = self._before(manifest.channel)
        if manifest.channel not in self._state.channels:
            notes.append(f"first bundle of channel {manifest.channel}: it sets the sequence")
        elif before is None:
            notes.append("keys were revoked since the last bundle: its sequence no longer counts")
        if self._went_back(manifest):
            warnings.append(f"older than what this site had accepted; allowed: {self.allow_rollback}")
        if policy.site_signatures:
            notes.append(
                f"co-signed by {len(self._cosignatures)} site keys, {policy.site_signatures} required"
            )
        notes += self._built
        if clock > self._now:
            warnings.append(f"the clock is set back: judged by {to_text(clock)}, the last time that was seen")
        if (root_ends - clock).days < 90:
            warnings.append(f"the root expires on {role.expires}: ask the producer for the next one")
        basis = (
            f"root {role.version}: release keys {role.release.threshold} of {len(role.release.keys)},"
            f" root keys {role.root.threshold} of {len(role.root.keys)}"
        )
        return Told(
            basis, lacks=_lacks(role), notes=tuple(notes), warnings=tuple(warnings), root=role.version
        )


def _lacks(role: RootRole) -> tuple[str, ...]:
    return ("one root key is enough (no threshold)",) if role.root.threshold == 1 else ()


def _created(manifest: BundleManifest) -> datetime:
    try:
        return from_text(manifest.created, "bundle.json: created")
    except DocumentError as error:
        raise VerificationError(str(error), step=3, subject="bundle.json") from None
