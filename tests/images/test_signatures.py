"""Image signatures in both of cosign's forms: what they say, and that a missing or wrong one is refused (A9, A7)."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.images.signed import with_signatures
from tests.signing.conftest import SmallBundle, digest, sha256, small_bundle

from routeiq_images.errors import ImagesError
from routeiq_images.signatures import check_signatures, sign_images, signature_tag
from routeiq_images.site.mirror import mirror
from routeiq_signing.bundle_file import pinned
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import Attachment, Attachments, FileEntry, blob_path
from routeiq_signing.progress import QuietProgress
from routeiq_signing.sigstore_bundle import pre_authentication_encoding, read_envelope

__all__ = ["small_bundle"]


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def signed(small_bundle: SmallBundle, key: PrivateKey) -> SmallBundle:
    return with_signatures(small_bundle, key)


def check(bundle: SmallBundle, key: PrivateKey) -> dict[str, int]:
    keys = {key.public.keyid: pinned(key.public)}
    return check_signatures(
        bundle.manifest, bundle.attachments, keys, lambda item: bundle.files[blob_path(item)]
    )


def attached(bundle: SmallBundle, kind: str) -> bytes:
    (item,) = (item for item in bundle.attachments.attachments if item.kind == kind)
    return bundle.files[blob_path(item.digest)]


def with_attachments(bundle: SmallBundle, change: Callable[[Attachment], list[Attachment]]) -> SmallBundle:
    said = tuple(new for item in bundle.attachments.attachments for new in change(item))
    return replace(bundle, attachments=replace(bundle.attachments, attachments=said))


def with_blob(bundle: SmallBundle, kind: str, raw: bytes, **more: bytes) -> SmallBundle:
    """Return `bundle` where `raw` is attached in place of the blob of `kind`."""
    files = {
        **bundle.files,
        blob_path(digest(raw)): raw,
        **{blob_path(digest(blob)): blob for blob in more.values()},
    }
    own = {entry.path for entry in bundle.manifest.files}
    listed = tuple(
        FileEntry(path, sha256(files[path]), len(files[path])) for path in sorted(files.keys() - own)
    )
    changed = with_attachments(
        bundle,
        lambda item: [replace(item, digest=digest(raw), size=len(raw)) if item.kind == kind else item],
    )
    attachments = Attachments(changed.attachments.bundle, changed.attachments.attachments, listed)
    return replace(changed, attachments=attachments, files=files)


def test_the_newer_form_is_a_statement_of_the_images_digest(signed: SmallBundle, key: PrivateKey) -> None:
    envelope = read_envelope(attached(signed, "image-signature"), "bundle")
    message = pre_authentication_encoding("application/vnd.in-toto+json", envelope.payload)
    assert key.public.verifies(envelope.signature, message)
    statement = json.loads(envelope.payload)
    assert statement["predicateType"] == "https://sigstore.dev/cosign/sign/v1"
    assert [f"sha256:{item['digest']['sha256']}" for item in statement["subject"]] == [
        signed.manifest.images[0].digest
    ]


def test_the_older_form_is_a_simple_signing_payload_under_its_tag(
    signed: SmallBundle, key: PrivateKey
) -> None:
    (layer,) = json.loads(attached(signed, "image-signature-tag"))["layers"]
    payload = signed.files[blob_path(layer["digest"])]
    signature = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    assert key.public.verifies(signature, payload)
    critical = json.loads(payload)["critical"]
    assert critical["image"]["docker-manifest-digest"] == signed.manifest.images[0].digest
    assert critical["identity"]["docker-reference"] == "routeiq.local/routeiq-gateway"
    assert critical["type"] == "cosign container image signature"
    assert signature_tag("sha256:ab") == "sha256-ab.sig"


def test_two_signers_share_the_tag_and_have_a_referrer_each(signed: SmallBundle) -> None:
    keys = [PrivateKey.generate(), PrivateKey.generate()]
    said, blobs = sign_images(signed.manifest.images, keys)
    assert [item.kind for item in said] == ["image-signature", "image-signature", "image-signature-tag"]
    assert len(json.loads(blobs[blob_path(said[2].digest)])["layers"]) == 2


def test_what_is_whole_is_counted(signed: SmallBundle, key: PrivateKey) -> None:
    assert check(signed, key) == {"image-signature": 1, "image-signature-tag": 1, "model-signature": 1}


KINDS = ["image-signature", "image-signature-tag", "model-signature"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_signature_is_refused(kind: str, signed: SmallBundle, key: PrivateKey) -> None:
    spoilt = with_attachments(signed, lambda item: [] if item.kind == kind else [item])
    with pytest.raises(ImagesError, match=f"the bundle carries no {kind} for it"):
        check(spoilt, key)


@pytest.mark.parametrize("kind", KINDS)
def test_a_signature_by_another_key_is_refused(kind: str, signed: SmallBundle, key: PrivateKey) -> None:
    other = with_signatures(signed, PrivateKey.generate())
    (foreign,) = (item for item in other.attachments.attachments if item.kind == kind)
    files = {entry.path: other.files[entry.path] for entry in other.attachments.files}
    raw = files.pop(blob_path(foreign.digest))
    spoilt = with_blob(signed, kind, raw, **{path.rpartition("/")[2]: blob for path, blob in files.items()})
    with pytest.raises(ImagesError, match=f"{kind} is of something else, or by another key"):
        check(spoilt, key)


@pytest.mark.parametrize("kind", KINDS[:2])
def test_the_signature_of_another_image_is_refused(kind: str, signed: SmallBundle, key: PrivateKey) -> None:
    """By the right key, so only the digest within tells."""
    image = replace(signed.manifest.images[0], digest=f"sha256:{'7' * 64}")
    said, blobs = sign_images([image], [key])
    (item,) = (item for item in said if item.kind == kind)
    raw = blobs.pop(blob_path(item.digest))
    spoilt = with_blob(signed, kind, raw, **{path.rpartition("/")[2]: blob for path, blob in blobs.items()})
    with pytest.raises(ImagesError, match=f"{kind} is of something else"):
        check(spoilt, key)


@pytest.mark.parametrize(
    "raw", [b"", b"{ }", b"[]", b'{"layers": 1}', b'{"config": {}, "layers": [{}]}', b"\xff"]
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_signature_is_refused(kind: str, raw: bytes, signed: SmallBundle, key: PrivateKey) -> None:
    with pytest.raises(ImagesError, match="is of something else"):
        check(with_blob(signed, kind, raw), key)


@pytest.mark.parametrize("place", ["config", "layer"])
def test_a_signature_manifest_cannot_name_files_outside_the_bundle(
    place: str, signed: SmallBundle, key: PrivateKey
) -> None:
    document: dict[str, Any] = json.loads(attached(signed, "image-signature-tag"))
    part = document["config"] if place == "config" else document["layers"][0]
    part["digest"] = "sha256:../../../../etc/passwd"
    with pytest.raises(ImagesError, match="is of something else"):
        check(with_blob(signed, "image-signature-tag", json.dumps(document).encode()), key)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mirror_sends_nothing_when_a_signature_is_missing(
    kind: str, signed: SmallBundle, key: PrivateKey, registry_server: Any, tmp_path: Path
) -> None:
    dropped = with_attachments(signed, lambda item: [] if item.kind == kind else [item])
    tar = dropped.write(tmp_path / "bundle.tar")
    with pytest.raises(ImagesError, match=f"carries no {kind}"):
        mirror(tar, f"{registry_server.host}/site", key=key.public, environ={"HOME": str(tmp_path)},
               progress=QuietProgress(), plain_http=True, work_dir=tmp_path)  # fmt: skip
    assert registry_server.manifests == {}


@pytest.mark.parametrize("kind", ["tag", "referrer"])
def test_a_signature_that_the_registry_lost_fails_the_mirror(
    kind: str, signed: SmallBundle, key: PrivateKey, registry_server: Any, tmp_path: Path
) -> None:
    """It answered that it keeps it, and does not."""
    image = signed.manifest.images[0]

    class Losing(dict):  # type: ignore[type-arg]
        def __setitem__(self, place: tuple[str, str], raw: bytes) -> None:
            lost = place[1] == signature_tag(image.digest) if kind == "tag" else b"dsse-envelope" in raw
            if not lost:
                super().__setitem__(place, raw)

    registry_server.manifests = Losing()
    with pytest.raises(ImagesError, match="is missing, sent was"):
        mirror(signed.write(tmp_path / "b.tar"), f"{registry_server.host}/site", key=key.public,
               environ={"HOME": str(tmp_path)},
               progress=QuietProgress(), plain_http=True, work_dir=tmp_path)  # fmt: skip
    assert ("site/bundles/routeiq", "test") not in registry_server.manifests
