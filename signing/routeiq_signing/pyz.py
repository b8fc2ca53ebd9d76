"""Builds `verify.pyz`: the verification modules of this package, as they are, in one zip that Python runs.

The same sources give the same bytes: members sorted, times constant, stored uncompressed (zlib's output differs
between its versions).
"""

import io
import zipfile
from importlib import resources

__all__ = ["MODULES", "build_pyz"]

MODULES = (
    "_p256.py",
    "errors.py",
    "files.py",
    "limits.py",
    "manifest.py",
    "progress.py",
    "sigstore_bundle.py",
    "standalone.py",
    "strict_json.py",
    "tar_format.py",
    "verify/__init__.py",
    "verify/bundle.py",
    "verify/layout.py",
    "verify/order.py",
    "verify/report.py",
    "verify/stream.py",
    "verify/trust.py",
)
_MAIN = b"import sys\n\nfrom routeiq_signing.standalone import main\n\nsys.exit(main())\n"
_TIME = (1980, 1, 1, 0, 0, 0)


def build_pyz() -> bytes:
    """Return the zip application; it needs Python 3.9 and nothing else."""
    package = resources.files("routeiq_signing")
    members = {"__main__.py": _MAIN, "routeiq_signing/__init__.py": b""}
    for module in MODULES:
        members[f"routeiq_signing/{module}"] = package.joinpath(module).read_bytes()
    out = io.BytesIO()
    out.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])
    return out.getvalue()
