"""TUF metadata in the one form that it has here: written, read strictly, signed.

A root says who may sign what; timestamp, snapshot and targets say which `bundle.json` is the newest. Every file is
canonical JSON (RFC 8785) and is exactly what this module writes for what it says: a field more, another spelling or a
key under a name that is not its digest is refused. Who is believed is `trust.rules`' matter.

Numbers: the version of targets and snapshot is the bundle's sequence; that of timestamp is sequence * 1000 + renewal,
so that the same bundle can be given a later expiry. Other TUF clients can read the files too (TUF 1.0.31). Standard
library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from routeiq_signing.errors import DocumentError, KeyFileError
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.strict_json import dumps, loads

__all__ = [
    "RELEASE_FILES",
    "RENEWALS",
    "Release",
    "RootRole",
    "Signer",
    "Signers",
    "TufFile",
    "read_release",
    "read_root",
    "release_file",
    "root_file",
    "signed_bytes",
]

RELEASE_FILES = ("timestamp.json", "snapshot.json", "targets.json")
RENEWALS = 1000  # how many times one bundle's expiry can be renewed
_SPECIFICATION = "1.0.31"
_HEX = re.compile(r"(?:[0-9a-f]{2}){8,72}\Z")  # DER of two integers of 256 bits has at most 72 bytes
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Signers:
    """Keys by keyid, and how many of them must sign."""

    keys: Mapping[str, PublicKey]
    threshold: int

    @classmethod
    def of(cls, keys: Iterable[PublicKey], threshold: int) -> Signers:
        """Return `keys` with a threshold that they can meet; raises `DocumentError` otherwise."""
        by_id = {key.keyid: key for key in keys}
        if type(threshold) is not int or not 1 <= threshold <= len(by_id):
            raise DocumentError(f"a threshold of {threshold} cannot be met by {len(by_id)} different keys")
        return cls(by_id, threshold)


@dataclass(frozen=True)
class RootRole:
    """What a root says: `root` signs the next root, `release` signs timestamp, snapshot and targets."""

    version: int
    expires: str
    root: Signers
    release: Signers


@dataclass(frozen=True)
class Release:
    """What the other three say of one bundle; `sha256` (hex) and `length` are of the raw bundle.json."""

    sequence: int
    renewal: int
    expires: str
    sha256: str
    length: int


@dataclass(frozen=True)
class TufFile:
    """A metadata file: what is signed, and signatures (hex DER) by keyid."""

    signed: Mapping[str, Any]
    signatures: Mapping[str, str]

    @property
    def role(self) -> str:
        """Return `root`, `timestamp`, `snapshot` or `targets`."""
        return str(self.signed["_type"])

    @property
    def signed_bytes(self) -> bytes:
        """Return the bytes that signatures are over."""
        return signed_bytes(self.signed)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        listed = [{"keyid": keyid, "sig": self.signatures[keyid]} for keyid in sorted(self.signatures)]
        return dumps({"signatures": listed, "signed": dict(self.signed)})

    def signed_by(self, key: Signer) -> TufFile:
        """Return the file with a signature by `key` besides those that it has."""
        signature = key.sign(self.signed_bytes).hex()
        return replace(self, signatures={**self.signatures, key.public.keyid: signature})


def signed_bytes(value: Any) -> bytes:
    """Return the OLPC canonical JSON of `value`, over which TUF signs: only `"` and the backslash are escaped.

    Source: the encoding that TUF's specification names in section 4.2; a test holds it against python-tuf's.
    """
    return _olpc(value).encode("utf-8")


def _olpc(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_olpc(key)}:{_olpc(value[key])}" for key in sorted(value)) + "}"
    return "[" + ",".join(_olpc(item) for item in value) + "]"


def root_file(role: RootRole) -> TufFile:
    """Return the unsigned root that says `role`."""
    release = {"keyids": sorted(role.release.keys), "threshold": role.release.threshold}
    signed = {
        **_common("root", role.version, role.expires),
        "consistent_snapshot": False,
        "keys": {keyid: _key(key) for keyid, key in {**role.root.keys, **role.release.keys}.items()},
        "roles": {
            "root": {"keyids": sorted(role.root.keys), "threshold": role.root.threshold},
            "timestamp": release,
            "snapshot": release,
            "targets": release,
        },
    }
    return TufFile(signed, {})


def release_file(name: str, release: Release) -> TufFile:
    """Return the unsigned `name` (one of `RELEASE_FILES`) that says `release`."""
    if name == "timestamp.json":
        version = release.sequence * RENEWALS + release.renewal
        content: dict[str, Any] = {"meta": {"snapshot.json": {"version": release.sequence}}}
    elif name == "snapshot.json":
        version, content = release.sequence, {"meta": {"targets.json": {"version": release.sequence}}}
    else:
        version = release.sequence
        target = {"hashes": {"sha256": release.sha256}, "length": release.length}
        content = {"targets": {"bundle.json": target}}
    return TufFile({**_common(name.removesuffix(".json"), version, release.expires), **content}, {})


def read_root(raw: bytes, what: str = "root") -> tuple[TufFile, RootRole]:
    """Parse a root; raises `DocumentError` for any but the one form. Signatures are not checked here."""
    file = _read(raw, what, "root")
    try:
        keys = {keyid: _public(keyid, value, what) for keyid, value in file.signed["keys"].items()}
        root, release = (file.signed["roles"][name] for name in ("root", "targets"))
        role = RootRole(
            version=file.signed["version"],
            expires=file.signed["expires"],
            root=Signers.of((keys[keyid] for keyid in root["keyids"]), root["threshold"]),
            release=Signers.of((keys[keyid] for keyid in release["keyids"]), release["threshold"]),
        )
    except (KeyError, TypeError, AttributeError):
        raise DocumentError(f"{what}: not a root of this form", subject=what) from None
    if not _same(root_file(role), file):
        raise DocumentError(
            f"{what}: says more or other than a root of this form",
            subject=what,
            hint="see docs/key-ceremony.md",
        )
    return file, role


def read_release(files: Mapping[str, bytes]) -> tuple[dict[str, TufFile], Release]:
    """Parse timestamp, snapshot and targets, which must speak of one bundle; signatures are not checked here."""
    missing = [name for name in RELEASE_FILES if name not in files]
    if missing:
        raise DocumentError(f"{missing[0]}: missing", subject=missing[0])
    parsed = {name: _read(files[name], name, name.removesuffix(".json")) for name in RELEASE_FILES}
    try:
        target = parsed["targets.json"].signed["targets"]["bundle.json"]
        sequence = parsed["targets.json"].signed["version"]
        release = Release(
            sequence=sequence,
            renewal=parsed["timestamp.json"].signed["version"] - sequence * RENEWALS,
            expires=parsed["targets.json"].signed["expires"],
            sha256=target["hashes"]["sha256"],
            length=int(target["length"]),
        )
    except (KeyError, TypeError, ValueError):
        raise DocumentError("targets.json: does not name bundle.json", subject="targets.json") from None
    if not 0 <= release.renewal < RENEWALS:
        raise DocumentError(
            "timestamp.json: its version does not belong to that of targets.json (mixed metadata)",
            subject="timestamp.json",
        )
    for name, file in parsed.items():
        said = replace(release, expires=file.signed["expires"])  # each may expire when it will
        if not _same(release_file(name, said), file):
            raise DocumentError(f"{name}: says more or other than its form allows", subject=name)
    return parsed, release


def _read(raw: bytes, what: str, role: str) -> TufFile:
    if len(raw) > LIMITS.tuf_metadata:
        raise DocumentError(
            f"{what}: {len(raw)} bytes, more than the {LIMITS.tuf_metadata} allowed", subject=what
        )
    document = loads(raw, what, limit=LIMITS.tuf_metadata)
    try:
        said = document["signed"]
        kind, version, expires = said["_type"], said["version"], said["expires"]
        listed = [(item["keyid"], item["sig"]) for item in document["signatures"]]
    except (KeyError, TypeError):
        raise DocumentError(f"{what}: no TUF metadata", subject=what) from None
    if kind != role:
        raise DocumentError(f"{what}: is {str(kind)[:20]} metadata, not {role}", subject=what)
    if type(version) is not int or version < 1 or not _is_time(expires):
        raise DocumentError(f"{what}: its version or expiry is not in the form of one", subject=what)
    for keyid, signature in listed:
        if not isinstance(keyid, str) or not isinstance(signature, str) or not _HEX.match(signature):
            raise DocumentError(f"{what}: a signature is not in hexadecimal", subject=what)
    file = TufFile(said, dict(listed))
    if file.to_bytes() != raw:
        raise DocumentError(f"{what}: not in the one form that metadata has here", subject=what)
    return file


def _is_time(text: object) -> bool:
    try:
        return isinstance(text, str) and datetime.strptime(text, _TIME).strftime(_TIME) == text  # noqa: DTZ007
    except ValueError:
        return False


def _same(one: TufFile, other: TufFile) -> bool:
    """Tell whether both say the same to the byte: in Python `0 == False`."""
    return dumps(dict(one.signed)) == dumps(dict(other.signed))


def _common(role: str, version: int, expires: str) -> dict[str, Any]:
    return {"_type": role, "spec_version": _SPECIFICATION, "version": version, "expires": expires}


def _key(key: PublicKey) -> dict[str, Any]:
    return {
        "keytype": "ecdsa",
        "scheme": "ecdsa-sha2-nistp256",
        "keyval": {"public": key.pem.decode("ascii")},
    }


def _public(keyid: str, value: dict[str, Any], what: str) -> PublicKey:
    """Return the key, which must stand under its own digest: else one key could count twice for a threshold."""
    try:
        key = PublicKey.from_pem(value["keyval"]["public"].encode(), what)
    except KeyFileError as error:
        raise DocumentError(str(error), subject=what) from None
    if key.keyid != keyid:
        raise DocumentError(f"{what}: key {keyid[:16]}… does not stand under its own digest", subject=what)
    return key
