"""The signatures that travel with images, in both forms that cosign knows: made with a bundle, checked before a push.

* The older form: an image manifest under the tag `sha256-<hex>.sig`, one layer a signer, whose payload ("simple
  signing", containers/image docs/containers-signature.5.md) names the image's digest; an annotation is the signature.
* The newer form: a sigstore bundle around an in-toto statement of the image's digest, which refers to the image
  (OCI referrers; cosign's predicate `https://sigstore.dev/cosign/sign/v1`).

Both are attachments: what an image is does not depend on who signed it. Models have their OMS signatures, counted here
too. Bytes in, bytes out; who pushes is `mirror`.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rfc8785

from routeiq_images.blobs import MANIFEST_MEDIA_TYPE
from routeiq_images.errors import ImagesError
from routeiq_signing.errors import DocumentError
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.manifest import (
    Attachment,
    Attachments,
    BundleManifest,
    ImageEntry,
    ModelEntry,
    blob_path,
)
from routeiq_signing.oms import sign_model
from routeiq_signing.sigstore_bundle import MEDIA_TYPE as BUNDLE_MEDIA_TYPE
from routeiq_signing.sigstore_bundle import (
    Envelope,
    envelope_bundle,
    pre_authentication_encoding,
    read_envelope,
)
from routeiq_signing.verify.trust import PinnedKey

__all__ = [
    "BUNDLE_ANNOTATIONS",
    "MODEL_SIGNATURE",
    "REFERRER_SIGNATURE",
    "TAG_SIGNATURE",
    "check_signatures",
    "sign_images",
    "sign_models",
    "signature_tag",
]

REFERRER_SIGNATURE, TAG_SIGNATURE, MODEL_SIGNATURE = (
    "image-signature",
    "image-signature-tag",
    "model-signature",
)
PREDICATE_TYPE = "https://sigstore.dev/cosign/sign/v1"
BUNDLE_ANNOTATIONS = {
    "dev.sigstore.bundle.content": "dsse-envelope",
    "dev.sigstore.bundle.predicateType": PREDICATE_TYPE,
}
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
_SIGNATURE = "dev.cosignproject.cosign/signature"
_CONFIG = "application/vnd.oci.image.config.v1+json"


def signature_tag(digest: str) -> str:
    """Return the tag under which cosign looks for the older form."""
    return f"{digest.replace(':', '-')}.sig"


def sign_images(
    images: Sequence[ImageEntry], keys: Sequence[Signer]
) -> tuple[list[Attachment], dict[str, bytes]]:
    """Return the attachments that sign each image in both forms by each of `keys`, and their blobs by path."""
    said: list[Attachment] = []
    blobs: dict[str, bytes] = {}

    def attach(kind: str, image: ImageEntry, media_type: str, raw: bytes) -> None:
        said.append(Attachment(kind, image.name, image.digest, media_type, _keep(raw, blobs), len(raw)))

    for image in images:
        for key in keys:
            attach(REFERRER_SIGNATURE, image, BUNDLE_MEDIA_TYPE, _bundle(image.digest, key))
        attach(TAG_SIGNATURE, image, MANIFEST_MEDIA_TYPE, _tagged(image, keys, blobs))
    return said, blobs


def sign_models(
    models: Sequence[ModelEntry], keys: Sequence[Signer]
) -> tuple[list[Attachment], dict[str, bytes]]:
    """Return the attachments that sign each model (OMS) by each of `keys`, and their blobs by path."""
    said: list[Attachment] = []
    blobs: dict[str, bytes] = {}
    for model in models:
        name, digests = model.path.rpartition("/")[2], {entry.path: entry.sha256 for entry in model.files}
        signed = [sign_model(name, digests, key) for key in keys]
        said += [
            Attachment(
                MODEL_SIGNATURE, model.name, model.digest, BUNDLE_MEDIA_TYPE, _keep(raw, blobs), len(raw)
            )
            for raw in signed
        ]
    return said, blobs


def check_signatures(
    manifest: BundleManifest,
    attachments: Attachments,
    keys: Mapping[str, PinnedKey],
    read: Callable[[str], bytes],
) -> dict[str, int]:
    """Return how many signatures of each kind there are; `read` gives the bytes of a verified blob by digest.

    Raises `ImagesError` unless each image is signed in both forms, and each model, by one of `keys`.
    """
    known = {entry.path: entry.size for entry in attachments.files}

    def attached(digest: str) -> bytes:
        if blob_path(digest) not in known:
            raise KeyError(digest)
        return read(digest)

    counts = {REFERRER_SIGNATURE: 0, TAG_SIGNATURE: 0, MODEL_SIGNATURE: 0}
    for image in manifest.images:
        for kind, signed_by in ((REFERRER_SIGNATURE, _by_bundle), (TAG_SIGNATURE, _by_tag)):
            found = _attached(attachments, kind, image.digest)
            if not found:
                raise _missing(f"image {image.name}", kind)
            if not any(signed_by(attached(item.digest), image.digest, keys, attached) for item in found):
                raise _wrong(f"image {image.name}", kind)
            counts[kind] += len(found)
    for model in manifest.models:
        found = _attached(attachments, MODEL_SIGNATURE, model.digest)
        if not found:
            raise _missing(f"model {model.name}", MODEL_SIGNATURE)
        if not any(_envelope(attached(item.digest), keys) for item in found):
            raise _wrong(f"model {model.name}", MODEL_SIGNATURE)
        counts[MODEL_SIGNATURE] += len(found)
    return counts


def _attached(attachments: Attachments, kind: str, subject: str) -> list[Attachment]:
    return [item for item in attachments.attachments if (item.kind, item.subject) == (kind, subject)]


def _missing(what: str, kind: str) -> ImagesError:
    return ImagesError(
        f"{what}: the bundle carries no {kind} for it",
        subject=what.rpartition(" ")[2],
        hint="nobody could verify it in the registry: make the bundle again with this version of `routeiq`",
    )


def _wrong(what: str, kind: str) -> ImagesError:
    return ImagesError(
        f"{what}: its {kind} is of something else, or by another key than the bundle's",
        subject=what.rpartition(" ")[2],
        hint="get the bundle from its producer again; what is in it disagrees",
    )


def _keep(raw: bytes, blobs: dict[str, bytes]) -> str:
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    blobs[blob_path(digest)] = raw
    return digest


def _bundle(digest: str, key: Signer) -> bytes:
    payload = rfc8785.dumps(
        {
            "_type": _STATEMENT_TYPE,
            "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}, "annotations": {}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {},
        }
    )
    signature = key.sign(pre_authentication_encoding(_PAYLOAD_TYPE, payload))
    return envelope_bundle(key.public.keyid, Envelope(_PAYLOAD_TYPE, payload, signature))


def _tagged(image: ImageEntry, keys: Sequence[Signer], blobs: dict[str, bytes]) -> bytes:
    """Return the manifest of the older form; payload and configuration go among `blobs`."""
    payload = rfc8785.dumps(
        {
            "critical": {
                "identity": {"docker-reference": image.tag.rpartition(":")[0]},
                "image": {"docker-manifest-digest": image.digest},
                "type": "cosign container image signature",
            },
            "optional": {},
        }
    )
    layer: dict[str, Any] = {"mediaType": _SIMPLE, "digest": _keep(payload, blobs), "size": len(payload)}
    config = rfc8785.dumps(
        {
            "architecture": "",
            "config": {},
            "os": "",
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"]] * len(keys)},
        }
    )
    signatures = [base64.b64encode(key.sign(payload)).decode("ascii") for key in keys]
    return rfc8785.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "config": {"mediaType": _CONFIG, "digest": _keep(config, blobs), "size": len(config)},
            "layers": [{**layer, "annotations": {_SIGNATURE: signature}} for signature in signatures],
        }
    )


def _by_bundle(
    raw: bytes,
    digest: str,
    keys: Mapping[str, PinnedKey],
    read: Callable[[str], bytes],  # noqa: ARG001  as `_by_tag`
) -> bool:
    payload = _envelope(raw, keys)
    try:
        statement = json.loads(payload)
        named = [item["digest"]["sha256"] for item in statement["subject"]]
        right = (statement["_type"], statement["predicateType"]) == (_STATEMENT_TYPE, PREDICATE_TYPE)
    except (ValueError, KeyError, TypeError):
        return False
    return right and named == [digest.removeprefix("sha256:")]


def _envelope(raw: bytes, keys: Mapping[str, PinnedKey]) -> bytes:
    """Return the in-toto payload in `raw` when one of `keys` signed it, else nothing."""
    try:
        envelope = read_envelope(raw, "signature")
    except DocumentError:
        return b""
    message = pre_authentication_encoding(envelope.payload_type, envelope.payload)
    signed = any(key.verifies(envelope.signature, message) for key in keys.values())
    return envelope.payload if signed and envelope.payload_type == _PAYLOAD_TYPE else b""


def _by_tag(raw: bytes, digest: str, keys: Mapping[str, PinnedKey], read: Callable[[str], bytes]) -> bool:
    try:
        document: dict[str, Any] = json.loads(raw)
        layers: list[dict[str, Any]] = document["layers"]
        read(document["config"]["digest"])  # all that will be pushed must be there
        for layer in layers:
            payload = read(layer["digest"])
            signature = base64.b64decode(layer["annotations"][_SIGNATURE], validate=True)
            named = json.loads(payload)["critical"]["image"]["docker-manifest-digest"]
            if named == digest and any(key.verifies(signature, payload) for key in keys.values()):
                return True
    except (OSError, ValueError, KeyError, TypeError, binascii.Error):
        return False
    return False
