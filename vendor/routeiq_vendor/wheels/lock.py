"""Reads the locks that pip-tools writes and chooses the wheel that a requirement means on the target.

Pure: text and names in, requirements and choices out. A lock names every file of a release by its hash, for
all platforms; which of them goes into an image is decided here, by the target's tags alone, so that the
building host's Python has no say. Spec: packaging.python.org "Platform compatibility tags".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from routeiq_vendor.errors import LockError

__all__ = ["PLATFORMS", "TARGET_PYTHON", "Pin", "choose", "moved", "read_lock"]

TARGET_PYTHON = "3.11.2"  # Debian 12's interpreter, which the images carry
_GLIBC = 36  # Debian 12 has glibc 2.36; a wheel for any older one runs there
_LEGACY = {17: "manylinux2014_x86_64", 12: "manylinux2010_x86_64", 5: "manylinux1_x86_64"}


def _platforms() -> tuple[str, ...]:
    names: list[str] = []
    for minor in range(_GLIBC, 4, -1):
        names.append(f"manylinux_2_{minor}_x86_64")
        if minor in _LEGACY:
            names.append(_LEGACY[minor])
    return (*names, "linux_x86_64")


PLATFORMS = _platforms()
"""The target's platform tags, best first."""


@dataclass(frozen=True)
class Pin:
    """One locked distribution: canonical name, exact version, SHA-256 of every file that is allowed."""

    name: str
    version: str
    hashes: frozenset[str]

    @property
    def line(self) -> str:
        """The requirement as pip reads it, with its hashes."""
        return " ".join(
            [f"{self.name}=={self.version}", *(f"--hash=sha256:{h}" for h in sorted(self.hashes))]
        )

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@cache
def _ranks() -> Mapping[Tag, int]:
    python = (3, 11)
    tags = [
        *cpython_tags(python, ["cp311"], PLATFORMS),
        *compatible_tags(python, "cp311", PLATFORMS),
    ]
    return {tag: rank for rank, tag in reversed(list(enumerate(tags)))}


def _logical_lines(text: str) -> Iterable[str]:
    parts: list[str] = []
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("#"):  # pip-tools puts `# via` between a requirement and nothing else
            continue
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            yield " ".join(part for part in parts if part)
            parts = []
    yield " ".join(parts)


def read_lock(text: str, what: str) -> tuple[Pin, ...]:
    """Return a lock's pins, sorted by name; `LockError` for anything that is not an exact, hashed pin.

    A marker is evaluated when the lock is made (under the target's interpreter), never here: one is refused.
    """
    pins: dict[str, Pin] = {}
    for line in _logical_lines(text):
        if not line:
            continue
        spec, *options = line.split(" --hash=sha256:")
        try:
            requirement = Requirement(spec)
        except InvalidRequirement as error:
            raise LockError(f"{what}: not a hashed requirement: {spec[:80]}", subject=what) from error
        versions = [entry.version for entry in requirement.specifier if entry.operator == "=="]
        if len(versions) != 1 or len(requirement.specifier) != 1 or requirement.marker or requirement.url:
            raise LockError(f"{what}: {requirement.name} is not pinned to one version", subject=what)
        hashes = frozenset(option.strip() for option in options)
        if not hashes or not all(len(h) == 64 and set(h) <= set("0123456789abcdef") for h in hashes):
            raise LockError(f"{what}: {requirement.name} has no SHA-256 hash", subject=what)
        name = canonicalize_name(requirement.name)
        if name in pins:
            raise LockError(f"{what}: {name} is pinned twice", subject=what)
        pins[name] = Pin(name, versions[0], hashes)
    return tuple(pins[name] for name in sorted(pins))


def _rank(pin: Pin, filename: str) -> int | None:
    """Return how well a wheel fits the target (0 is best), or None when it does not, or is another release's."""
    try:
        name, version, _build, tags = parse_wheel_filename(filename)
        if name != pin.name or version != Version(pin.version):
            return None
    except (InvalidWheelFilename, InvalidVersion):
        return None
    ranks = [_ranks()[tag] for tag in tags if tag in _ranks()]
    return min(ranks, default=None)


def choose(pin: Pin, known: Mapping[str, str]) -> str | None:
    """Return the file name of the wheel that the pin means on the target, or None when none is known.

    `known` maps file names to hex SHA-256. A wheel whose hash the lock does not name is not considered.
    """
    fits = [
        (rank, filename)
        for filename, sha256 in known.items()
        if sha256 in pin.hashes and (rank := _rank(pin, filename)) is not None
    ]
    return min(fits, default=(0, None))[1]


def moved(old: Iterable[Pin], new: Iterable[Pin]) -> list[tuple[str, str, str]]:
    """Return `(name, old version, new version)` of what differs between two locks; "-" where there is none."""
    before = {pin.name: pin.version for pin in old}
    after = {pin.name: pin.version for pin in new}
    return [
        (name, before.get(name, "-"), after.get(name, "-"))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]
