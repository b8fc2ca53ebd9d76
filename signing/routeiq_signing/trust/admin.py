"""What an administrator does to a site's trust: begin it, follow the root, set the policy, set the clock right.

Each verb judges first and then makes one journaled change of the state.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from routeiq_signing.errors import TrustStateError, VerificationError
from routeiq_signing.files import read_capped
from routeiq_signing.limits import LIMITS
from routeiq_signing.trust.chain import follow_roots
from routeiq_signing.trust.document import SitePolicy, TrustState
from routeiq_signing.trust.metadata import Signers, read_root
from routeiq_signing.trust.offered import strict_root
from routeiq_signing.trust.rules import accept_first_root, recall
from routeiq_signing.trust.state import StateFolder, from_text, to_text

__all__ = [
    "add_roots",
    "describe",
    "fingerprint",
    "initialise",
    "read_file",
    "set_clock",
    "set_policy",
]

_SEPARATORS = re.compile(r"[\s:-]")


def read_file(path: Path) -> bytes:
    """Return a metadata file's bytes, within their cap."""
    return read_capped(path, LIMITS.tuf_metadata)


def fingerprint(root: bytes) -> str:
    """Return what `sha256sum ROOT.json` prints."""
    return hashlib.sha256(root).hexdigest()


def initialise(
    folder: StateFolder, root: bytes, what: str, given: str, channels: tuple[str, ...], now: datetime
) -> TrustState:
    """Pin `root` when its fingerprint is the `given` one (all 64 digits; colons and blanks do not count)."""
    wanted = _SEPARATORS.sub("", given).lower()
    if not hmac.compare_digest(fingerprint(root).encode(), wanted.encode()):
        raise VerificationError(
            f"{what}: its fingerprint is {fingerprint(root)}, not the one given",
            subject=what,
            hint="do not go on: ask the producer for the fingerprint by telephone, and for the file again",
        )
    role = accept_first_root(root, what)
    if now >= from_text(role.expires, what):
        raise VerificationError(f"{what}: expired on {role.expires}", step=5, subject=what)
    policy = SitePolicy(channels=tuple(sorted(set(channels))))
    state = TrustState(root.decode(), to_text(now), policy)
    event = {"event": "init", "root": role.version, "fingerprint": fingerprint(root)}
    folder.create(state, event, now)
    return state


def add_roots(folder: StateFolder, roots: Mapping[str, bytes], now: datetime) -> TrustState:
    """Follow the chain through `roots` (name → bytes, any order) and keep the last; all of it or nothing.

    A root that the site has already is passed over when it is the same one; raises `VerificationError` otherwise.
    """
    for what, raw in roots.items():
        strict_root(raw, what)

    def follow(state: TrustState) -> TrustState:
        seen = max(now, from_text(state.last_seen, "state.json"))
        return replace(state, root=follow_roots(state.root.encode(), roots).decode(), last_seen=to_text(seen))

    last = max(roots.values(), key=lambda raw: read_root(raw)[1].version)
    event = {"event": "root", "root": read_root(last)[1].version, "fingerprint": fingerprint(last)}
    return folder.change(follow, event, now)


def set_policy(folder: StateFolder, policy: SitePolicy, now: datetime) -> TrustState:
    """Put `policy` in the place of the present one; raises `DocumentError` when it could never be met."""
    builders = policy.builders()
    said = {**asdict(policy), "site_keys": sorted(policy.keys()), "builder_keys": sorted(builders.keys)}

    def put(state: TrustState) -> TrustState:
        policy.check_apart(read_root(state.root.encode())[1].release.keys)
        return replace(state, policy=policy)

    return folder.change(put, {"event": "policy", **said}, now)


def set_clock(folder: StateFolder, reason: str, now: datetime) -> TrustState:
    """Forget the latest time that was seen: for a clock that once ran ahead. `reason` is logged."""
    if not reason.strip():
        raise TrustStateError("the reason is empty", hint="say why the clock is right now")
    event = {"event": "clock", "reason": reason}
    return folder.change(lambda state: replace(state, last_seen=to_text(now)), event, now)


def describe(state: TrustState, now: datetime) -> dict[str, object]:
    """Return the state as plain data for people and programs."""
    raw = state.root.encode()
    _, role = read_root(raw)
    channels = {}
    for name, channel in state.channels.items():
        counts = recall(raw, channel.files()) is not None
        channels[name] = (
            f"sequence {channel.sequence}, version {channel.version}, created {channel.created},"
            f" expires {channel.expires}, accepted {channel.accepted}, {channel.digest}"
            + ("" if counts else "; its keys were revoked: the sequence no longer counts")
        )
    policy = state.policy
    warnings = []
    if now >= from_text(role.expires, "root"):
        warnings.append("the root is expired: nothing verifies until `routeiq trust update NEWROOT`")
    if now < from_text(state.last_seen, "state.json"):
        warnings.append(f"the clock is set back: {state.last_seen} was seen; bundles are judged by that")
    return {
        "root": role.version,
        "fingerprint": fingerprint(raw),
        "expires": role.expires,
        "root_keys": _signers(role.root),
        "release_keys": _signers(role.release),
        "last_seen": state.last_seen,
        "policy": {
            "channels": ", ".join(policy.channels) or "the first that is accepted",
            "site_signatures": f"{policy.site_signatures} of {len(policy.site_keys)} keys",
            "builder_signatures": f"{policy.builder_signatures} of {len(policy.builder_keys)} keys",
            "max_age_days": policy.max_age_days or "no limit",
        },
        "channels": channels,
        "warnings": warnings,
    }


def _signers(signers: Signers) -> dict[str, object]:
    return {"threshold": signers.threshold, "keys": ", ".join(sorted(signers.keys))}
