"""Reads what packages themselves say of their licence: wheels' METADATA, Debian's copyright files, npm's package.json.

It only reads; what is allowed is `policy`'s. A wheel is believed in this order: License-Expression (PEP 639), the old
License field where it is an SPDX expression or a known spelling of one, a classifier that means one licence. The
classifiers "BSD License" and "Apache Software License" mean several (PEP 639 says so), and give nothing.
"""

import re
import zipfile
from collections.abc import Mapping
from email.parser import HeaderParser
from pathlib import Path

from routeiq_vendor.errors import LockError
from routeiq_vendor.licences.debian import copyright_names, to_spdx
from routeiq_vendor.licences.policy import LicencePolicy, is_expression

__all__ = ["Said", "deb_copyrights", "debian_licence", "wheel_licence"]

_MAX = 4 << 20  # bytes of METADATA or of a copyright file; the largest is 1 MB
_PREFIX = "License :: "

Said = tuple[str | None, str, str]
"""An SPDX expression or None, where it is said, and the fault when there is none."""


def wheel_licence(path: Path, what: str, policy: LicencePolicy) -> Said:
    """Return what a wheel says; raises `LockError` when it is no wheel."""
    try:
        with zipfile.ZipFile(path) as archive:
            (name,) = [
                info
                for info in archive.infolist()
                if re.fullmatch(r"[^/]+\.dist-info/METADATA", info.filename) and info.file_size <= _MAX
            ]
            headers = HeaderParser().parsestr(archive.read(name).decode("utf-8", "replace"))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise LockError(f"{what}: not a readable wheel: {error}", subject=what) from error
    if expression := headers.get("License-Expression"):
        return expression.strip(), "License-Expression", ""
    field = " ".join((headers.get("License") or "").split())
    if field in policy.spellings:
        return policy.spellings[field], "License field", ""
    if field and len(field) < 100 and is_expression(field):
        return field, "License field", ""
    classifiers = [
        text.removeprefix(_PREFIX).removeprefix("OSI Approved :: ")
        for text in headers.get_all("Classifier") or []
        if text.startswith(_PREFIX) and text != "License :: OSI Approved"
    ]
    if len(classifiers) == 1 and classifiers[0] in policy.classifiers:
        return policy.classifiers[classifiers[0]], "classifier", ""
    said = "; ".join([*([f"License: {field[:60]}"] if field else []), *classifiers]) or "nothing"
    return None, "METADATA", f"METADATA says {said}, which is no SPDX expression and means no one licence"


def deb_copyrights(path: Path, name: str) -> Mapping[str, str]:
    """Return package name → copyright text, for those that this .deb carries; a link to another's → `"@other"`."""
    from debian.arfile import ArError  # noqa: PLC0415  only the build host has it
    from debian.debfile import DebError, DebFile  # noqa: PLC0415

    found: dict[str, str] = {}
    try:
        with DebFile(filename=str(path)) as deb, deb.data.tgz() as archive:
            for member in archive:
                place = re.sub(r"^\./", "", member.name)
                match = re.fullmatch(r"usr/share/doc/([^/]+)(/copyright)?", place)
                if not match:
                    continue
                if member.issym():
                    target = re.search(r"([^/]+)(/copyright)?$", member.linkname)
                    found[match[1]] = f"@{target[1] if target else ''}"
                elif match[2] and member.isfile() and member.size <= _MAX:
                    file = archive.extractfile(member)
                    found[match[1]] = file.read().decode("utf-8", "replace") if file else ""
    except (DebError, ArError, OSError, KeyError) as error:
        raise LockError(f"{name}: not a readable .deb: {error}", subject=name) from error
    return found


def debian_licence(name: str, texts: Mapping[str, str], policy: LicencePolicy) -> Said:
    """Return what the copyright file of package `name` says; `texts` are those of all packages."""
    owner, text = name, texts.get(name)
    if text is not None and text.startswith("@"):
        owner = text[1:]
        text = texts.get(owner)
        if text is None:
            return None, "copyright file", f"its copyright file is in {owner}, which is not in the lock"
    if text is None or text.startswith("@"):
        return None, "copyright file", "it has no copyright file"
    names = copyright_names(text)
    if names is None:
        return None, "copyright file", f"the copyright file of {owner} is not machine-readable"
    expressions = []
    for item in names:
        expression = to_spdx(item, policy.debian)
        if expression is None:
            return None, "copyright file", f"the copyright file of {owner} names {item!r}, an unknown licence"
        expressions.append(expression)
    return " AND ".join(expressions), "copyright file", ""
