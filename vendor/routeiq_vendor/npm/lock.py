"""Reads npm's own lock and says which of its packages the build host needs. Pure.

`ui/package-lock.json` is npm's: versions and SHA-512 for every platform. `ui.lock.json` is made from it: the packages
for the target, by the SHA-256 under which the pool keeps their tarballs, and their licences, of which only these are
accepted. No script of a package is ever run.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from routeiq_vendor.documents import Document
from routeiq_vendor.errors import LockError

__all__ = ["LICENCES", "ConsoleLock", "Package", "Wanted", "placed", "tidied", "wanted"]

Licence = Literal["0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "Unlicense"]
LICENCES = frozenset(Licence.__args__)  # type: ignore[attr-defined]
"""SPDX names of what may be used: permissive ones only."""

_TARGET = {"os": "linux", "cpu": "x64", "libc": "glibc"}
_MARK = "node_modules/"
_MEMBERS = ("version", "integrity", "license")


class Wanted(Document):
    """A package as npm's lock has it. `shipped`: its code is in the console, not only in the tools that build it."""

    name: Annotated[str, Field(pattern=r"^(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*$", max_length=214)]
    version: Annotated[str, Field(pattern=r"^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$")]
    licence: Licence
    integrity: Annotated[str, Field(pattern=r"^sha512-[A-Za-z0-9+/]{86}==$")]
    shipped: bool

    @property
    def spec(self) -> str:
        """What npm is asked for."""
        return f"{self.name}@{self.version}"


class Package(Wanted):
    """A locked package: its tarball."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: int


class ConsoleLock(Document):
    """`ui.lock.json`. `npm_lock` is the SHA-256 of the `package-lock.json` that it was made from."""

    npm_lock: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    packages: dict[str, Package]

    def check(self, npm_lock: bytes) -> None:
        """Raise `LockError` when `package-lock.json` is another than the one that this was made from."""
        if hashlib.sha256(npm_lock).hexdigest() != self.npm_lock:
            raise LockError(
                "ui.lock.json: was made from another ui/package-lock.json than this checkout's",
                subject="ui.lock.json",
                hint="run `routeiq vendor lock --what console`",
            )


def wanted(npm_lock: Mapping[str, Any]) -> dict[str, Wanted]:
    """Return place (`node_modules/react`) → package, for the target's platform.

    Raises `LockError` naming a package that comes from elsewhere than a registry, or whose licence is not permissive.
    """
    found = {}
    for place, entry in _entries(npm_lock).items():
        if not _suits(entry):
            continue
        name = str(entry.get("name", place.rpartition(_MARK)[2]))
        missing = [member for member in _MEMBERS if not isinstance(entry.get(member), str)]
        if missing or entry.get("link"):
            what = (
                "is no package of a registry"
                if "integrity" in missing or entry.get("link")
                else "has no licence"
            )
            raise LockError(f"package-lock.json: {place} {what}", subject=place)
        if entry["license"] not in LICENCES:
            raise LockError(
                f"package-lock.json: {name}: licence {entry['license']} is none of {', '.join(sorted(LICENCES))}",
                subject=name,
            )
        found[place] = Wanted(
            name=name, version=entry["version"], licence=entry["license"], integrity=entry["integrity"],
            shipped=not entry.get("dev", False),
        )  # fmt: skip
    return found


def placed(npm_lock: Mapping[str, Any], tarballs: Mapping[str, str]) -> dict[str, Any]:
    """Return npm's lock for the target alone, its places replaced by files (place → path): npm needs no registry then.

    What is optional and not there is not named either, or npm would look for it.
    """
    names = {place.rpartition(_MARK)[2] for place in tarballs}
    packages: dict[str, Any] = {"": npm_lock["packages"][""]}
    for place, path in tarballs.items():
        entry = {**npm_lock["packages"][place], "resolved": f"file:{path}"}
        if "optionalDependencies" in entry:
            options = entry["optionalDependencies"].items()
            entry["optionalDependencies"] = {name: version for name, version in options if name in names}
        packages[place] = entry
    return {**npm_lock, "packages": packages}


def tidied(npm_lock: Mapping[str, Any]) -> dict[str, Any]:
    """Return npm's lock without hosts: neither where a package came from nor who asks for money for it."""
    packages = {
        place: {key: value for key, value in entry.items() if key not in {"funding", "resolved"}}
        for place, entry in npm_lock["packages"].items()
    }
    return {**npm_lock, "packages": packages}


def _entries(npm_lock: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    packages = npm_lock.get("packages")
    if npm_lock.get("lockfileVersion") != 3 or not isinstance(packages, dict):
        raise LockError("package-lock.json: is not of version 3", subject="package-lock.json")
    return {place: entry for place, entry in packages.items() if place}


def _suits(entry: Mapping[str, Any]) -> bool:
    """Whether a package is for the target: npm's `os`, `cpu` and `libc` name what it is for, or `!` what it is not."""
    for field, ours in _TARGET.items():
        named = entry.get(field)
        if not named:
            continue
        if f"!{ours}" in named or (ours not in named and not all(name.startswith("!") for name in named)):
            return False
    return True
