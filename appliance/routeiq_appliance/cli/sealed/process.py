"""A process that is started, waited for and always stopped; what it says goes to a file, and its end into errors."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from routeiq_appliance.cli.sealed.errors import ProcessError

__all__ = ["Service"]

_PAUSE = 0.05
_SHOWN_LINES = 12


class Service:
    """Runs `command` in a session of its own while the block lasts; SIGTERM, then SIGKILL, to all of it at the end."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        stop_seconds: float = 10.0,
    ) -> None:
        self.name = name
        self.log = log
        self._stop_seconds = stop_seconds
        with log.open("wb") as output:
            # A session of its own: Ctrl-C reaches us alone, and we stop things in their order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environ is None else dict(environ),
                pass_fds=pass_fds,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's number; the same after namespaces were entered."""
        return self._process.pid

    def said(self) -> str:
        """Return the end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_SHOWN_LINES:])

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> float:
        """Wait until `ready()`; returns the seconds since this call. Raises `ProcessError` when it ended or is late."""
        started = time.monotonic()
        while not ready():
            waited = time.monotonic() - started
            self.require_running()
            if waited > seconds:
                raise ProcessError(
                    f"{self.name}: not ready after {seconds:g} s:\n{self.said()}", subject=self.name
                )
            time.sleep(_PAUSE)
        return time.monotonic() - started

    def require_running(self) -> None:
        """Raise `ProcessError` when it has ended."""
        status = self._process.poll()
        if status is not None:
            raise ProcessError(f"{self.name}: ended with status {status}:\n{self.said()}", subject=self.name)

    def wait(self, *, seconds: float) -> int:
        """Wait for its own end and return the exit status; raises `ProcessError` when it is still running."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ProcessError(f"{self.name}: still running after {seconds:g} s", subject=self.name) from None

    def stop(self) -> int:
        """Stop it and everything it started; returns its exit status (negative: the signal that ended it)."""
        if self._process.poll() is None:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(self._stop_seconds)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
        return self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
