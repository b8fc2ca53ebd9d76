"""Makes NEW out of OLD and a delta, or says why it cannot: one stream, verified as any bundle is while it is written.

The verifier reads a stream that takes each file from the delta or from OLD, so the bytes that it judged are the bytes
in the result: a medium that gives other bytes at a second reading is never read twice. Nothing of NEW's head is parsed
before the verifier has found its signature good, because the stream is made no faster than it is read.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from routeiq_images.carry.carried_file import NamedFile, new_file, open_file, refuse_same_file
from routeiq_images.carry.delta import held_by
from routeiq_images.carry.delta_tar import (
    TarReader,
    head_members,
    is_delta,
    list_files,
    read_delta,
    read_head,
)
from routeiq_images.errors import ImagesError
from routeiq_signing.bundle_file import pinned
from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import PublicKey
from routeiq_signing.manifest import FileEntry
from routeiq_signing.progress import Progress
from routeiq_signing.tar_format import end_padding, header, padding
from routeiq_signing.verify.bundle import Verified, verify_bundle
from routeiq_signing.verify.trust import Trust

__all__ = ["Rebuilt", "apply_delta", "delta_at", "verify_delta"]


class Rebuilt(io.RawIOBase):
    """NEW's tar as a stream, forward only; with `out`, what is read is written there too.

    `from_old` are the paths taken from OLD so far. Raises `ImagesError` when OLD is not the one that the delta names,
    or when neither has a file.
    """

    def __init__(self, old: NamedFile, delta: NamedFile, out: NamedFile | None = None) -> None:
        super().__init__()
        self.from_old: set[str] = set()
        self._old, self._delta, self._out = old, delta, out
        self._pieces = self._run()
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """See `io.RawIOBase.readinto`; 0 only at the end."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        view = memoryview(buffer)
        view[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        if self._out is not None:
            self._out.write(view[:count])
        return count

    def _run(self) -> Iterator[bytes | memoryview]:
        old_name, delta_name = str(self._old.path), str(self._delta.path)
        delta, old = TarReader(self._delta), TarReader(self._old)
        named = read_delta(delta, delta_name)
        before = read_head(old, old_name)
        if before.digest != named.old:
            raise ImagesError(
                f"{old_name}: is the bundle {before.digest}, {delta_name} was made from {named.old}",
                subject=old_name,
                hint="give the bundle that the delta was made from",
            )
        held = held_by(before.entries, old.offset)
        written = 0
        members: dict[str, bytes] = {}
        for name, content in head_members(delta):
            members[name] = content
            if name == "bundle.json" and f"sha256:{hashlib.sha256(content).hexdigest()}" != named.new:
                raise ImagesError(
                    f"{delta_name}: carries another bundle than {named.new}, which it names",
                    subject=delta_name,
                )
            yield header(name, len(content)) + content + bytes(padding(len(content)))
            written += 512 + len(content) + padding(len(content))
        for entry in list_files(members, delta_name):
            if delta.peek() == entry.path:
                source = delta.member(entry)
            elif (place := held.get((entry.sha256, entry.size))) is not None:
                self.from_old.add(entry.path)
                old.seek(place.offset)
                source = old.member(FileEntry(place.path, entry.sha256, entry.size))
            else:
                raise ImagesError(
                    f"{delta_name}: lacks {entry.path}, which {old_name} has not either",
                    subject=delta_name,
                    hint="make the delta again from the OLD that is here",
                )
            yield header(entry.path, entry.size)
            yield from source
            yield bytes(padding(entry.size))
            written += 512 + entry.size + padding(entry.size)
        delta.end()
        yield bytes(end_padding(written))


def delta_at(path: Path) -> bool:
    """Tell whether the file at `path` is a delta (and not a whole bundle or anything else)."""
    with open_file(path) as file:
        return is_delta(file)


def verify_delta(
    delta: Path, old: Path, *, key: PublicKey | Trust, progress: Progress, now: datetime
) -> Verified:
    """Verify the bundle that `delta` makes of `old`, writing nothing; raises as `verify_bundle` does."""
    with open_file(old) as before, open_file(delta) as carried:
        return _verify(Rebuilt(before, carried), key, progress, now)


def apply_delta(
    old: Path, delta: Path, out: Path, *, key: PublicKey | Trust, progress: Progress, now: datetime
) -> Verified:
    """Write NEW's tar to `out`, byte for byte, after all of it was verified; nothing is left there otherwise.

    Raises `VerificationError` for what a signature or a digest refuses, `ImagesError` for what does not fit together.
    """
    refuse_same_file(out, old, delta)
    with open_file(old) as before, open_file(delta) as carried, new_file(out) as file:
        return _verify(Rebuilt(before, carried, file), key, progress, now)


def _verify(rebuilt: Rebuilt, key: PublicKey | Trust, progress: Progress, now: datetime) -> Verified:
    trust = pinned(key) if isinstance(key, PublicKey) else key
    with _blamed(rebuilt):
        return verify_bundle(rebuilt, key=trust, now=now, progress=progress)  # type: ignore[arg-type]


@contextmanager
def _blamed(rebuilt: Rebuilt) -> Iterator[None]:
    """Say of a refused file which of the two it came from."""
    try:
        yield
    except VerificationError as error:
        if error.subject not in rebuilt.from_old:
            raise
        raise VerificationError(
            f"{error}; it was taken from the old bundle",
            step=error.step,
            subject=error.subject,
            hint="the old bundle is damaged here: get another copy of it, or carry the whole new one",
        ) from error
