"""`verify.pyz` as a second opinion: one process of a bare Python that judges what the command's code judges (A8).

The program is the zip itself, started isolated (`-I -S`); it is asked over a pipe, because starting it a thousand times
would cost minutes. `ROUTEIQ_PYZ_PYTHON` names another Python to run it with, 3.9 or newer.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.errors import SigningError
from routeiq_signing.keys import PublicKey
from routeiq_signing.progress import Progress
from routeiq_signing.pyz import build_pyz
from routeiq_signing.verify.bundle import Verified

__all__ = ["Twin", "Verdict", "by_both", "twin", "verify_by_both"]

_SERVER = """
import contextlib, io, json, sys, traceback
from datetime import datetime
sys.path.insert(0, sys.argv[1])
from routeiq_signing.standalone import main
for line in sys.stdin:
    job = json.loads(line)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(job["arguments"], datetime.fromisoformat(job["now"]))
        except SystemExit as stopped:
            code = stopped.code
        except BaseException:
            code = traceback.format_exc()
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
"""


@dataclass(frozen=True)
class Verdict:
    """Accepted with a digest, or refused: which file, at which step."""

    digest: str | None = None
    subject: str | None = None
    step: int = 0

    @classmethod
    def accepted(cls, digest: str) -> Verdict:
        return cls(digest=digest)

    @classmethod
    def refused(cls, error: SigningError) -> Verdict:
        return cls(subject=error.subject, step=getattr(error, "step", 0))


def by_both(tar: Path, judge: Callable[[], Verified], *arguments: str, now: datetime) -> Verified:
    """Return what `judge` makes of `tar`, or raise what it raises; fail unless `verify.pyz` says the same of it."""
    told = twin().verdict(tar, *arguments, now=now)
    try:
        verified = judge()
    except SigningError as error:
        _same(told, Verdict.refused(error))
        raise
    _same(told, Verdict.accepted(verified.report.digest))
    return verified


def verify_by_both(
    tar: Path, *, key: PublicKey, progress: Progress, now: datetime, copy_to: Path | None = None
) -> Verified:
    """Stand in for `verify_bundle_file`, with `by_both`."""
    return by_both(
        tar,
        lambda: verify_bundle_file(tar, key=key, progress=progress, now=now, copy_to=copy_to),
        *twin().keys(key),
        now=now,
    )


def _same(told: Verdict, expected: Verdict) -> None:
    assert told == expected


class Twin:
    """The running program."""

    def __init__(self, python: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="verify-pyz-")
        pyz = Path(self._folder.name) / "verify.pyz"
        pyz.write_bytes(build_pyz())
        self._process = subprocess.Popen(
            [python, "-I", "-S", "-c", _SERVER, str(pyz)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, now: datetime) -> dict[str, Any]:
        """Return code, stdout and stderr of `verify.pyz` with `arguments`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"arguments": arguments, "now": now.isoformat()}) + "\n")
        self._process.stdin.flush()
        result: dict[str, Any] = json.loads(self._process.stdout.readline())
        return result

    def verdict(self, tar: Path, *arguments: str, now: datetime) -> Verdict:
        """Return what it says of `tar`; a crash, another exit code than 0 and 1, or half a report is a failure."""
        result = self.run(str(tar), *arguments, "--json", now=now)
        assert result["code"] in {0, 1}, result
        told = json.loads(result["out"])
        assert told["accepted"] is (result["code"] == 0)
        assert bool(result["err"]) is (result["code"] == 1)
        return Verdict(told["digest"]) if told["accepted"] else Verdict(None, told["subject"], told["step"])

    def keys(self, *keys: PublicKey) -> list[str]:
        """Return the options that name `keys`."""
        options = []
        for key in keys:
            path = Path(self._folder.name) / f"{key.keyid}.pem"
            path.write_bytes(key.pem)
            options += ["--key", str(path)]
        return options

    def close(self) -> None:
        """End the program."""
        self._process.communicate()
        self._folder.cleanup()


@cache
def twin() -> Twin:
    """Return this test run's program."""
    made = Twin(os.environ.get("ROUTEIQ_PYZ_PYTHON", sys.executable))
    atexit.register(made.close)
    return made
