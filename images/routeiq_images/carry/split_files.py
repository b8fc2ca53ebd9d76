"""The parts of a whole as files in a folder that a stranger may have filled: what is there, and is it whole.

A part is a regular file of the listed size, no link; it is read once for each use, never past its size.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.carry.carried_file import CHUNK, NamedFile, open_file
from routeiq_images.carry.parity import BLOCK
from routeiq_images.carry.split import LIST_NAME, MAX_LIST, PartsList
from routeiq_images.errors import ImagesError
from routeiq_signing.progress import Advance, Progress

__all__ = ["PartFault", "block_at", "check_parts", "copy_part", "fault_text", "pieces", "read_list"]


@dataclass(frozen=True, slots=True)
class PartFault:
    """What is wrong with the file `name`: `missing`, or words that say how it is damaged."""

    name: str
    fault: str


def read_list(folder: Path) -> PartsList:
    """Read `parts.json` of `folder`; raises `ImagesError` naming it."""
    path = folder / LIST_NAME
    with open_file(path, follow=False) as file:
        raw = bytearray()
        while len(raw) <= MAX_LIST and (more := file.read(MAX_LIST + 1 - len(raw))):
            raw += more
    return PartsList.from_bytes(bytes(raw), str(path))


def pieces(file: NamedFile, length: int) -> Iterator[bytes]:
    """Yield the next `length` bytes of `file`, or fewer when it ends before."""
    while length and (piece := file.read(min(length, CHUNK))):
        length -= len(piece)
        yield piece


def copy_part(
    folder: Path,
    listed: PartsList,
    name: str,
    write: Callable[[bytes], object],
    advance: Advance,
    *,
    fresh: bool = False,
) -> PartFault | None:
    """Read the part `name` once, hand its bytes to `write`, and say what is wrong with it, or None.

    With `fresh` the kernel is asked to read the medium, not what it remembers of it.
    """
    expected = listed.expected()
    size, sha256 = expected[name]
    if not os.path.lexists(folder / name):
        return PartFault(name, "missing")
    digest, count = hashlib.sha256(), 0
    try:
        with open_file(folder / name, follow=False) as file:
            found = os.fstat(file.fileno()).st_size
            if found != size:
                return PartFault(name, f"{found} bytes, not {size}")
            if fresh:
                with suppress(OSError):
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            for piece in pieces(file, size):
                digest.update(piece)
                count += len(piece)
                write(piece)
                advance(len(piece))
    except ImagesError as error:
        return PartFault(name, str(error).partition(": ")[2])
    except OSError as error:
        if error.filename != str(folder / name):
            raise
        return PartFault(name, error.strerror or "cannot be read")
    if digest.hexdigest() == sha256:
        return None
    same = [other for other, (_, known) in expected.items() if known == digest.hexdigest()]
    return PartFault(name, f"holds {same[0]}" if same else "damaged, or a part of something else")


def check_parts(folder: Path, progress: Progress) -> tuple[PartsList, list[PartFault]]:
    """Read every part where it lies; return the list and what is wrong, in the order of the parts."""
    listed = read_list(folder)
    expected = listed.expected()
    faults = []
    with progress.task("check", sum(size for size, _ in expected.values())) as advance:
        for name in expected:
            fault = copy_part(folder, listed, name, lambda _piece: None, advance, fresh=True)
            if fault is not None:
                faults.append(fault)
    return listed, faults


def fault_text(faults: list[PartFault]) -> str:
    """Return the faults on a line, at most five of them by name."""
    named = [f"{fault.name} ({fault.fault})" for fault in faults[:5]]
    return ", ".join(named) + (f" and {len(faults) - 5} more" if len(faults) > 5 else "")


def block_at(file: NamedFile, listed: PartsList, index: int, start: int) -> tuple[bytes, int]:
    """Return the block at `start` of data part `index` out of the whole in `file`, zero-padded, and its real length."""
    offset, length = listed.part_span(index)
    want = min(BLOCK, listed.parity_size - start)
    real = max(0, min(want, length - start))
    file.seek(offset + start)
    block = b"".join(pieces(file, real))
    return block + bytes(want - len(block)), real
