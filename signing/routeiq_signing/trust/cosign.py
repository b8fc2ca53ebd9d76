"""A site's own signatures over a bundle, kept beside the tar: `TAR.<keyid>.cosign.json`.

A second, required signer that the producer does not hold: who reviewed the bundle at the site. Each file is a sigstore
bundle over the raw bytes of `bundle.json`, in the one form that bundle signatures have. How many of which keys are
required is the site's policy. Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.files import named_file, read_capped, write_atomic
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.sigstore_bundle import message_bundle, read_message_bundle

__all__ = ["check_site_signatures", "read_site_signatures", "site_signature_path", "write_site_signature"]


def site_signature_path(tar: Path, keyid: str) -> Path:
    """Return where the signature by `keyid` lies."""
    return named_file(tar).with_name(f"{tar.name}.{keyid}.cosign.json")


def write_site_signature(tar: Path, identity: bytes, key: Signer) -> Path:
    """Sign the raw bundle.json for the site; return the file written. The caller has verified the tar."""
    path = site_signature_path(tar, key.public.keyid)
    write_atomic(path, message_bundle(key.public.keyid, identity, key.sign(identity)))
    return path


def read_site_signatures(tar: Path, keys: Mapping[str, PublicKey]) -> dict[str, bytes]:
    """Return the files beside `tar` that `keys` may have written, by keyid; others are nobody's and are not read."""
    paths = {keyid: site_signature_path(tar, keyid) for keyid in keys}
    return {keyid: read_capped(path, LIMITS.signature) for keyid, path in paths.items() if path.exists()}


def check_site_signatures(
    identity: bytes, keys: Mapping[str, PublicKey], required: int, found: Mapping[str, bytes]
) -> list[str]:
    """Return the keyids that signed; raises `VerificationError` when fewer than `required` did, or one is wrong."""
    for keyid, raw in found.items():
        name = f"{keyid[:16]}….cosign.json"
        try:
            signature = read_message_bundle(raw, name, keyid=keyid, message=identity)
        except DocumentError as error:
            raise VerificationError(str(error), step=2, subject=name) from None
        if not keys[keyid].verifies(signature, identity):
            raise VerificationError(f"{name}: the signature is not of this bundle", step=2, subject=name)
    if len(found) < required:
        raise VerificationError(
            f"bundle.json: co-signed by {len(found)} of the {required} site keys that the policy requires",
            step=2,
            subject="bundle.json",
            hint="`routeiq bundle cosign TAR --key SITEKEY`, and carry TAR.<keyid>.cosign.json with the tar",
        )
    return sorted(found)
