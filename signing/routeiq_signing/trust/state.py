"""Where a site keeps its trust: `state.json`, one file for all channels, and `journal.jsonl` beside it.

The folder is ROUTEIQ_TRUST_STATE, else /var/lib/routeiq/trust. A change is journaled first, then `state.json` is
written beside, synced, moved into place and its folder synced: a power cut leaves the old state or the new one. A
state that cannot be read, or that is gone while its journal is there, stops every verification that rests on it.
Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from routeiq_signing.errors import DocumentError, SigningError, TrustStateError
from routeiq_signing.files import read_capped, write_atomic
from routeiq_signing.limits import LIMITS
from routeiq_signing.trust.document import TrustState

__all__ = ["DEFAULT_FOLDER", "StateFolder", "from_text", "to_text"]

DEFAULT_FOLDER = Path("/var/lib/routeiq/trust")
_FORM = "%Y-%m-%dT%H:%M:%SZ"
_DAMAGED = (
    "restore the folder from a backup; without one, move it away, `routeiq trust init` again with the fingerprint"
    " from the second channel, and verify the bundle that is installed before any other: it sets the sequence"
)


class StateFolder:
    """The folder; every change goes through `change`, under a lock."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def find(cls, environ: Mapping[str, str], given: Path | None = None) -> StateFolder:
        """Return `given`, else the folder of ROUTEIQ_TRUST_STATE, else the default."""
        return cls(given or Path(environ.get("ROUTEIQ_TRUST_STATE") or DEFAULT_FOLDER))

    @property
    def file(self) -> Path:
        """Return the state's file."""
        return self.path / "state.json"

    @property
    def journal(self) -> Path:
        """Return the journal's file: one JSON object a line, never rewritten."""
        return self.path / "journal.jsonl"

    def load(self) -> TrustState:
        """Return the state; raises `TrustStateError` saying what to do when there is none or it is damaged."""
        if not self.file.exists():
            if self.journal.exists():
                raise TrustStateError(
                    f"{self.file}: missing, though its journal is there",
                    subject=str(self.file),
                    hint=_DAMAGED,
                )
            raise TrustStateError(
                f"{self.file}: this site trusts no root yet",
                subject=str(self.file),
                hint="`routeiq trust init ROOT.json --fingerprint HEX`, with the fingerprint from a second channel",
            )
        try:
            return TrustState.from_bytes(read_capped(self.file, LIMITS.trust_state), str(self.file))
        except SigningError as error:
            raise TrustStateError(
                f"{self.file}: damaged: {error}", subject=str(self.file), hint=_DAMAGED
            ) from None

    def create(self, state: TrustState, event: Mapping[str, Any], now: datetime) -> None:
        """Begin with `state`; raises `TrustStateError` where a site has begun already."""
        with self._locked():
            if self.file.exists() or self.journal.exists():
                raise TrustStateError(
                    f"{self.path}: this site trusts a root already",
                    subject=str(self.path),
                    hint="`routeiq trust show`; a newer root comes by `routeiq trust update NEWROOT`",
                )
            self._write(state, event, now)

    def change(
        self, change: Callable[[TrustState], TrustState], event: Mapping[str, Any], now: datetime
    ) -> TrustState:
        """Put what `change` makes of the present state in its place and return it.

        `change` sees the state as it is under the lock and may refuse; then nothing is written.
        """
        with self._locked():
            state = change(self.load())
            self._write(state, event, now)
        return state

    def _write(self, state: TrustState, event: Mapping[str, Any], now: datetime) -> None:
        try:
            raw = state.to_bytes()
        except DocumentError as error:
            raise TrustStateError(
                f"{self.file}: would not be readable: {error}", subject=str(self.file)
            ) from None
        with self._reported():
            self._append({"at": to_text(now), **event})
            write_atomic(self.file, raw, mode=0o644)

    def _append(self, event: Mapping[str, Any]) -> None:
        line = json.dumps(event, sort_keys=True).encode() + b"\n"
        descriptor = os.open(self.journal, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line  # a line that a power cut tore stays as it is, on a line of its own
            file.write(line)
            os.fsync(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._reported():
            self.path.mkdir(parents=True, exist_ok=True, mode=0o755)
            descriptor = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TrustStateError(
                f"{self.path}: cannot be written: {error.strerror}",
                subject=str(self.path),
                hint="run it as the user who owns the folder, or set ROUTEIQ_TRUST_STATE; --no-record only looks",
            ) from None


def to_text(time: datetime) -> str:
    """Return `time` as every document spells it."""
    return time.astimezone(timezone.utc).strftime(_FORM)


def from_text(text: str, what: str) -> datetime:
    """Return the time in `text`; raises `DocumentError`."""
    try:
        return datetime.strptime(text, _FORM).replace(tzinfo=timezone.utc)
    except ValueError:
        raise DocumentError(f"{what}: {text[:40]} is no time", subject=what) from None
