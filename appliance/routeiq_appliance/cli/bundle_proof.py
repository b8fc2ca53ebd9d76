"""What `routeiq bundle` shows of a bundle's papers: provenance and bill of materials."""

from pathlib import Path

from routeiq_signing.bundle_peek import Look
from routeiq_signing.errors import SigningError
from routeiq_signing.files import write_atomic

__all__ = ["describe_provenance", "write_documents"]


def describe_provenance(found: Look) -> list[str]:
    """Return the lines about who built the bundle; the signer's word, and a tar's own where nothing was verified."""
    said = found.provenance
    if said is None:
        return ["built     no provenance is attached"]
    return [
        f"built     by {said.builder}, {said.started or '?'} to {said.finished or '?'}",
        f"built as  {said.build_type}",
        f"made of   {said.dependencies} named inputs, signed by {said.keyid or 'a key that was not checked'}",
    ]


def write_documents(found: Look, *, provenance: Path | None, sbom: Path | None) -> None:
    """Write what was asked for; raises `SigningError` when the bundle has no such thing."""
    for path, content, what in (
        (provenance, found.envelope, "provenance"),
        (sbom, found.sbom, "bill of materials"),
    ):
        if path is None:
            continue
        if not content:
            raise SigningError(f"{path}: the bundle has no {what}", subject=str(path))
        write_atomic(path, content)
