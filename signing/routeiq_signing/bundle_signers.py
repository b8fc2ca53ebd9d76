"""A further signature for a bundle that is signed already: nothing else in the tar changes, nor does its digest.

The second signer needs no key of the first. What signs for images and models stays as it is: only who holds the first
key can renew that (`resign` of the build system).
"""

from __future__ import annotations

import hashlib
import tempfile
from datetime import datetime
from pathlib import Path

from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.bundle_tar import SignedHead, signed_documents, write_bundle_tar
from routeiq_signing.errors import SigningError
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.progress import Progress
from routeiq_signing.verify.order import body_entries, signature_name, signer_of, sums_signature_name
from routeiq_signing.verify.trust import Trust

__all__ = ["add_signature"]


def add_signature(
    tar: Path, key: Signer, *, trust: PublicKey | Trust, now: datetime, progress: Progress
) -> str:
    """Verify `tar` by `trust`, then rewrite it with a signature by `key` besides those it has; return its digest.

    Raises `VerificationError` for a tar that would be refused, `SigningError` when `key` has signed it already.
    Needs room for two more copies beside the tar.
    """
    keyid = key.public.keyid
    with tempfile.TemporaryDirectory(dir=tar.parent, prefix=f".{tar.name}.sign-") as folder:
        copy = Path(folder)
        verified = verify_bundle_file(tar, key=trust, progress=progress, now=now, copy_to=copy)
        if (copy / signature_name("bundle.json", keyid)).exists():
            raise SigningError(f"{tar}: key {keyid[:16]}… has signed it already", subject=str(tar))
        identity, said = verified.identity, (copy / "attachments.json").read_bytes()
        sums = (copy / "SHA256SUMS").read_bytes()
        head = {
            **{
                path.name: path.read_bytes()
                for path in copy.iterdir()
                if path.is_file() and _in_head(path.name)
            },
            **signed_documents(identity, said, key),
            sums_signature_name(keyid): key.sign(sums),
        }
        files = {
            entry.path: copy / entry.path for entry in body_entries(verified.manifest, verified.attachments)
        }
        digest = f"sha256:{hashlib.sha256(identity).hexdigest()}"
        write_bundle_tar(tar, SignedHead(head, digest), files, progress)
    return digest


def _in_head(name: str) -> bool:
    documents = ("bundle.json", "attachments.json", "SHA256SUMS")
    return name in {*documents, "SHA256SUMS.sig"} or any(signer_of(name, item) for item in documents)
