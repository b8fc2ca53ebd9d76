"""What was answered so far: JSON Lines beside the artifact to be made, each on the disk before the next is counted.

The first line says for what: suite, number of tokens, and what each group asks for; a journal of something else is
refused. A line that a crash cut off is dropped, with what it said; anything else that cannot be read is a fault.
Replies are not kept, only whether each was right.
"""

import fcntl
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from routeiq_router.errors import RouterError
from routeiq_router.strict_json import parse_json
from routeiq_signing.files import read_capped

__all__ = ["Journal", "Run"]

_SCHEMA = "routeiq.calibration/v1"
_MAX_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class Run:
    """What answers are about; those of another run do not count. `asked` is what each group is asked as."""

    suite: str
    max_tokens: int
    url: str
    asked: Mapping[str, str]

    def shared(self) -> dict[str, Any]:
        """Return what every run on one journal has in common."""
        return {"schema": _SCHEMA, "suite": self.suite, "max_tokens": self.max_tokens, "url": self.url}


class Journal:
    """Answers by group and prompt id. Open it once; `close` it."""

    def __init__(self, path: Path, run: Run, *, resume: bool) -> None:
        """Read and continue `path`, or begin it; raises `RouterError` when it is there, or of another run."""
        self.answers: dict[tuple[str, str], bool] = {}
        self._models: dict[str, str] = {}
        there = path.exists()
        if there and not resume:
            raise RouterError(
                f"{path}: answers of an earlier run are here",
                subject=str(path),
                hint="continue with --resume, or remove the file",
            )
        kept = self._read(path, run) if there else 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = path.open("ab")
        self._lock(path)
        self._file.truncate(kept)
        if not kept:
            self._write(run.shared())
        for group, model in run.asked.items():
            if self._models.get(group, model) != model:
                self.close()
                raise RouterError(
                    f"{path}: {group} was asked as {self._models[group]!r}, not as {model!r}",
                    subject=str(path),
                    hint="name another --out, or ask what was asked before",
                )
            if group not in self._models:
                self._write({"group": group, "model": model})

    def add(self, group: str, item: str, *, right: bool) -> None:
        """Keep an answer; it is on the disk when this returns."""
        self._write({"group": group, "id": item, "right": right})
        self.answers[group, item] = right

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise RouterError(f"{path}: another run writes to it", subject=str(path)) from None

    def _write(self, value: Mapping[str, Any]) -> None:
        self._file.write(json.dumps(value, sort_keys=True).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _read(self, path: Path, run: Run) -> int:
        """Return how many bytes are whole lines."""
        data = read_capped(path, _MAX_BYTES)
        whole = data[: data.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            value = parse_json(line, subject=f"{path}:{number}")
            if number == 1:
                self._check(path, value, run)
            else:
                self._take(value, f"{path}:{number}")
        return len(whole)

    @staticmethod
    def _check(path: Path, value: Any, run: Run) -> None:
        want = run.shared()
        if not isinstance(value, dict) or value.get("schema") != _SCHEMA:
            raise RouterError(f"{path}: is no journal of answers", subject=str(path))
        for name, given in want.items():
            if value.get(name) != given:
                raise RouterError(
                    f"{path}: its answers are for {name} {value.get(name)!r:.100}, not {given!r:.100}",
                    subject=str(path),
                    hint="name another --out, or give what was given before",
                )

    def _take(self, value: Any, where: str) -> None:
        if isinstance(value, dict) and value.keys() == {"group", "model"} and _texts(value, "group", "model"):
            self._models[value["group"]] = value["model"]
            return
        if (
            not isinstance(value, dict)
            or value.keys() != {"group", "id", "right"}
            or not _texts(value, "group", "id")
            or not isinstance(value["right"], bool)
            or value["group"] not in self._models
        ):
            raise RouterError(f"{where}: is no answer", subject=where)
        self.answers[value["group"], value["id"]] = value["right"]


def _texts(value: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(value[name], str) for name in names)
