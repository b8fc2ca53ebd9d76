"""A file tree in memory: what a layer will hold, by normalised path, whatever the host's files look like.

Decides paths, modes and owners; leaves bytes where they are (in memory or in a file) until a layer is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from routeiq_images.errors import ImagesError

__all__ = ["Entry", "Tree"]

# Debian 12 has one /usr: what packages still ship in the old places goes where the links point.
_USR_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True)
class Entry:
    """A file (`content`), a symbolic link (`target`) or a directory (neither). `mode` has permission bits only."""

    mode: int
    content: bytes | Path | None = None
    target: str | None = None
    uid: int = 0
    gid: int = 0

    @property
    def is_directory(self) -> bool:
        """Tell whether this is a directory."""
        return self.content is None and self.target is None


class Tree:
    """Entries by path, without leading slash; parents come into being as 0755 directories of root."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._entries

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Yield (path, entry) in the order of a layer: parents before children, otherwise by name."""
        for path in sorted(self._entries, key=lambda path: path.split("/")):
            yield path, self._entries[path]

    def add(self, path: str, entry: Entry) -> None:
        """Put `entry` at `path`; raises `ImagesError` for a path that leaves the tree or meets another file."""
        path = _normalise(path)
        if not path:
            return
        before = self._entries.get(path)
        if before is not None and not (before.is_directory and entry.is_directory):
            if _same(before, entry):
                return
            raise ImagesError(f"{path}: two sources of one file", subject=path)
        parent = path.rpartition("/")[0]
        if parent and parent not in self._entries:
            self.add(parent, Entry(0o755))
        self._entries[path] = entry

    def file(self, path: str, content: bytes | Path, mode: int = 0o644, uid: int = 0) -> None:
        """Add a regular file."""
        self.add(path, Entry(mode, content=content, uid=uid, gid=uid))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        self.add(path, Entry(0o777, target=target))

    def directory(self, path: str, mode: int = 0o755, uid: int = 0) -> None:
        """Add a directory, or set the mode and owner of one."""
        self.add(path, Entry(mode, uid=uid, gid=uid))

    def folder(self, place: str, source: Path) -> None:
        """Add every file below `source` at `place`; modes become 0755 for executables and 0644 for the rest."""
        for path in sorted(source.rglob("*")):
            inside = f"{place}/{path.relative_to(source).as_posix()}"
            if path.is_symlink():
                self.link(inside, str(path.readlink()))
            elif path.is_dir():
                self.directory(inside)
            else:
                self.file(inside, path, 0o755 if path.stat().st_mode & 0o100 else 0o644)

    def without(self, paths: Self) -> "Tree":
        """Return this tree less the files that `paths` has too."""
        left = Tree()
        for path, entry in self._entries.items():
            if path not in paths or (entry.is_directory and entry != paths[path]):
                left._entries[path] = entry
        return left

    def materialise(self, folder: Path) -> None:
        """Write the tree below `folder`, as the user who runs this; for running programs out of it."""
        for path, entry in self.items():
            place = folder / path
            if entry.is_directory:
                place.mkdir(parents=True, exist_ok=True)
            elif entry.target is not None:
                place.symlink_to(entry.target)
            else:
                content = entry.content
                place.write_bytes(content if isinstance(content, bytes) else Path(content or "").read_bytes())
                place.chmod(entry.mode)


def _same(one: Entry, two: Entry) -> bool:
    return replace(one, content=None) == replace(two, content=None) and _bytes(one) == _bytes(two)


def _bytes(entry: Entry) -> bytes | None:
    return entry.content.read_bytes() if isinstance(entry.content, Path) else entry.content


def _normalise(path: str) -> str:
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ImagesError(f"{path}: leaves the tree", subject=path)
    if parts and parts[0] in _USR_MERGED and len(parts) > 1:
        parts.insert(0, "usr")
    return "/".join(parts)
