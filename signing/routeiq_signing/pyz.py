"""Builds `verify.pyz`: the verification modules of this package, as they are, in one zip that Python runs.

Two of them are small ones that stand under the name of what a bare host lacks (`REPLACED`): `keys` without
`cryptography`, `trust.rules` without python-tuf. The same sources give the same bytes: members sorted, times constant,
compressed by our own `deflate` (zlib's output differs between its versions). Source of the format: PKWARE's APPNOTE.
"""

import hashlib
import struct
import zlib
from importlib import resources

from routeiq_signing.deflate import deflate

__all__ = ["MODULES", "REPLACED", "build_pyz", "pyz_digest"]

MODULES = (
    "_p256.py",
    "_recover.py",
    "errors.py",
    "files.py",
    "keyring/__init__.py",
    "keyring/signer.py",
    "limits.py",
    "manifest.py",
    "progress.py",
    "sigstore_bundle.py",
    "standalone.py",
    "standalone_trust.py",
    "strict_json.py",
    "tar_format.py",
    "trust/__init__.py",
    "trust/builders.py",
    "trust/chain.py",
    "trust/cosign.py",
    "trust/document.py",
    "trust/metadata.py",
    "trust/offered.py",
    "trust/site.py",
    "trust/state.py",
    "verify/__init__.py",
    "verify/bundle.py",
    "verify/layout.py",
    "verify/order.py",
    "verify/provenance.py",
    "verify/report.py",
    "verify/stream.py",
    "verify/trust.py",
)
REPLACED = {"keys.py": "verify/small_keys.py", "trust/rules.py": "verify/small_tuf.py"}
_MAIN = b"import sys\n\nfrom routeiq_signing.standalone import main\n\nsys.exit(main())\n"
_DEFLATED, _VERSION, _UNIX = 8, 20, 3 << 8
_DATE = 1 << 5 | 1  # 1980-01-01


def pyz_digest() -> str:
    """Return the hex SHA-256 of the program: what a site compares over a second channel, once."""
    return hashlib.sha256(build_pyz()).hexdigest()


def build_pyz() -> bytes:
    """Return the zip application; it needs Python 3.9 and nothing else."""
    package = resources.files("routeiq_signing")
    members = {"__main__.py": _MAIN, "routeiq_signing/__init__.py": b""}
    for name, source in {**{module: module for module in MODULES}, **REPLACED}.items():
        members[f"routeiq_signing/{name}"] = package.joinpath(source).read_bytes()
    return _zip(b"#!/usr/bin/env python3\n", members)


def _zip(before: bytes, members: dict[str, bytes]) -> bytes:
    """Return a zip of `members`, all 0644, behind `before`."""
    out, directory = bytearray(before), bytearray()
    for name in sorted(members):
        content, packed = members[name], deflate(members[name])
        offset = len(out)
        common = struct.pack(
            "<5H3I2H",
            *(_VERSION, 0, _DEFLATED, 0, _DATE),
            *(zlib.crc32(content), len(packed), len(content)),
            *(len(name), 0),
        )
        out += b"PK\x03\x04" + common + name.encode("ascii") + packed
        directory += b"PK\x01\x02" + struct.pack("<H", _UNIX | _VERSION) + common
        directory += struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, offset) + name.encode("ascii")
    end = struct.pack("<4H2IH", 0, 0, len(members), len(members), len(directory), len(out), 0)
    return bytes(out + directory) + b"PK\x05\x06" + end
