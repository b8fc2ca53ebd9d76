"""Writes a bundle's tar: signs what is said, then puts every file where the verifier expects it.

The order and the names are `verify.order`'s; this module adds bytes only.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from routeiq_signing.errors import SigningError
from routeiq_signing.files import named_file
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.manifest import Attachments, BundleManifest
from routeiq_signing.progress import Progress
from routeiq_signing.sigstore_bundle import message_bundle
from routeiq_signing.tar_format import end_padding, header, padding, tar_size
from routeiq_signing.verify.order import member_order, signature_name, sums_signature_name, sums_text

__all__ = ["SignedHead", "sign_head", "signed_documents", "write_bundle_tar", "write_tar"]

_BLOCK = 4 << 20

Content = bytes | Path


@dataclass(frozen=True)
class SignedHead:
    """The members at the head of a bundle, by name, and the digest that names the bundle."""

    members: Mapping[str, bytes]
    digest: str


def sign_head(manifest: BundleManifest, attachments: Attachments, key: Signer, *others: Signer) -> SignedHead:
    """Return `bundle.json`, `attachments.json`, `SHA256SUMS` and their signatures by `key` and by `others`.

    `attachments.bundle` must be the digest of `manifest`; raises `SigningError` when it is not.
    """
    identity, said = manifest.to_bytes(), attachments.to_bytes()
    digest = f"sha256:{hashlib.sha256(identity).hexdigest()}"
    if attachments.bundle != digest:
        raise SigningError(f"attachments.json speaks of {attachments.bundle}, bundle.json is {digest}")
    sums = sums_text(identity, manifest, said, attachments)
    members = {
        "bundle.json": identity,
        "attachments.json": said,
        "SHA256SUMS": sums,
        "SHA256SUMS.sig": key.sign(sums),
        **signed_documents(identity, said, key),
    }
    for other in others:
        members |= signed_documents(identity, said, other)
        members[sums_signature_name(other.public.keyid)] = other.sign(sums)
    return SignedHead(members, digest)


def signed_documents(identity: bytes, said: bytes, key: Signer) -> dict[str, bytes]:
    """Return the members that hold the signatures of `bundle.json` and `attachments.json` by `key`."""
    keyid = key.public.keyid
    return {
        signature_name("bundle.json", keyid): message_bundle(keyid, identity, key.sign(identity)),
        signature_name("attachments.json", keyid): message_bundle(keyid, said, key.sign(said)),
    }


def write_bundle_tar(path: Path, head: SignedHead, files: Mapping[str, Content], progress: Progress) -> None:
    """Write the tar of `head` and `files` (name → bytes or a file) to `path`, whole or not at all."""
    members: dict[str, Content] = {**head.members, **files}
    write_tar(path, {name: members[name] for name in member_order(members)}, progress)


def write_tar(path: Path, members: Mapping[str, Content], progress: Progress) -> None:
    """Write `members` in their order as the one tar they have; beside first, synced, then moved to `path`."""
    sizes = [len(item) if isinstance(item, bytes) else item.stat().st_size for item in members.values()]
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = named_file(path).with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as out, progress.task(f"write {path.name}", tar_size(sizes)) as advance:
            for (name, item), size in zip(members.items(), sizes, strict=True):
                out.write(header(name, size))
                _copy(item, out, name, size)
                out.write(bytes(padding(size)))
                advance(512 + size + padding(size))
            end = end_padding(out.tell())
            out.write(bytes(end))
            advance(end)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _copy(item: Content, out: BinaryIO, name: str, size: int) -> None:
    if isinstance(item, bytes):
        out.write(item)
        return
    copied = 0
    with item.open("rb") as source:
        while block := source.read(_BLOCK):
            out.write(block)
            copied += len(block)
    if copied != size:
        raise SigningError(f"{name}: {item} changed while it was written", subject=name)
