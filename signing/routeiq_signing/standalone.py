"""`python3 verify.pyz TAR --key PUB` or `--root STATE`: the verifier for a host that has only Python 3.9.

The same rules as `routeiq bundle verify`, with P-256 and TUF's rules in plain Python. It judges by a site's state and
never writes it. Exit 0 accepted, 1 refused, 2 wrong usage.
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
from typing import BinaryIO

from routeiq_signing.errors import RouteIQError, SigningError, VerificationError
from routeiq_signing.files import read_capped
from routeiq_signing.limits import LIMITS
from routeiq_signing.standalone_trust import Basis, built_by, by_keys, by_root
from routeiq_signing.verify.bundle import verify_bundle

__all__ = ["main"]

_ELSEWHERE = ("--identity", "--issuer", "--trusted-root", "--trusted-root-sha256", "--old")


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


def main(arguments: list[str] | None = None, now: datetime | None = None) -> int:
    """Run the verifier; returns the exit code. `now` is the system's clock unless given."""
    options = _options(arguments)
    now = now or datetime.now(timezone.utc)
    try:
        basis = built_by(_basis(options, now), options.tar, options.builder_key, options.require_builders)
        if options.tar.exists() and not options.tar.is_file():
            raise SigningError(f"{options.tar}: not a regular file", subject=str(options.tar))
        with options.tar.open("rb", buffering=0) as tar:
            _refuse_delta(tar, options.tar)
            report = verify_bundle(tar, key=basis.trust, now=now, progress=_TerminalProgress()).report
    except RouteIQError as error:
        return _refused(error, as_json=options.json)
    except OSError as error:
        where = str(error.filename or options.tar)
        fault = RouteIQError(f"{where}: {error.strerror}", subject=where)
        return _refused(fault, as_json=options.json)
    report.notes.extend(basis.notes)
    report.lacks.extend(basis.lacks)
    report.warnings.extend(basis.lacks)
    print(json.dumps(report.to_json(), indent=2, sort_keys=True) if options.json else report.to_text())  # noqa: T201
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="verify.pyz",
        description="Verify a RouteIQ bundle by public keys, or a root, that you were given by a second channel.",
        epilog="Knows keys and roots (ECDSA P-256). Identities and deltas need the command, `routeiq`.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("tar", metavar="TAR", type=Path, help="the bundle, routeiq-<version>-linux-amd64.tar")
    by = parser.add_mutually_exclusive_group(required=True)
    by.add_argument("--key", metavar="PUB", type=Path, action="append", help="PEM public key (repeatable)")
    by.add_argument(
        "--root",
        metavar="STATE_OR_ROOT",
        nargs="+",
        type=Path,
        help="the site's trust (its folder, or state.json; only read), or N.root.json; then the roots that follow it",
    )
    add("--require", metavar="N", type=_count, help="how many of several --key must have signed (1)")
    add("--fingerprint", metavar="HEX", help="with --root N.root.json: its SHA-256, from the second channel")
    add(
        "--allow-rollback",
        metavar="REASON",
        help="with --root STATE: take an older bundle; the report says so",
    )
    add(
        "--builder-key",
        metavar="PUB",
        type=Path,
        action="append",
        default=[],
        help="a builder's key (repeatable)",
    )
    add(
        "--require-builders", metavar="N", type=_count, help="how many of them must have built it again (all)"
    )
    add("--json", action="store_true", help="print the report as JSON on stdout")
    for name in _ELSEWHERE:
        add(name, dest="elsewhere", action="append", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.elsewhere:
        parser.error(f"{', '.join(_ELSEWHERE)}: only `routeiq bundle verify` knows these")
    if options.root is None and (options.allow_rollback is not None or options.fingerprint is not None):
        parser.error("--allow-rollback and --fingerprint go with --root: a key knows of no older bundle")
    if options.key is None and options.require is not None:
        parser.error("--require goes with --key: a root says itself how many must sign")
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _basis(options: argparse.Namespace, now: datetime) -> Basis:
    if options.key is not None:
        return by_keys(options.key, options.require or 1)
    pinned, *following = options.root
    return by_root(
        pinned,
        {str(path): read_capped(path, LIMITS.tuf_metadata) for path in following},
        options.tar,
        now,
        fingerprint=options.fingerprint,
        allow_rollback=options.allow_rollback,
    )


def _refuse_delta(tar: BinaryIO, path: Path) -> None:
    if not tar.seekable():
        return
    if tar.read(100).rstrip(b"\0") == b"delta.json":
        raise SigningError(
            f"{path}: is a delta, it holds only what an older bundle lacks",
            subject=str(path),
            hint="`routeiq bundle apply OLD DELTA --out NEW` verifies it and makes the whole bundle",
        )
    tar.seek(0)


def _refused(error: RouteIQError, *, as_json: bool) -> int:
    if as_json:
        step = error.step if isinstance(error, VerificationError) else 0
        refusal = {"accepted": False, "error": str(error), "subject": error.subject, "step": step}
        print(json.dumps(refusal, indent=2))  # noqa: T201
    sys.stderr.write(f"error: {error}\n" + (f"\nhint: {error.hint}\n" if error.hint else ""))
    return 1
