"""Fetches single packages from a mirror that keeps old ones, by the path that the lock names."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

from routeiq_signing.progress import Advance, Progress
from routeiq_vendor.debs.lock import LockedDeb
from routeiq_vendor.errors import PoolError
from routeiq_vendor.limits import LIMITS
from routeiq_vendor.pool import Pool

__all__ = ["fetch_from_archive"]

_TIMEOUT = 60.0  # seconds without a byte


def _read(response: IO[bytes], size: int, advance: Advance) -> Iterator[bytes]:
    left = size + 1  # one byte more than announced is enough to be refused by digest
    while left and (chunk := response.read(min(LIMITS.chunk, left))):
        left -= len(chunk)
        advance(len(chunk))
        yield chunk


def fetch_from_archive(bases: str, name: str, deb: LockedDeb, *, pool: Pool, progress: Progress) -> bool:
    """Try each base URL (space-separated); True when the pool holds the package afterwards.

    Not found, unreachable and other content all mean "not here": the digest decides what is taken.
    """
    for base in bases.split():
        url = f"{base.rstrip('/')}/{quote(deb.filename)}"
        if not url.startswith(("https://", "http://", "file://")):
            continue
        try:
            with (
                urllib.request.urlopen(url, timeout=_TIMEOUT) as response,  # noqa: S310 - checked above
                progress.task(f"{name} {deb.version}", deb.size) as advance,
            ):
                pool.add_stream(_read(response, deb.size, advance), deb.sha256, what=f"{name} {deb.version}")
        except (urllib.error.URLError, OSError, PoolError):
            continue
        return True
    return False
