"""What `debs.toml` asks for and what `debs.lock.json` fixes. Pure data.

`filename` is a path under whichever mirror or archive is asked, so that a lock names no host.
"""

from typing import Annotated

from pydantic import Field, model_validator

from routeiq_vendor.documents import Document

__all__ = ["DebsLock", "DebsRequests", "ImageRequest", "LockedDeb", "Moved", "moved"]

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9+.-]+$", max_length=100)]  # Debian policy 5.6.1
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9.+:~-]+$", max_length=100)]
Path = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+~%-]*(/[A-Za-z0-9_][A-Za-z0-9._+~%-]*)*$")]


class ImageRequest(Document):
    """One image of `debs.toml`: package names, and globs of files under /."""

    roots: list[Name]
    drop: list[Name]
    unused: list[str]


class DebsRequests(Document):
    """`debs.toml`."""

    suite: Name
    arch: Name
    images: dict[Name, ImageRequest]


class LockedDeb(Document):
    """One binary package at one version; `source` and `source_version` as Debian's tracker spells them."""

    version: Version
    source: Name
    source_version: Version
    filename: Path
    sha256: Sha256
    size: int = Field(ge=0)


class DebsLock(Document):
    """`debs.lock.json`. `drifted_from` is the SHA-256 of the committed lock that a development build left."""

    suite: Name
    arch: Name
    packages: dict[Name, LockedDeb]
    images: dict[Name, list[Name]]
    unused: dict[Name, list[str]]
    drifted_from: Sha256 | None = None

    @model_validator(mode="after")
    def _closed(self) -> "DebsLock":
        for image, names in self.images.items():
            unknown = sorted(set(names) - self.packages.keys())
            if unknown:
                raise ValueError(f"image {image} names {unknown[0]}, which is not in packages")
            if names != sorted(set(names)):
                raise ValueError(f"image {image} is not sorted")
        return self


class Moved(Document):
    """A package whose version differs between two locks; "-" where there is none."""

    name: Name
    source: Name
    locked: str
    used: str


def moved(old: DebsLock, new: DebsLock) -> list[Moved]:
    """Return what differs between two locks, sorted by name."""
    result = []
    for name in sorted(old.packages.keys() | new.packages.keys()):
        before, after = old.packages.get(name), new.packages.get(name)
        if before == after:
            continue
        known = after or before
        if known:
            versions = (before.version if before else "-", after.version if after else "-")
            result.append(Moved(name=name, source=known.source, locked=versions[0], used=versions[1]))
    return result
