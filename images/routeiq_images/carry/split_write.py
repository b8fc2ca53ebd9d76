"""Cuts a file into parts, with parity parts where they are wanted; run again, it writes only what is not there."""

import hashlib
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from routeiq_images.carry.carried_file import NamedFile, new_file, open_file
from routeiq_images.carry.parity import BLOCK, Code
from routeiq_images.carry.split import LIST_NAME, PartsList, check_plan
from routeiq_images.carry.split_files import block_at, pieces, read_list
from routeiq_images.errors import ImagesError
from routeiq_signing.files import write_atomic
from routeiq_signing.progress import Advance, Progress

__all__ = ["write_parts"]


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None:
        """See hashlib."""


def write_parts(source: Path, folder: Path, part_size: int, parity: int, progress: Progress) -> PartsList:
    """Write the parts of `source` (sizes in bytes) and their list, which comes last, into `folder`.

    Raises `ImagesError` when it cannot be cut so, changes meanwhile, or the folder holds another file's parts.
    """
    with open_file(source) as file:
        size = os.fstat(file.fileno()).st_size
        check_plan(source.name, size, part_size, parity)
        count = -(-size // part_size)
        code = Code(count, parity) if parity else None
        folder.mkdir(parents=True, exist_ok=True)
        plan = PartsList(source.name, size, "", part_size, ("",) * count, ())
        before = _before(folder, plan)
        whole, digests = hashlib.sha256(), []
        with progress.task(f"split {source.name}", size) as advance:
            for index in range(count):
                known = before.parts[index] if before else None
                digests.append(_write_part(file, folder, plan, index, known, whole, advance))
        said = replace(plan, sha256=whole.hexdigest(), parts=tuple(digests))
        if code is not None:
            said = _write_parity(file, folder, said, code, progress)
    write_atomic(folder / LIST_NAME, said.to_bytes())
    return said


def _before(folder: Path, plan: PartsList) -> PartsList | None:
    """Return the list that an earlier run left, if it is of this plan; another file's is refused."""
    if not os.path.lexists(folder / LIST_NAME):
        return None
    before = read_list(folder)
    if (before.name, before.size, before.part_size) != (plan.name, plan.size, plan.part_size):
        _refuse_folder(folder, before.name)
    return before


def _refuse_folder(folder: Path, name: str) -> None:
    raise ImagesError(
        f"{folder}: holds other parts, those of another {name} or of another size",
        subject=str(folder),
        hint="name an empty folder",
    )


def _write_part(
    file: NamedFile,
    folder: Path,
    plan: PartsList,
    index: int,
    known: str | None,
    whole: _Hash,
    advance: Advance,
) -> str:
    """Have part `index` in `folder` and return its digest; `known` is what an earlier run said of it."""
    offset, length = plan.part_span(index)
    path = folder / plan.part_name(index)
    there = _digest_of(path, length)
    if there is not None:
        digest = _read(file, offset, length, None, [whole], advance)
        if digest == there and known in {None, digest}:
            return digest
    with new_file(path) as out:
        written = _read(
            file, offset, length, out, [] if there else [whole], (lambda _: None) if there else advance
        )
        if there is not None and written != digest:
            raise ImagesError(f"{file.path}: changed while it was split", subject=str(file.path))
        if known not in {None, written}:
            _refuse_folder(folder, plan.name)
    return written


def _read(
    file: NamedFile, offset: int, length: int, out: NamedFile | None, also: list[_Hash], advance: Advance
) -> str:
    digest = hashlib.sha256()
    file.seek(offset)
    for piece in pieces(file, length):
        for each in (digest, *also):
            each.update(piece)
        if out is not None:
            out.write(piece)
        advance(len(piece))
        length -= len(piece)
    if length:
        raise ImagesError(f"{file.path}: became shorter while it was split", subject=str(file.path))
    return digest.hexdigest()


def _digest_of(path: Path, length: int) -> str | None:
    """Return the digest of a part that is there in its whole length, else None."""
    try:
        with open_file(path, follow=False) as file:
            if os.fstat(file.fileno()).st_size != length:
                return None
            digest = hashlib.sha256()
            for piece in pieces(file, length):
                digest.update(piece)
            return digest.hexdigest()
    except (ImagesError, OSError):
        return None  # absent or unreadable: it is written again, which says what is wrong with the place


def _write_parity(
    file: NamedFile, folder: Path, said: PartsList, code: Code, progress: Progress
) -> PartsList:
    sums = [hashlib.sha256() for _ in said.parts]
    paritys = [hashlib.sha256() for _ in range(code.parity)]
    with ExitStack() as stack:
        outs = [stack.enter_context(new_file(folder / said.parity_name(i))) for i in range(code.parity)]
        with progress.task("parity", said.size) as advance:
            for start in range(0, said.parity_size, BLOCK):
                blocks = []
                for index, sha256 in enumerate(sums):
                    block, real = block_at(file, said, index, start)
                    sha256.update(block[:real])
                    blocks.append(block)
                    advance(real)
                for out, sha256, block in zip(outs, paritys, code.encode(blocks), strict=True):
                    out.write(block)
                    sha256.update(block)
        if tuple(sha256.hexdigest() for sha256 in sums) != said.parts:
            raise ImagesError(f"{file.path}: changed while it was split", subject=str(file.path))
    return replace(said, parity=tuple(sha256.hexdigest() for sha256 in paritys))
