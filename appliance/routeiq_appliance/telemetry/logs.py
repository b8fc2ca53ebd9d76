"""Logs as JSON lines on stderr: timestamp, level, service, message, then what the line adds. Secrets are cut out.

Code never logs a secret; the redaction is a second net for what libraries put into their messages. A line belongs to
a trace when its record says so (`extra={"trace_id": …}`).

The one line per call has a way of its own, `CallLog`: it takes the row as the ledger serialised it.

Whoever reads stderr may stop reading. Then lines are dropped and counted, and no call waits: a line that says that
lines are missing comes first when the reader is back. The ledger, not the log, is the record of calls.
"""

import contextlib
import fcntl
import json
import logging
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from time import time
from typing import Any

__all__ = ["CallLog", "JsonFormatter", "LineWriter", "configure_logs", "redact"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName",
    "color_message",  # uvicorn's
    "litellm_redacted",  # litellm marks every record of the process
}  # fmt: skip
_REDACTED = "[redacted]"
_PIPE_BYTES = 1 << 20  # what Linux grants to any user
_QUIET = {
    "httpx": logging.WARNING, "httpcore": logging.WARNING, "openai": logging.WARNING, "asyncio": logging.WARNING,
    "alembic": logging.WARNING, "sqlalchemy": logging.WARNING,
    # Warns once per span while its queue is full; the exporter says so itself, once a minute.
    "opentelemetry": logging.ERROR,
}  # fmt: skip


class LineWriter:
    """Writes whole lines to a file descriptor and never waits: what the reader does not take is dropped.

    The descriptor itself stays as it is where other programs may share it (a terminal, a file). Thread-safe.
    """

    def __init__(self, descriptor: int) -> None:
        self.dropped = 0
        """Lines that nobody took."""
        self._send = _without_waiting(descriptor)
        self._rest = b""
        self._untold = 0
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        """Write `line`, which ends in a newline, or drop it."""
        with self._lock:
            if self._rest or self._untold:
                self._catch_up()
            if self._rest or not self._put(line):
                self.dropped += 1
                self._untold += 1

    def _catch_up(self) -> None:
        """Finish the line that was begun, then say how many are missing."""
        if self._rest and not self._put(self._rest):
            return
        if not self._rest:
            told = f'{{"level": "WARNING", "message": "log lines dropped", "dropped": {self._untold}}}\n'
            if self._untold and self._put(told.encode()):
                self._untold = 0

    def _put(self, data: bytes) -> bool:
        """Return whether any of `data` was taken; what was not, waits in `_rest`."""
        try:
            taken = self._send(data)
        except OSError:
            return False  # full, or closed: there is nobody to tell
        self._rest = data[taken:] if taken < len(data) else b""
        return taken > 0


def _without_waiting(descriptor: int) -> Callable[[bytes], int]:
    """Return a `write` to `descriptor` that raises `BlockingIOError` instead of waiting."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        mode = 0
    if stat.S_ISSOCK(mode):  # the journal of systemd
        peer = socket.socket(fileno=os.dup(descriptor))
        return lambda data: peer.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            # A description of our own: the flag of the shared one would change what a shell reads and writes.
            descriptor = os.open(
                f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            )
        except OSError:
            # A pipe of another user, as container engines make them: only this container writes to it.
            if stat.S_ISFIFO(mode):
                os.set_blocking(descriptor, False)
    if stat.S_ISFIFO(mode):
        # A thousand calls and more while the reader is busy, instead of a hundred lines. A user's share may be used up.
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return lambda data: os.write(descriptor, data)


class _Handler(logging.Handler):
    """Hands each formatted record to a `LineWriter`."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode() + b"\n"
        except Exception as error:  # noqa: BLE001 - a line that cannot be formatted must not fail its caller
            line = json.dumps({"level": "ERROR", "message": "log record without form", "logger": record.name,
                               "exception": type(error).__name__}).encode() + b"\n"  # fmt: skip
        self._writer.write(line)


class JsonFormatter(logging.Formatter):
    """One line per record; `secrets` never appear in it."""

    def __init__(self, service: str, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._service = service
        self._first = tuple(secrets)
        self._secrets: tuple[str, ...] = ()
        self.redact(())
        self._worker = os.getpid()

    def redact(self, secrets: Iterable[str]) -> None:
        """Cut these out as well, in the place of those that were given here before."""
        everything = {*filter(None, (*self._first, *secrets))}
        self._secrets = tuple(everything | {json.dumps(s)[1:-1] for s in everything})

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one JSON object."""
        entry: dict[str, Any] = {
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "worker_id": self._worker,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        line = json.dumps(entry, default=str, ensure_ascii=True)
        for secret in self._secrets:
            line = line.replace(secret, _REDACTED)
        return line


class CallLog:
    """The one line per call, spliced from bytes that are JSON already.

    Nothing is cut out of it: a row holds ids, names out of the configuration, numbers and codes, and no credential by
    construction. What the caller wrote is in it once, as `asked`, the name of a model.
    """

    def __init__(
        self,
        writer: LineWriter,
        *,
        service: str,
        level: str = "info",
        worker_id: int | None = None,
        now: Callable[[], float] = time,
    ) -> None:
        self.enabled = logging.getLevelNamesMapping()[level.upper()] <= logging.INFO
        """False above level info: nothing is written."""
        worker = os.getpid() if worker_id is None else worker_id
        self._head = (
            f'+00:00", "level": "INFO", "service": {json.dumps(service)}, "worker_id": {worker}, "message": "call"'
        ).encode()
        self._writer = writer
        self._write = writer.write
        self._now = now
        self._second = -1
        self._date = b""
        self._names: dict[str, bytes] = {}

    @property
    def dropped(self) -> int:
        """Lines of this process that nobody read in time."""
        return self._writer.dropped

    def write(
        self, row: bytes, *, span_id: str | None = None, strategy: str | None = None, model: str | None = None
    ) -> None:
        """Write the line of a call (K16). `row`: the ledger row, a JSON object in one line, with or without newline.

        The row's own names are kept: `trace_id` and `duration_ms` are among them. `strategy` and `model` (the group)
        come out of the configuration.
        """
        if not self.enabled:
            return
        now = self._now()
        second = int(now)
        if second != self._second:
            self._second = second
            self._date = (
                datetime.fromtimestamp(second, UTC).strftime('{"timestamp": "%Y-%m-%dT%H:%M:%S.').encode()
            )
        more = self._head
        if span_id is not None:
            more += b', "span_id": "%b"' % span_id.encode()
        if strategy is not None:
            more += b', "strategy": ' + self._quoted(strategy)
        if model is not None:
            more += b', "model": ' + self._quoted(model)
        tail = b"" if row.endswith(b"\n") else b"\n"
        self._write(b"%b%03d%b, %b%b" % (self._date, int((now - second) * 1000), more, row[1:], tail))

    def _quoted(self, name: str) -> bytes:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = json.dumps(name).encode()
        return known


def redact(secrets: Iterable[str]) -> None:
    """Keep these out of the log too: credentials that came while the process runs; those of before may show again."""
    known = tuple(secrets)
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, JsonFormatter):
            handler.formatter.redact(known)


def configure_logs(level: str, *, service: str, secrets: Iterable[str]) -> LineWriter:
    """Send the whole process's log to stderr as JSON lines; returns the writer, for the `CallLog`."""
    # Without a stderr, its number may belong to a connection by now.
    writer = LineWriter(sys.stderr.fileno() if sys.stderr is not None else os.open(os.devnull, os.O_WRONLY))
    handler = _Handler(writer)
    handler.setFormatter(JsonFormatter(service, secrets))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, quiet in _QUIET.items():
        logging.getLogger(name).setLevel(quiet)
    return writer
