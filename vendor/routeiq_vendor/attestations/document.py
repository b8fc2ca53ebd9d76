"""What a provenance object of an index (PEP 740) must say to be kept for a wheel. Pure.

Checked: its form, and that every statement in it is about this very file, by name and SHA-256. Not checked: the
signatures. They are made with short-lived certificates of a public authority, whose trusted root we do not carry; the
certificates and log entries stay in the document for who wants to (`pypi-attestations verify`, `sigstore`).
Source: packaging.python.org, "Index hosted attestations".
"""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, NoReturn

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from routeiq_vendor.errors import DownloadError

__all__ = ["MAX_PROVENANCE", "Attested", "check_provenance"]

MAX_PROVENANCE = 2 << 20  # bytes; one attestation is about 10 KB
_STATEMENT = "https://in-toto.io/Statement/v1"
_MAX_BUNDLES = 50


@dataclass(frozen=True, slots=True)
class Attested:
    """What was found: the kinds of publishers (`GitHub`, …) and the predicate types of the statements."""

    publishers: tuple[str, ...]
    predicates: tuple[str, ...]


def check_provenance(raw: bytes, filename: str, sha256: str) -> Attested:
    """Return what the provenance says of the wheel `filename` with this digest.

    Raises `DownloadError` when it is of another form, or about another file.
    """
    what = f"provenance of {filename}"
    if len(raw) > MAX_PROVENANCE:
        _refuse(what, f"{len(raw)} bytes, more than the {MAX_PROVENANCE} allowed")
    document = _object(raw, what)
    bundles = document.get("attestation_bundles")
    if document.get("version") != 1 or not isinstance(bundles, list) or not 0 < len(bundles) <= _MAX_BUNDLES:
        _refuse(what, "no provenance object of version 1")
    publishers, predicates = [], []
    for bundle in bundles:
        try:
            publishers.append(str(bundle["publisher"]["kind"])[:100])
            attestations = list(bundle["attestations"])
            statements = [
                _object(base64.b64decode(item["envelope"]["statement"], validate=True), what)
                for item in attestations
                if item["version"] == 1 and isinstance(item["verification_material"], dict)
            ]
        except (KeyError, TypeError, ValueError, binascii.Error):
            _refuse(what, "an attestation in it is not of PEP 740's form")
        if not attestations or len(statements) != len(attestations):
            _refuse(what, "an attestation in it is not of version 1")
        predicates += [_statement(item, filename, sha256, what) for item in statements]
    return Attested(tuple(dict.fromkeys(publishers)), tuple(dict.fromkeys(predicates)))


def _statement(statement: dict[str, Any], filename: str, sha256: str, what: str) -> str:
    subjects = statement.get("subject")
    if statement.get("_type") != _STATEMENT or not isinstance(subjects, list) or len(subjects) != 1:
        _refuse(what, "a statement in it is no in-toto statement v1 with one subject")
    try:
        name, digest = str(subjects[0]["name"]), subjects[0]["digest"]["sha256"]
        same = parse_wheel_filename(name) == parse_wheel_filename(filename)
    except (KeyError, TypeError, InvalidWheelFilename):
        _refuse(what, "a statement in it names no wheel")
    if not same or digest != sha256:
        _refuse(what, f"a statement in it is about {name[:100]} with another digest or name")
    return str(statement.get("predicateType"))[:200]


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        _refuse(what, "not JSON")
    if not isinstance(document, dict):
        _refuse(what, "not a JSON object")
    return document


def _refuse(what: str, fault: str) -> NoReturn:
    raise DownloadError(f"{what}: {fault}", subject=what)
