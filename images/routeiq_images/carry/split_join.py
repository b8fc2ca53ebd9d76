"""Puts parts together again: what is whole is copied once, what is not is named, and the whole has the last word.

The copy grows beside the result, as `.NAME.joining`, on a disk of ours. Run again, from the same medium or the next
one, it takes only the parts that the copy lacks. Lost parts are restored from parity where there is enough of it. When
every part is there the whole's digest is compared, then the caller judges it (signatures), in the copy that becomes
the result and never on the medium. Only after that may parts be deleted.
"""

import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.carry.carried_file import NamedFile, open_file, sync_folder
from routeiq_images.carry.parity import BLOCK, Code
from routeiq_images.carry.split import LIST_NAME, PartsList
from routeiq_images.carry.split_files import PartFault, block_at, copy_part, fault_text, pieces, read_list
from routeiq_images.errors import ImagesError
from routeiq_signing.files import named_file
from routeiq_signing.progress import Progress

__all__ = ["Joined", "join_parts"]


@dataclass(frozen=True, slots=True)
class Joined:
    """What was done: names of parts `copied` now, of those that were `kept` from an earlier run, and `restored`."""

    listed: PartsList
    copied: tuple[str, ...]
    kept: tuple[str, ...]
    restored: tuple[str, ...]


def join_parts(
    folder: Path,
    out: Path,
    progress: Progress,
    *,
    judge: Callable[[NamedFile], object] | None = None,
    delete: bool = False,
) -> Joined:
    """Join the parts in `folder` into `out`; `judge` raises to refuse the whole, which then does not come to `out`.

    Raises `ImagesError` naming every part that is missing or damaged; those that are whole stay copied. With `delete`,
    which needs a judge, the parts and their list are removed at the very end.
    """
    if delete and judge is None:
        raise ImagesError(
            f"{folder}: no part is deleted before the whole is verified", hint="give --key FILE or --root"
        )
    listed = read_list(folder)
    if out.exists() and any(_same(out, folder / name) for name in (*listed.expected(), LIST_NAME)):
        raise ImagesError(f"{out}: is one of the parts", subject=str(out), hint="name another file")
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = named_file(out).with_name(f".{out.name}.joining")
    with _copy(beside) as file:
        joined = _fill(folder, listed, file, progress)
        _check_whole(file, listed, beside, progress)
        if judge is not None:
            file.seek(0)
            judge(file)
        file.sync()
        os.fchmod(file.fileno(), 0o644)
        beside.replace(out)
        sync_folder(out.parent)
    if delete:
        for name in (*listed.expected(), LIST_NAME):
            (folder / name).unlink(missing_ok=True)
    return joined


def _same(one: Path, two: Path) -> bool:
    return two.exists() and one.samefile(two)


@contextmanager
def _copy(beside: Path) -> Iterator[NamedFile]:
    """Yield the growing copy, ours alone."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(beside, flags, 0o600)
    except OSError as error:
        raise ImagesError(f"{beside}: {error.strerror}", subject=str(beside)) from None
    with NamedFile(descriptor, "r+b", beside) as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ImagesError(f"{beside}: not a regular file", subject=str(beside))
        # Whoever put it there, or holds it under another name, could change it after it was verified.
        if found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise ImagesError(
                f"{beside}: belongs to somebody else, or has a second name",
                subject=str(beside),
                hint="remove it, or join into a folder that only you may write to",
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ImagesError(f"{beside}: another join is writing it", subject=str(beside)) from None
        yield file


def _fill(folder: Path, listed: PartsList, file: NamedFile, progress: Progress) -> Joined:
    """Bring every part into the copy; raises `ImagesError` naming those that could not be."""
    had = os.fstat(file.fileno()).st_size
    if had > listed.size:
        os.ftruncate(file.fileno(), listed.size)
    kept, copied, faults = [], [], {}
    with progress.task(f"join {listed.name}", listed.size) as advance:
        for index in range(len(listed.parts)):
            offset, length = listed.part_span(index)
            name = listed.part_name(index)
            if offset + length <= had and _digest_at(file, offset, length) == listed.parts[index]:
                kept.append(name)
                advance(length)
                continue
            file.seek(offset)
            fault = copy_part(folder, listed, name, file.write, advance)
            if fault is None:
                copied.append(name)
            else:
                faults[index] = fault
    restored: list[str] = []
    if faults and listed.parity:
        restored = _restore(folder, listed, file, faults, progress)
    if faults:
        _refuse(folder, listed, list(faults.values()))
    return Joined(listed, tuple(copied), tuple(kept), tuple(restored))


def _refuse(folder: Path, listed: PartsList, faults: list[PartFault]) -> None:
    missing = all(fault.fault == "missing" for fault in faults)
    more = f"{len(faults)} of {len(listed.parts)} parts are not whole"
    raise ImagesError(
        f"{folder}: {more}: {fault_text(faults)}",
        subject=faults[0].name,
        hint=("put in the medium that has them" if missing else "copy these parts again, and these alone")
        + "; then run the same command: what is whole is not copied twice",
    )


def _digest_at(file: NamedFile, offset: int, length: int) -> str:
    digest = hashlib.sha256()
    file.seek(offset)
    for piece in pieces(file, length):
        digest.update(piece)
    return digest.hexdigest()


def _restore(
    folder: Path, listed: PartsList, file: NamedFile, faults: dict[int, PartFault], progress: Progress
) -> list[str]:
    """Restore as many of the parts in `faults` as parity allows, all or none; take them out of `faults`."""
    count = len(listed.parts)
    good: list[int] = []
    with progress.task("check parity", len(listed.parity) * listed.parity_size) as advance:
        for index in range(len(listed.parity)):
            name = listed.parity_name(index)
            if len(good) < len(faults) and copy_part(folder, listed, name, lambda _: None, advance) is None:
                good.append(index)
    if len(good) < len(faults):
        return []
    lost = sorted(faults)
    code = Code(count, len(listed.parity))
    sums = {index: hashlib.sha256() for index in lost}
    with ExitStack() as stack, progress.task("restore", listed.parity_size) as advance:
        parity = {
            index: stack.enter_context(open_file(folder / listed.parity_name(index), follow=False))
            for index in good
        }
        for start in range(0, listed.parity_size, BLOCK):
            blocks = {
                index: block_at(file, listed, index, start)[0]
                for index in range(count)
                if index not in faults
            }
            want = min(BLOCK, listed.parity_size - start)
            for index, source in parity.items():
                source.seek(start)
                blocks[count + index] = b"".join(pieces(source, want)).ljust(want, b"\0")
            for index, block in zip(lost, code.restore(blocks, lost), strict=True):
                offset, length = listed.part_span(index)
                real = block[: max(0, min(len(block), length - start))]
                sums[index].update(real)
                file.seek(offset + start)
                file.write(real)
            advance(want)
    done = [index for index in lost if sums[index].hexdigest() == listed.parts[index]]
    for index in done:
        del faults[index]
    return [listed.part_name(index) for index in done]


def _check_whole(file: NamedFile, listed: PartsList, beside: Path, progress: Progress) -> None:
    digest = hashlib.sha256()
    file.seek(0)
    with progress.task("check the whole", listed.size) as advance:
        for piece in pieces(file, listed.size):
            digest.update(piece)
            advance(len(piece))
    if digest.hexdigest() != listed.sha256:
        raise ImagesError(
            f"{beside}: every part is as {LIST_NAME} says, the whole is not",
            subject=str(beside),
            hint=f"{LIST_NAME} is wrong: copy it again from where the parts were made",
        )
