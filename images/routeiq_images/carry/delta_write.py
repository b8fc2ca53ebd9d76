"""Writes a delta, and tries it out before it is put in place: NEW from OLD, byte for byte, or it is not kept."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.carry.apply import Rebuilt
from routeiq_images.carry.carried_file import CHUNK, NamedFile, new_file, open_file, refuse_same_file
from routeiq_images.carry.delta import DELTA_MEMBER, Delta, held_by, missing_from
from routeiq_images.carry.delta_tar import Head, TarReader, read_head
from routeiq_images.errors import ImagesError
from routeiq_signing.manifest import FileEntry
from routeiq_signing.progress import Advance, Progress
from routeiq_signing.tar_format import end_padding, header, padding

__all__ = ["DeltaMade", "write_delta"]


@dataclass(frozen=True, slots=True)
class DeltaMade:
    """What was written; sizes are bytes, digests are of the bundles' bundle.json."""

    path: Path
    size: int
    old: str
    new: str
    files: tuple[FileEntry, ...]
    new_size: int


def write_delta(old: Path, new: Path, out: Path, progress: Progress) -> DeltaMade:
    """Write what NEW has and OLD lacks to `out`; a function of the two files alone.

    Raises `ImagesError` when one of them is no whole bundle of ours, or is damaged. No signature is checked: who
    applies the delta does that.
    """
    refuse_same_file(out, old, new)
    with open_file(old) as before, open_file(new) as after, new_file(out) as file:
        source = TarReader(before)
        had = read_head(source, str(old))
        held = held_by(had.entries, source.offset)
        reader = TarReader(after)
        head = read_head(reader, str(new))
        wanted = missing_from(held, head.entries)
        places = held_by(head.entries, reader.offset)
        with progress.task(f"write {out.name}", sum(entry.size for entry in wanted)) as advance:
            _write_head(file, Delta(had.digest, head.digest), head)
            for entry in wanted:
                reader.seek(places[entry.sha256, entry.size].offset)
                _copy(reader, entry, places[entry.sha256, entry.size].path, file, advance)
            file.write(bytes(end_padding(file.tell())))
        size = file.tell()
        new_size = after.seek(0, 2)
        with progress.task(f"try {out.name}", new_size) as advance:
            _try_out(Rebuilt(before, file), after, advance)
    return DeltaMade(out, size, had.digest, head.digest, tuple(wanted), new_size)


def _write_head(file: NamedFile, delta: Delta, head: Head) -> None:
    for name, content in {DELTA_MEMBER: delta.to_bytes(), **head.members}.items():
        file.write(header(name, len(content)) + content + bytes(padding(len(content))))


def _copy(reader: TarReader, entry: FileEntry, place: str, file: NamedFile, advance: Advance) -> None:
    digest = hashlib.sha256()
    file.write(header(entry.path, entry.size))
    for piece in reader.member(FileEntry(place, entry.sha256, entry.size)):
        digest.update(piece)
        file.write(piece)
        advance(len(piece))
    file.write(bytes(padding(entry.size)))
    if digest.hexdigest() != entry.sha256:
        raise ImagesError(
            f"{entry.path}: its content in NEW has the digest {digest.hexdigest()}, listed is {entry.sha256}",
            subject=entry.path,
            hint="NEW is damaged; `routeiq bundle verify` names what else is",
        )


def _try_out(rebuilt: Rebuilt, new: NamedFile, advance: Advance) -> None:
    new.seek(0)
    while piece := rebuilt.read(CHUNK):
        if _exactly(new, len(piece)) != piece:
            raise ImagesError(
                f"{new.path}: would not come out the same: OLD or NEW is damaged, or changed meanwhile",
                subject=str(new.path),
                hint="`routeiq bundle verify` both",
            )
        advance(len(piece))
    if new.read(1):
        raise ImagesError(f"{new.path}: goes on after its end", subject=str(new.path))


def _exactly(file: NamedFile, count: int) -> bytes:
    data = bytearray()
    while len(data) < count and (more := file.read(count - len(data))):
        data += more
    return bytes(data)
