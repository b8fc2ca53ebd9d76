"""Reads prompts with measured scores: JSON Lines, plain or gzip, one object a line.

`{"id", "prompt", "scores": {model: 0..1}}`, other members ignored. A model absent from `scores` was not
measured: missing (NaN), never 0. Decides what is well formed; which rows to use is for `split`.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from routeiq_router.errors import RouterError
from routeiq_router.limits import DEFAULT_LIMITS, Limits
from routeiq_router.strategies.interface import FloatArray
from routeiq_router.strict_json import parse_json

__all__ = ["Dataset", "Source", "read_data"]

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Source:
    """A file that was read: its name without the folder, bare hex SHA-256 of its bytes, rows."""

    name: str
    sha256: str
    rows: int


@dataclass(frozen=True)
class Dataset:
    """Rows in file order. `scores` is [rows, models], NaN where not measured; `models` is sorted."""

    sources: tuple[Source, ...]
    ids: list[str]
    prompts: list[str]
    models: tuple[str, ...]
    scores: FloatArray

    def __len__(self) -> int:
        return len(self.prompts)

    def scores_for(self, models: Sequence[str]) -> FloatArray:
        """Return the scores with one column per name in `models`; NaN for models that are not here."""
        result = np.full((len(self), len(models)), np.nan, dtype=np.float32)
        for column, model in enumerate(models):
            if model in self.models:
                result[:, column] = self.scores[:, self.models.index(model)]
        return result


def read_data(paths: Sequence[Path], *, scored: bool, limits: Limits = DEFAULT_LIMITS) -> Dataset:
    """Read all files as one set; with `scored`, each row needs at least one score.

    Raises `RouterError` that names file and line; OSError from the file system.
    """
    sources: list[Source] = []
    rows: list[tuple[str, str, dict[str, float]]] = []
    for path in paths:
        before = len(rows)
        rows.extend(_rows(path, scored, limits))
        if len(rows) == before:
            raise RouterError(f"{path}: no rows", subject=str(path))
        if len(rows) > limits.data_rows:
            raise RouterError(f"{path}: more than {limits.data_rows} rows", subject=str(path))
        sources.append(Source(path.name, _digest(path), len(rows) - before))
    models = tuple(sorted({model for _, _, scores in rows for model in scores}))
    column = {model: index for index, model in enumerate(models)}
    table = np.full((len(rows), len(models)), np.nan, dtype=np.float32)
    for row, (_, _, scores) in enumerate(rows):
        for model, score in scores.items():
            table[row, column[model]] = score
    return Dataset(tuple(sources), [row[0] for row in rows], [row[1] for row in rows], models, table)


def _rows(path: Path, scored: bool, limits: Limits) -> Iterator[tuple[str, str, dict[str, float]]]:
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP
        raw.seek(0)
        with gzip.GzipFile(fileobj=raw, mode="rb") if packed else raw as stream:
            for number, line in _lines(stream, path, limits):
                yield _row(parse_json(line, subject=f"{path}:{number}"), f"{path}:{number}", scored)


def _lines(stream: IO[bytes] | gzip.GzipFile, path: Path, limits: Limits) -> Iterator[tuple[int, bytes]]:
    number = total = 0
    while True:
        number += 1
        try:
            line = stream.readline(limits.data_line_bytes + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RouterError(f"{path}:{number}: damaged gzip: {error}", subject=str(path)) from error
        if not line:
            return
        total += len(line)
        if len(line) > limits.data_line_bytes or total > limits.data_bytes:
            raise RouterError(f"{path}:{number}: too large", subject=str(path))
        if line.strip():
            yield number, line


def _row(value: Any, where: str, scored: bool) -> tuple[str, str, dict[str, float]]:
    if not isinstance(value, dict):
        raise RouterError(f"{where}: not a JSON object", subject=where)
    identity, prompt, scores = value.get("id"), value.get("prompt"), value.get("scores", {})
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise RouterError(f"{where}: 'id' is not a text", subject=where)
    if not isinstance(prompt, str):
        raise RouterError(f"{where}: 'prompt' is not a text", subject=where)
    if not scored:
        return str(identity), prompt, {}
    if not isinstance(scores, dict) or not scores:
        raise RouterError(f"{where}: 'scores' names no model", subject=where)
    for model, score in scores.items():
        # A null is how some tools write "not measured".
        if score is not None and (
            isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1
        ):
            raise RouterError(f"{where}: score of {model[:80]!r} is {score!r:.40}, want 0..1", subject=where)
    return str(identity), prompt, {model: score for model, score in scores.items() if score is not None}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
