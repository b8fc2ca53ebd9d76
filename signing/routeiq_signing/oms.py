"""OpenSSF model signatures (OMS): one signed statement of every file of a model and its digest.

A sigstore bundle with a DSSE envelope around an in-toto statement; predicate
`https://model_signing/signature/v1.0`, method `files`. Interchangeable with the `model-signing` library in both
directions. Stricter than it: nothing is ignored but the signature file, no links, no files beside those named.
One field of our own, `unsafe_artifacts`, which other readers pass over, marks digests of unsafe formats with a reason.

Pure: digests in, bytes out; `model_files` reads the folder.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.formats.consent import check_marks
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.model_files import SIGNATURE_NAME
from routeiq_signing.sigstore_bundle import (
    Envelope,
    envelope_bundle,
    pre_authentication_encoding,
    read_envelope,
)
from routeiq_signing.strict_json import dumps, loads

__all__ = ["PREDICATE_TYPE", "SignedModel", "sign_model", "verify_model"]

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_MARKS = "unsafe_artifacts"
# What other signers ignore by default; here such a file is refused, so that they say so does no harm.
_HARMLESS_IGNORES = {SIGNATURE_NAME, ".git", ".gitattributes", ".github", ".gitignore"}


@dataclass(frozen=True)
class SignedModel:
    """What a model's signature says beside its files: the name, and digests (`sha256:…`) marked unsafe → reason.

    `keyid` is of the key that signed.
    """

    name: str
    unsafe: Mapping[str, str]
    keyid: str


def sign_model(
    name: str, digests: Mapping[str, str], key: Signer, unsafe: Mapping[str, str] | None = None
) -> bytes:
    """Return the signature bundle of a model `name` with the files `digests` (path → hex SHA-256).

    `unsafe` marks digests (`sha256:…` → reason); see `formats.consent`.
    """
    paths = sorted(digests)
    marks = {_MARKS: dict(check_marks(unsafe))} if unsafe else {}
    payload = dumps(
        {
            "_type": _STATEMENT_TYPE,
            "subject": [{"name": name, "digest": {"sha256": _root([digests[path] for path in paths])}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "serialization": {
                    "method": "files",
                    "hash_type": "sha256",
                    "allow_symlinks": False,
                    "ignore_paths": [SIGNATURE_NAME],
                },
                "resources": [
                    {"name": path, "algorithm": "sha256", "digest": digests[path]} for path in paths
                ],
                **marks,
            },
        }
    )
    signature = key.sign(pre_authentication_encoding(_PAYLOAD_TYPE, payload))
    hint = hashlib.sha256(key.public.pem).hexdigest()  # OMS hashes the PEM, not the DER
    return envelope_bundle(hint, Envelope(_PAYLOAD_TYPE, payload, signature))


def verify_model(
    raw: bytes, digests: Mapping[str, str], keys: Collection[PublicKey], what: str
) -> SignedModel:
    """Return what the signature says when `raw` is the signature of one of `keys` over exactly the files `digests`.

    Raises `VerificationError` naming the first file that is changed, extra or missing.
    """
    try:
        envelope = read_envelope(raw, what)
    except DocumentError as error:
        raise VerificationError(str(error), subject=what) from None
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    signer = next((key for key in keys if key.verifies(envelope.signature, message)), None)
    if envelope.payload_type != _PAYLOAD_TYPE or signer is None:
        named = ", ".join(f"{key.keyid[:16]}…" for key in keys)
        raise VerificationError(
            f"{what}: not signed by "
            + (f"the pinned key {named}" if len(keys) == 1 else f"any of the keys {named}"),
            subject=what,
            hint="the signature is another key's, or was changed; or its key was revoked",
        )
    model, signed = _read_statement(envelope.payload, what, signer.keyid)
    for path in sorted(set(signed) | set(digests)):
        if path not in digests:
            raise VerificationError(f"{path}: signed, but missing", subject=path)
        if path not in signed:
            raise VerificationError(f"{path}: not in the signed list", subject=path)
        if signed[path] != digests[path]:
            raise VerificationError(
                f"{path}: its digest is {digests[path]}, signed is {signed[path]}", subject=path
            )
    return model


def _read_statement(payload: bytes, what: str, keyid: str) -> tuple[SignedModel, dict[str, str]]:
    """Return what is said of the model and its signed files; the payload's signature was checked before."""
    try:
        statement: dict[str, Any] = loads(payload, what, limit=LIMITS.manifest, canonical=False)
        predicate = statement["predicate"]
        ((name, digest),) = [(item["name"], item["digest"]["sha256"]) for item in statement["subject"]]
        method = predicate["serialization"]
        marks = predicate.get(_MARKS, {})
        resources = [(item["name"], item["algorithm"], item["digest"]) for item in predicate["resources"]]
        right = (
            statement["_type"] == _STATEMENT_TYPE
            and statement["predicateType"] == PREDICATE_TYPE
            and method["method"] == "files"
            and method["hash_type"] == "sha256"
            and set(method.get("ignore_paths", [])) <= _HARMLESS_IGNORES
            and all(algorithm == "sha256" for _, algorithm, _ in resources)
            and all(isinstance(reason, str) for reason in check_marks(marks).values())
            and len({path for path, _, _ in resources}) == len(resources)
            and _root([value for _, _, value in resources]) == digest
        )
    except (AttributeError, DocumentError, KeyError, TypeError, ValueError):
        right = False
    if not right:
        raise VerificationError(
            f"{what}: signed, but no model statement that this version reads", subject=what
        )
    return SignedModel(name, marks, keyid), {path: value for path, _, value in resources}


def _root(digests: list[str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(value) for value in digests)).hexdigest()
