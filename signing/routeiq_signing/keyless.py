"""Bundles vouched for by an identity instead of a key: certificates of Fulcio, entries of a log; public or private.

Beside the tar lie two sigstore bundles, over the raw bytes of `bundle.json` and of `attachments.json`, as
`sigstore sign` writes them. They are checked with the `sigstore` library against a trusted root that is itself pinned
by its digest: certificate chain, SCT, inclusion proof, checkpoint, time, identity and issuer. No TUF refresh and
no connection.

The tar is judged as ever. Its own signatures are by some key that nobody pinned; it must prove itself, and it carries
nothing: what counts is that both documents are, to the byte, those that the identity signed. The adapter to `sigstore`;
its errors end here. It is not in the gateway's image, and the message says so.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing._recover import recover_public_key
from routeiq_signing.errors import DocumentError, SigningError, VerificationError
from routeiq_signing.files import named_file, read_capped
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.sigstore_bundle import read_message_bundle
from routeiq_signing.verify.order import signature_name, signer_of
from routeiq_signing.verify.stream import TarStream
from routeiq_signing.verify.trust import OneKey, PinnedKey, Told, Trust

__all__ = ["Identity", "keyless_path", "keyless_trust", "verify_keyless_blob"]

_DOCUMENTS = ("bundle.json", "attachments.json")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who must have signed, as `issuer` knows them, and the bytes of the trusted root, whose digest was compared."""

    name: str
    issuer: str
    trusted_root: bytes

    def __post_init__(self) -> None:
        """Refuse an empty name or issuer: the library takes an empty issuer for "whoever vouches"."""
        for value, what in ((self.name, "identity"), (self.issuer, "issuer")):
            if not value.strip():
                raise SigningError(
                    f"the {what} is empty, so anybody's would do",
                    hint="give --identity WHO and --issuer URL; a variable of the shell may be unset",
                )

    @classmethod
    def pinned(cls, name: str, issuer: str, trusted_root: Path, sha256: str) -> Identity:
        """Read the trusted root; raises `VerificationError` unless its hex SHA-256 is the one that was pinned."""
        raw = read_capped(trusted_root, LIMITS.manifest)
        found = hashlib.sha256(raw).hexdigest()
        if not hmac.compare_digest(found, sha256.strip().lower().removeprefix("sha256:")):
            raise VerificationError(
                f"{trusted_root}: its digest is {found}, not the one that was pinned",
                step=2,
                subject=str(trusted_root),
                hint="get the digest by another way than the medium, or the file from who published the digest",
            )
        return cls(name, issuer, raw)


def keyless_path(tar: Path, document: str) -> Path:
    """Return where the sigstore bundle over `document` lies."""
    return named_file(tar).with_name(f"{tar.name}.{document}.sigstore.json")


def keyless_trust(tar: Path, identity: Identity) -> Trust:
    """Return the trust to verify `tar` with, after checking that `identity` signed both documents at its head.

    Raises `VerificationError` naming the file at fault; nothing of the tar was parsed by then.
    """
    signed, carrier = _head(tar)
    for document in _DOCUMENTS:
        path = keyless_path(tar, document)
        if not path.is_file():
            raise VerificationError(
                f"{path}: missing, so nothing says that {identity.name} signed",
                step=2,
                subject=str(path),
                hint=f"who releases runs: tar -xf {tar.name} {document} && sigstore sign {document}",
            )
        verify_keyless_blob(read_capped(path, LIMITS.manifest), signed[document], identity, str(path))
    return _ByIdentity(carrier, identity, signed)


def verify_keyless_blob(raw: bytes, message: bytes, identity: Identity, what: str) -> None:
    """Raise `VerificationError` unless the sigstore bundle `raw` is `identity`'s over `message`; `what` names it."""
    try:
        from pydantic import ValidationError  # noqa: PLC0415  not in the gateway's image
        from sigstore.errors import Error  # noqa: PLC0415
        from sigstore.models import Bundle, TrustedRoot  # noqa: PLC0415
        from sigstore.verify import Verifier, policy  # noqa: PLC0415
        from sigstore_models.trustroot import v1  # noqa: PLC0415
    except ImportError:
        raise SigningError(
            f"{what}: signed by an identity, which wants the library sigstore; it is not installed here",
            subject=what,
            hint="verify where `routeiq` was installed from the wheelhouse; the gateway's image judges keys and roots",
        ) from None
    try:
        # Never Verifier.production(): it asks the network, or believes what lies in a cache.
        root = TrustedRoot(v1.TrustedRoot.from_json(identity.trusted_root))
        verifier = Verifier(trusted_root=root)
    except (Error, ValidationError, ValueError) as error:
        raise VerificationError(f"the trusted root cannot be used: {_first(error)}", step=2) from None
    try:
        bundle = Bundle.from_json(raw)
        verifier.verify_artifact(
            message, bundle, policy.Identity(identity=identity.name, issuer=identity.issuer)
        )
    except (Error, ValidationError, ValueError) as error:
        raise VerificationError(
            f"{what}: not a signature by {identity.name} (issuer {identity.issuer}): {_first(error)}",
            step=2,
            subject=what,
            hint="certificate, log entry or document is another one, or the trusted root does not know them",
        ) from None


class _ByIdentity(OneKey):
    """The key only carries: what it signed must be, to the byte, what the identity signed."""

    def __init__(self, key: PinnedKey, identity: Identity, signed: Mapping[str, bytes]) -> None:
        super().__init__(key)
        self._identity = identity
        self._signed = signed

    def begin(self, manifest: BundleManifest, identity: bytes) -> None:  # noqa: ARG002
        """See `Trust.begin`."""
        self._same("bundle.json", identity)

    def wanted(self, attachments: Attachments) -> Mapping[str, str]:
        """See `Trust.wanted`."""
        self._same("attachments.json", attachments.to_bytes())
        return {}

    def finish(self, manifest: BundleManifest, identity: bytes, documents: Mapping[str, bytes]) -> Told:
        """See `Trust.finish`."""
        told = super().finish(manifest, identity, documents)
        root = hashlib.sha256(self._identity.trusted_root).hexdigest()
        notes = (f"signed by {self._identity.name}, issuer {self._identity.issuer}", f"trusted root {root}")
        lacks = ("no rollback protection", "no threshold")
        return Told(basis="one identity", lacks=lacks, notes=notes, warnings=told.warnings)

    def _same(self, document: str, raw: bytes) -> None:
        if raw != self._signed[document]:
            raise VerificationError(f"{document}: changed while it was verified", step=2, subject=document)


def _head(tar: Path) -> tuple[dict[str, bytes], PinnedKey]:
    """Return the raw documents at the head of the tar, unverified, and the key whose signature comes first."""
    if not tar.is_file():
        raise SigningError(f"{tar}: no such file", subject=str(tar))
    raw: dict[str, bytes] = {}
    with tar.open("rb", buffering=0) as file:
        stream = TarStream(file, None)
        raw["bundle.json"] = stream.head_member("bundle.json", LIMITS.manifest)
        carrier = _carrier(stream, raw["bundle.json"])
        while signer_of(stream.peek_name(), "bundle.json") is not None:
            stream.head_member(stream.peek_name(), LIMITS.signature)
        raw["attachments.json"] = stream.head_member("attachments.json", LIMITS.manifest)
    return raw, carrier


def _carrier(stream: TarStream, identity: bytes) -> PinnedKey:
    """Return the key of the next signature over bundle.json, which names its key and proves it."""
    keyid = signer_of(stream.peek_name(), "bundle.json")
    if keyid is None:
        raise VerificationError("bundle.json: not signed", step=2, subject="bundle.json")
    name = signature_name("bundle.json", keyid)
    raw = stream.head_member(name, LIMITS.signature)
    try:
        signature = read_message_bundle(raw, name, keyid=keyid, message=identity)
    except DocumentError as error:
        raise VerificationError(str(error), step=2, subject=name) from None
    der = recover_public_key(signature, identity, keyid)
    if der is None:
        raise VerificationError(f"{name}: is no signature by this key", step=2, subject=name)
    return PinnedKey(keyid, PublicKey.from_der(der, name).verifies)


def _first(error: Exception) -> str:
    """Return the first line of a foreign message, shortened and printable."""
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return "".join(character for character in line if character.isprintable())[:300]
