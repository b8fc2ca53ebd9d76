"""How much of an untrusted thing is read before it is refused; every reader of this package takes its cap here."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """All sizes are bytes unless the name says otherwise."""

    manifest: int = 8 << 20  # bundle.json, attachments.json: ~150 bytes a file, so ~50,000 files
    signature: int = 64 << 10  # a sigstore bundle with one key signature is about 600 bytes
    signers: int = 16  # keys that sign one bundle
    sums: int = 8 << 20
    oci_document: int = 4 << 20  # index.json and image manifests; registries cap these at 4 MiB too
    member: int = (8 << 30) - 1  # what eleven octal digits of a ustar header can say
    files: int = 50_000  # files in a bundle or in a model
    json_depth: int = 32
    path: int = 255  # of a file in a model; a member of the tar has ustar's 100
    key_file: int = 64 << 10
    passphrase: int = 4 << 10
    model_header: int = 32 << 20  # safetensors' own cap is 100 MB; ours have a few KB
    model_document: int = 32 << 20  # tokenizer.json of large vocabularies is ~20 MB
    model_in_memory: int = 1 << 30  # what `model_trust` hands out as bytes
    tuf_metadata: int = (
        256 << 10
    )  # a root with ten keys is about 5 KB; python-tuf's own caps are 512 KB to 5 MB
    trust_state: int = 4 << 20  # a few KB a channel
    onnx: int = (2 << 30) - 1  # protobuf's own limit


LIMITS = Limits()
