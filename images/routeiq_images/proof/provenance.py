"""Says what a bundle was built from, by whom, with what parameters: SLSA provenance v1, signed by the release key.

`predicate` is pure: materials and the moment in, SLSA's predicate out. What varies between two builders (times, the
builder, the invocation) is only here and never in bundle.json. `BUILD_TYPE` names our way of building;
docs/provenance.md describes its parameters and each dependency's URI. Sources: slsa.dev/spec/v1.0/provenance,
in-toto attestation v1.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import rfc8785

from routeiq_images.materials import Materials, source_files
from routeiq_images.release import Release
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.manifest import (
    Attachment,
    Attachments,
    BundleManifest,
    FileEntry,
    InputsEntry,
    blob_path,
)
from routeiq_signing.sigstore_bundle import (
    MEDIA_TYPE,
    Envelope,
    envelope_bundle,
    pre_authentication_encoding,
    read_envelope,
)
from routeiq_signing.verify.provenance import KIND, PAYLOAD_TYPE, statement_bytes

__all__ = [
    "BUILDER",
    "BUILD_TYPE",
    "Invocation",
    "dependencies",
    "predicate",
    "renew_provenance",
    "sign_provenance",
    "with_provenance",
]

BUILD_TYPE = "https://routeiq.local/buildtypes/bundle/v1"
BUILDER = "https://routeiq.local/builders/make-bundle"


@dataclass(frozen=True, slots=True)
class Invocation:
    """What only this run knows: who built, when, with which options; `commit` is empty outside of a git checkout."""

    builder: str
    identifier: str
    started: datetime
    strict: bool
    offline: bool
    commit: str
    tools: Mapping[str, str]

    def parameters(self) -> dict[str, Any]:
        """Return the options as SLSA's external parameters name them."""
        return {"strict": self.strict, "offline": self.offline}


def dependencies(materials: Materials, inputs: InputsEntry, commit: str) -> list[dict[str, Any]]:
    """Return every lock and every input with its digest, as SLSA's resource descriptors.

    Source is one entry: its digest is of the list of all its files with theirs (`inputs.json`'s `source`, RFC 8785).
    """
    fetched = materials.fetched
    debs = {deb.name: deb for image in fetched.images.values() for deb in image.debs}
    wheels = {wheel.filename: wheel for group in fetched.wheels.values() for wheel in group}
    wheels |= {model.wheel.filename: model.wheel for model in fetched.models.values()}
    found = [_entry(f"file:{lock.path}", lock.sha256, "lock") for lock in fetched.locks]
    found += [
        _entry(f"pkg:deb/debian/{quote(name)}@{quote(deb.version, safe='.-~')}?arch=amd64", deb.sha256, "deb")
        for name, deb in sorted(debs.items())
    ]
    tools = {wheel.filename for name in ("build", "node") for wheel in fetched.wheels.get(name, ())}
    shipped = {wheel.filename for wheel in fetched.wheels.get("gateway", ())}
    for name, wheel in sorted(wheels.items()):
        purl = f"pkg:pypi/{wheel.name}@{quote(wheel.version, safe='.-')}?file_name={quote(name, safe='.-')}"
        found.append(_entry(purl, wheel.sha256, "tool" if name in tools - shipped else "wheel"))
    found += [
        _entry(f"pkg:npm/{quote(item.name, safe='/')}@{item.version}", item.sha256, "npm")
        for item in sorted(fetched.npm, key=lambda item: item.filename)
    ]
    found += [
        _entry(f"file:attestations/{item.filename}", item.sha256, "attestation")
        for item in fetched.attestations.kept
    ]
    for folder in materials.models:
        found += [
            _entry(f"file:models/{folder.name}/{path}", _digest(file), "model")
            for path, file in sorted(folder.files.items())
        ]
    source = _entry("file:source", _listing(materials.source), "source")
    if commit:
        source["digest"]["gitCommit"] = commit
    found += [source, _entry(f"file:{inputs.path}", inputs.sha256, "inputs")]
    return found


def predicate(
    release: Release, manifest: BundleManifest, resolved: Iterable[Mapping[str, Any]], run: Invocation, now: datetime
) -> dict[str, Any]:  # fmt: skip
    """Return SLSA's predicate: `buildDefinition` two builders agree on but for options, `runDetails` is this run's."""
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "release": release.model_dump(),
                "platform": manifest.platform,
                "created": manifest.created,
                **run.parameters(),
            },
            "internalParameters": {},
            "resolvedDependencies": [dict(item) for item in resolved],
        },
        "runDetails": {
            "builder": {"id": run.builder, "version": dict(run.tools)},
            "metadata": {
                "invocationId": run.identifier,
                "startedOn": _time(run.started),
                "finishedOn": _time(now),
            },
        },
    }


def sign_provenance(manifest: BundleManifest, digest: str, said: Mapping[str, Any], key: Signer) -> bytes:
    """Return the signed statement: a DSSE envelope in a sigstore bundle v0.3, by `key`."""
    return _signed(statement_bytes(manifest, digest, said), key)


def renew_provenance(envelope: bytes, key: Signer) -> bytes:
    """Return the statement of a verified `envelope`, signed by `key` instead."""
    return _signed(read_envelope(envelope, "provenance").payload, key)


def _signed(payload: bytes, key: Signer) -> bytes:
    signature = key.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    return envelope_bundle(key.public.keyid, Envelope(PAYLOAD_TYPE, payload, signature))


def _entry(uri: str, sha256: str, kind: str) -> dict[str, Any]:
    return {"uri": uri, "digest": {"sha256": sha256}, "annotations": {"kind": kind}}


def _listing(root: Path) -> str:
    listed: dict[str, Any] = {
        name: {"sha256": _digest(file), "executable": executable}
        for name, (file, executable) in source_files(root).items()
    }
    return hashlib.sha256(rfc8785.dumps(listed)).hexdigest()


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def with_provenance(said: Attachments, envelope: bytes) -> tuple[Attachments, dict[str, bytes]]:
    """Return `said` with the provenance attached to its bundle, and the new blob by path.

    It takes the place of any that was there.
    """
    old = {item for item in said.attachments if item.kind == KIND}
    others = tuple(item for item in said.attachments if item not in old)
    dropped = {blob_path(item.digest) for item in old} - {blob_path(item.digest) for item in others}
    sha256 = hashlib.sha256(envelope).hexdigest()
    digest = f"sha256:{sha256}"
    path = blob_path(digest)
    attachment = Attachment(KIND, "slsa-v1", said.bundle, MEDIA_TYPE, digest, len(envelope))
    files = {entry.path: entry for entry in said.files if entry.path not in dropped}
    files[path] = FileEntry(path, sha256, len(envelope))
    listed = tuple(files[name] for name in sorted(files))
    return replace(said, attachments=(*others, attachment), files=listed), {path: envelope}
