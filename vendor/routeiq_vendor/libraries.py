"""Whether a set of files has every shared library that its ELF files need.

Dropping packages that nothing uses is only safe while this holds. It looks at names (DT_NEEDED against the
files present, as `readelf -d` shows them), not at symbols or at what is loaded by `dlopen`.
"""

import fnmatch
import io
import lzma
import tarfile
import zipfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from debian.arfile import ArError
from debian.debfile import DebError, DebFile
from elftools.common.exceptions import ELFError
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from routeiq_vendor.errors import LockError

__all__ = ["Contents", "deb_contents", "missing_libraries", "needed_libraries", "wheel_contents"]

_ELF = b"\x7fELF"


@dataclass(frozen=True)
class Contents:
    """`names`: base names of all files and links; `needed`: path of each ELF file → what it needs."""

    names: frozenset[str]
    needed: dict[str, tuple[str, ...]]


def needed_libraries(data: bytes) -> tuple[str, ...]:
    """Return the DT_NEEDED names of an ELF file, sorted; none for a static one. Raises `LockError` on damage."""
    try:
        dynamic = ELFFile(io.BytesIO(data)).get_section_by_name(".dynamic")
        if not isinstance(dynamic, DynamicSection):
            return ()
        return tuple(sorted(tag.needed for tag in dynamic.iter_tags("DT_NEEDED")))  # type: ignore[attr-defined]
    except ELFError as error:
        raise LockError(f"not a readable ELF file: {error}") from error


def _contents(members: Iterable[tuple[str, bytes]], names: Iterable[str]) -> Contents:
    needed = {path: needed_libraries(data) for path, data in members}
    return Contents(frozenset(PurePosixPath(name).name for name in names), needed)


def deb_contents(path: Path) -> Contents:
    """Read the ELF files of a .deb."""
    names: list[str] = []

    def members() -> Iterator[tuple[str, bytes]]:
        with DebFile(str(path)) as deb, deb.data.tgz() as archive:
            for info in archive:
                if info.isdir():
                    continue
                names.append(info.name)
                file = archive.extractfile(info) if info.isreg() else None
                if file is not None and file.read(4) == _ELF:
                    yield info.name.removeprefix("./"), _ELF + file.read()

    try:
        pairs = list(members())
    except (ArError, DebError, tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise LockError(f"{path.name}: not a readable .deb: {error}", subject=path.name) from error
    return _contents(pairs, names)


def wheel_contents(path: Path) -> Contents:
    """Read the ELF files of a wheel."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            shared = [name for name in names if ".so" in PurePosixPath(name).name]
            return _contents([(n, data) for n in shared if (data := archive.read(n)).startswith(_ELF)], names)
    except zipfile.BadZipFile as error:
        raise LockError(f"{path.name}: not a wheel: {error}", subject=path.name) from error


def missing_libraries(contents: Iterable[Contents], unused: Collection[str] = ()) -> dict[str, list[str]]:
    """Return path → libraries that no file provides; files that match a glob of `unused` are left out."""
    contents = list(contents)
    present = frozenset[str]().union(*(one.names for one in contents))
    result: dict[str, list[str]] = {}
    for one in contents:
        for path, needed in one.needed.items():
            absent = [name for name in needed if name not in present]
            if absent and not any(fnmatch.fnmatchcase(path, glob) for glob in unused):
                result[path] = absent
    return dict(sorted(result.items()))
