"""What a bundle's provenance must be: SLSA v1 (in-toto Statement v1), signed, and about this very bundle.

A provenance is said *about* a bundle and is no part of its identity: two builders of one bundle differ in it. It is
optional, and a wrong one is refused, not passed over:
1. at most one is attached, and to this bundle's digest;
2. its envelope (DSSE) is signed by a key that may sign this bundle; one by another signer of the bundle is passed over,
   and told: whoever trusts that signer judges it;
3. it is an in-toto statement v1 with SLSA's predicate v1;
4. its subjects are bundle.json and each image, by the digests that they have here, and nothing else.
What it says of the builder is the signer's word; nothing here can know more. Sources: slsa.dev/spec/v1.0/provenance,
in-toto attestation framework v1, DSSE v1.

Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from routeiq_signing._recover import recover_public_key
from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest, blob_path
from routeiq_signing.sigstore_bundle import (
    MEDIA_TYPE,
    Envelope,
    pre_authentication_encoding,
    read_envelope,
)
from routeiq_signing.strict_json import dumps, loads
from routeiq_signing.verify.trust import PinnedKey

__all__ = [
    "KIND",
    "PAYLOAD_TYPE",
    "PREDICATE_TYPE",
    "STATEMENT_TYPE",
    "Provenance",
    "check_provenance",
    "provenance_path",
    "read_provenance",
    "statement_bytes",
    "subjects_of",
]

KIND = "provenance"
"""The kind of the attachment."""
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STEP = 7


@dataclass(frozen=True)
class Provenance:
    """What the report says: who built (`builder`), how (`build_type`), when, of how many named things, signed by whom.

    `payload` is the statement as it was signed.
    """

    builder: str
    build_type: str
    started: str
    finished: str
    dependencies: int
    keyid: str
    payload: bytes

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data, without the payload."""
        return {
            "builder": self.builder,
            "buildType": self.build_type,
            "startedOn": self.started,
            "finishedOn": self.finished,
            "dependencies": self.dependencies,
            "keyid": self.keyid,
        }


def subjects_of(manifest: BundleManifest, digest: str) -> list[dict[str, Any]]:
    """Return what a provenance of this bundle speaks of: bundle.json (`digest` is its OCI digest) and every image."""
    named = [("bundle.json", digest), *((image.name, image.digest) for image in manifest.images)]
    return [{"name": name, "digest": {"sha256": value.partition(":")[2]}} for name, value in named]


def statement_bytes(manifest: BundleManifest, digest: str, predicate: Mapping[str, Any]) -> bytes:
    """Return the statement to sign: canonical, with this bundle's subjects around an SLSA predicate."""
    return dumps(
        {
            "_type": STATEMENT_TYPE,
            "subject": subjects_of(manifest, digest),
            "predicateType": PREDICATE_TYPE,
            "predicate": dict(predicate),
        }
    )


def provenance_path(attachments: Attachments) -> str | None:
    """Return the path of the attached provenance, None without one; raises `VerificationError` for what is no such."""
    found = [item for item in attachments.attachments if item.kind == KIND]
    if not found:
        return None
    if len(found) > 1:
        _refuse("attachments.json", "has more than one provenance")
    if found[0].subject != attachments.bundle or found[0].media_type != MEDIA_TYPE:
        _refuse("attachments.json", "its provenance is not attached to this bundle as a sigstore bundle")
    return blob_path(found[0].digest)


def check_provenance(
    raw: bytes,
    path: str,
    keys: Mapping[str, PinnedKey],
    manifest: BundleManifest,
    digest: str,
    *,
    others: Iterable[str] = (),
) -> Provenance | None:
    """Return what the provenance `raw` says; `keys` are those that may sign this bundle.

    `others` are the keyids of signers who proved themselves and are not trusted here: None for one by them. Raises
    `VerificationError` when it is signed by neither, is of another form or speaks of another bundle.
    """
    try:
        envelope: Envelope = read_envelope(raw, f"{path}: provenance")
    except DocumentError as error:
        raise VerificationError(str(error), step=_STEP, subject=path) from None
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    if envelope.payload_type != PAYLOAD_TYPE:
        _refuse(path, "the provenance's payload is no in-toto statement")
    signer = next((key for key in keys.values() if key.verifies(envelope.signature, message)), None)
    if signer is None:
        if any(recover_public_key(envelope.signature, message, keyid) for keyid in others):
            return None
        _refuse(path, "the provenance is not signed by a key that may sign this bundle")
    statement = _statement(envelope.payload, path)
    _check_subjects(path, statement.get("subject"), subjects_of(manifest, digest))
    return _read(path, statement.get("predicate"), signer.keyid, envelope.payload)


def read_provenance(raw: bytes, path: str) -> Provenance:
    """Return what the *unverified* provenance `raw` says, for a person to look at; its `keyid` is empty."""
    try:
        payload = read_envelope(raw, f"{path}: provenance").payload
    except DocumentError as error:
        raise VerificationError(str(error), step=_STEP, subject=path) from None
    return _read(path, _statement(payload, path).get("predicate"), "", payload)


def _statement(payload: bytes, path: str) -> dict[str, Any]:
    try:
        statement = loads(payload, f"{path}: provenance", limit=LIMITS.manifest, canonical=False)
    except DocumentError as error:
        raise VerificationError(str(error), step=_STEP, subject=path) from None
    if statement.get("_type") != STATEMENT_TYPE or statement.get("predicateType") != PREDICATE_TYPE:
        _refuse(path, "the provenance is no in-toto statement v1 with SLSA's predicate v1")
    return statement


def _check_subjects(path: str, found: Any, wanted: list[dict[str, Any]]) -> None:
    ours = {item["name"]: item["digest"] for item in wanted}
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        _refuse(path, "the provenance names no subjects")
    said = {str(item.get("name")): item.get("digest") for item in found}
    if said != ours or len(found) != len(ours):
        _refuse(path, "the provenance speaks of another bundle")


def _read(path: str, predicate: Any, keyid: str, payload: bytes) -> Provenance:
    try:
        definition, run = predicate["buildDefinition"], predicate["runDetails"]
        metadata = run.get("metadata", {})
        texts = (
            run["builder"]["id"],
            definition["buildType"],
            metadata.get("startedOn", ""),
            metadata.get("finishedOn", ""),
        )
        count = len(definition["resolvedDependencies"])
        right = isinstance(definition["externalParameters"], dict)
    except (AttributeError, KeyError, TypeError):
        _refuse(path, "the provenance lacks what SLSA's predicate v1 requires")
    for text in texts:
        if not isinstance(text, str) or len(text) > 500 or not (text.isprintable() or text == ""):
            _refuse(path, "the provenance holds a text that is too long or not printable")
    if not right:
        _refuse(path, "the provenance lacks what SLSA's predicate v1 requires")
    return Provenance(texts[0], texts[1], texts[2], texts[3], count, keyid, payload)


def _refuse(path: str, fault: str) -> NoReturn:
    raise VerificationError(f"{path}: {fault}", step=_STEP, subject=path)
