"""Logs as JSON lines on stderr: timestamp, level, service, message, then what the line adds. Secrets are cut out.

Code never logs a secret; the redaction is a second net for what libraries put into their messages.
"""

import json
import logging
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

__all__ = ["JsonFormatter", "configure_logs"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {
    "message", "asctime", "taskName",
    "color_message",  # uvicorn's
    "litellm_redacted",  # litellm marks every record of the process
}  # fmt: skip
_REDACTED = "[redacted]"


class JsonFormatter(logging.Formatter):
    """One line per record; `secrets` never appear in it."""

    def __init__(self, service: str, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._service = service
        self._secrets = tuple({*filter(None, secrets)} | {json.dumps(s)[1:-1] for s in secrets if s})
        self._worker = os.getpid()

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


def configure_logs(level: str, *, service: str, secrets: Iterable[str]) -> None:
    """Send the whole process's log to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service, tuple(secrets)))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in ("httpx", "httpcore", "openai", "asyncio", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.WARNING)
