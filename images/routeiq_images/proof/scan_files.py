"""Scans a bundle on disk: takes its bill of materials, advisories and a VEX from their files, checks who signed them.

Advisories and VEX decide what is reported, so both must be signed by a key that the caller names, unless the caller
says that unsigned ones will do. The VEX's signature lies beside it, named as bundle.json's is.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from routeiq_images.errors import ImagesError
from routeiq_images.proof.scan import components_of, match
from routeiq_images.proof.scan_report import ScanReport, Source
from routeiq_images.proof.vex import MAX_VEX, Statement, parse_vex
from routeiq_signing.bundle_peek import SBOM_NAME, look_into
from routeiq_signing.errors import DocumentError
from routeiq_signing.files import read_capped, write_atomic
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import PublicKey
from routeiq_signing.limits import LIMITS
from routeiq_signing.progress import Progress
from routeiq_signing.sigstore_bundle import message_bundle, read_message_bundle
from routeiq_signing.verify.order import signature_name
from routeiq_signing.verify.trust import Trust
from routeiq_vendor.osv.artifact import read_osv, read_unsigned
from routeiq_vendor.osv.records import Record
from routeiq_vendor.osv.severity import Severity

__all__ = ["scan_bundle", "sign_vex"]


def scan_bundle(
    tar: Path,
    osv: Path,
    vex: Path | None,
    *,
    trust: PublicKey | Trust | None,
    data_key: PublicKey | None,
    least: Severity,
    partial: bool,
    now: datetime,
    progress: Progress,
) -> ScanReport:
    """Hold what `tar` says it is made of against the advisories in `osv`, less what `vex` settles.

    `data_key` signed both; None takes them unsigned. Raises `RouteIQError`s of the components for whatever is refused.
    """
    statements = _read_vex(vex, data_key) if vex is not None else ()
    look = look_into(tar, trust, progress)
    if not look.sbom:
        raise ImagesError(f"{tar}: has no {SBOM_NAME}: it was made by an older version", subject=str(tar))
    components, others = components_of(look.sbom, SBOM_NAME)
    source, records = _read_data(osv, data_key, progress)
    found = match(components, others, records, statements, partial=partial)
    return ScanReport(
        digest=look.digest,
        verified=look.verified,
        source=source,
        vex=_described(vex, statements, data_key) if vex is not None else "",
        scan=found,
        least=least,
        now=now,
    )


def sign_vex(vex: Path, key: Signer) -> Path:
    """Check the OpenVEX document and write its signature beside it; returns the signature's path."""
    raw = read_capped(vex, MAX_VEX)
    parse_vex(raw, vex.name)
    keyid = key.public.keyid
    path = vex.with_name(signature_name(vex.name, keyid))
    write_atomic(path, message_bundle(keyid, raw, key.sign(raw)))
    return path


def _read_data(osv: Path, key: PublicKey | None, progress: Progress) -> tuple[Source, Iterable[Record]]:
    if key is None:
        return Source("", ""), read_unsigned(osv, progress)
    index, records = read_osv(osv, key, progress)
    return Source(index.made, index.keyid), records


def _read_vex(path: Path, key: PublicKey | None) -> tuple[Statement, ...]:
    raw = read_capped(path, MAX_VEX)
    if key is not None:
        beside = path.with_name(signature_name(path.name, key.keyid))
        if not beside.exists():
            raise ImagesError(
                f"{path}: not signed by the key {key.keyid[:16]}…: {beside.name} is not beside it",
                subject=str(path),
                hint="sign it: routeiq vendor vex FILE --key KEY",
            )
        try:
            signature = read_message_bundle(
                read_capped(beside, LIMITS.signature), beside.name, keyid=key.keyid, message=raw
            )
        except DocumentError as error:
            raise ImagesError(str(error), subject=str(path)) from None
        if not key.verifies(signature, raw):
            raise ImagesError(f"{beside}: not a signature of these bytes", subject=str(path))
    return parse_vex(raw, path.name)


def _described(path: Path, statements: Sequence[Statement], key: PublicKey | None) -> str:
    signed = f"signed by {key.keyid[:16]}…" if key is not None else "NOT SIGNED"
    return f"{path.name}: {len(statements)} statements, {signed}"
