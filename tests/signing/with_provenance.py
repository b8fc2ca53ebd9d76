"""Bundles with a provenance attached, right and wrong ones."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.signing.conftest import SmallBundle, digest, sha256

from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import Attachment, FileEntry, blob_path
from routeiq_signing.sigstore_bundle import MEDIA_TYPE, Envelope, envelope_bundle, pre_authentication_encoding
from routeiq_signing.verify.provenance import KIND, PAYLOAD_TYPE, statement_bytes

PREDICATE: dict[str, Any] = {
    "buildDefinition": {
        "buildType": "https://routeiq.local/buildtypes/bundle/v1",
        "externalParameters": {"strict": True},
        "resolvedDependencies": [{"uri": "file:vendor/locks/gateway.txt", "digest": {"sha256": "1" * 64}}],
    },
    "runDetails": {
        "builder": {"id": "https://ci.example/runner"},
        "metadata": {"startedOn": "2026-05-01T10:00:00Z", "finishedOn": "2026-05-01T10:01:00Z"},
    },
}


def envelope(payload: bytes, key: PrivateKey, kind: str = PAYLOAD_TYPE) -> bytes:
    signature = key.sign(pre_authentication_encoding(kind, payload))
    return envelope_bundle(key.public.keyid, Envelope(kind, payload, signature))


def attached(
    bundle: SmallBundle, *raws: bytes, media_type: str = MEDIA_TYPE, subject: str = ""
) -> SmallBundle:
    """Return the bundle with these provenances attached, its head signed again by its own key."""
    said, files = bundle.attachments, dict(bundle.files)
    entries = {entry.path: entry for entry in said.files}
    items = list(said.attachments)
    for raw in raws:
        path = blob_path(digest(raw))
        files[path], entries[path] = raw, FileEntry(path, sha256(raw), len(raw))
        about = subject or said.bundle
        items.append(Attachment(KIND, f"slsa-{len(items)}", about, media_type, digest(raw), len(raw)))
    listed = tuple(entries[path] for path in sorted(entries))
    return replace(bundle, attachments=replace(said, attachments=tuple(items), files=listed), files=files)


def payload(bundle: SmallBundle, spoil: Callable[[dict[str, Any]], object] = lambda _: None) -> bytes:
    statement = json.loads(statement_bytes(bundle.manifest, bundle.attachments.bundle, PREDICATE))
    spoil(statement)
    return json.dumps(statement).encode()
