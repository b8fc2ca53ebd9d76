"""`python3 verify.pyz TAR --key PUB`: the verifier for a host that has nothing but Python 3.9.

The same rules as `routeiq bundle verify`, with P-256 in plain Python. Exit 0 accepted, 1 refused, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from routeiq_signing import _p256
from routeiq_signing.errors import RouteIQError
from routeiq_signing.files import read_capped
from routeiq_signing.limits import LIMITS
from routeiq_signing.verify.bundle import PinnedKey, verify_bundle

__all__ = ["main"]


class _TerminalProgress:
    """One line with share, rate and time left, on a terminal only."""

    @contextmanager
    def task(self, what: str, total: int | None, unit: str = "B") -> Iterator[Callable[[int], object]]:
        """See `progress.Progress.task`; `unit` is always bytes here."""
        del unit
        if not sys.stderr.isatty() or not total:
            yield lambda _amount: None
            return
        done, start, shown = 0, time.monotonic(), 0.0

        def advance(amount: int) -> None:
            nonlocal done, shown
            done += amount
            now = time.monotonic()
            if now - shown > 0.2:
                shown = now
                rate = done / max(now - start, 1e-6)
                left = (total - done) / rate if rate else 0
                sys.stderr.write(
                    f"\r{what} {100 * done // total:3d} %  {rate / 1e6:6.0f} MB/s  {left:4.0f} s left "
                )
                sys.stderr.flush()

        try:
            yield advance
        finally:
            sys.stderr.write("\r" + " " * 60 + "\r")


def main(arguments: list[str] | None = None) -> int:
    """Run the verifier; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="verify.pyz",
        description="Verify a RouteIQ bundle with the public key that you were given by a second channel.",
    )
    parser.add_argument("tar", metavar="TAR", type=Path, help="the bundle, routeiq-<version>-linux-amd64.tar")
    parser.add_argument("--key", metavar="PUB", type=Path, required=True, help="PEM public key (ECDSA P-256)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON on stdout")
    options = parser.parse_args(arguments)
    try:
        keyid, point = _p256.read_public_pem(read_capped(options.key, LIMITS.key_file), str(options.key))
        key = PinnedKey(keyid, lambda signature, message: _p256.verify(point, signature, message))
        with options.tar.open("rb", buffering=0) as tar:
            report = verify_bundle(
                tar, key=key, now=datetime.now(timezone.utc), progress=_TerminalProgress()
            ).report
    except RouteIQError as error:
        return _refused(str(error), error.hint, error.subject, as_json=options.json)
    except OSError as error:
        return _refused(f"{options.tar}: {error.strerror}", None, str(options.tar), as_json=options.json)
    print(json.dumps(report.to_json(), indent=2, sort_keys=True) if options.json else report.to_text())  # noqa: T201
    return 0


def _refused(message: str, hint: str | None, subject: str | None, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"accepted": False, "error": message, "subject": subject}, indent=2))  # noqa: T201
    sys.stderr.write(f"error: {message}\n" + (f"\nhint: {hint}\n" if hint else ""))
    return 1
