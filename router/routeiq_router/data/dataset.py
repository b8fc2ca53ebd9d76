"""Reads prompts with measured scores: JSON Lines, plain or gzip, one object a line.

`{"id", "prompt", "scores": {model: 0..1}}` and, for evaluation, `"task"`; other members are ignored. A model absent
from `scores` was not measured: missing (NaN), never 0. Lines with the same id and prompt are one row (a file a model,
say), but never with two scores for one model. Decides what is well formed; which rows to use is for `split`.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.limits import DEFAULT_LIMITS, Limits
from routeiq_router.strategies.interface import FloatArray
from routeiq_router.strict_json import parse_json

__all__ = ["Dataset", "Source", "read_data"]

_GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class _Row:
    """One line, and where it stands (`file:line`)."""

    where: str
    identity: str | int
    prompt: str
    scores: dict[str, float]
    task: str


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
    ids: list[str | int]
    prompts: list[str]
    models: tuple[str, ...]
    scores: FloatArray
    tasks: tuple[str, ...] = ()
    """What kind of prompt each is, in the data's own words; empty where it does not say. Nothing learns from it."""

    def __len__(self) -> int:
        return len(self.prompts)

    def take(self, rows: Sequence[int] | NDArray[np.intp], models: Sequence[str]) -> "Dataset":
        """Return the rows at `rows` with the scores of `models` alone; sources stay, for they were read whole."""
        return Dataset(
            self.sources,
            [self.ids[row] for row in rows],
            [self.prompts[row] for row in rows],
            tuple(models),
            self.scores_for(models)[rows],
            tuple(self.tasks[row] for row in rows) if self.tasks else (),
        )

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
    rows: list[_Row] = []
    known: dict[tuple[str, str], _Row] = {}
    for path in paths:
        count = 0
        for row in _rows(path, scored, limits):
            count += 1
            if not (scored and _joined(row, known)):
                rows.append(row)
            if count + sum(source.rows for source in sources) > limits.data_rows:
                raise RouterError(f"{path}: more than {limits.data_rows} rows", subject=str(path))
        if count == 0:
            raise RouterError(f"{path}: no rows", subject=str(path))
        sources.append(Source(path.name, _digest(path), count))
    models = tuple(sorted({model for row in rows for model in row.scores}))
    column = {model: index for index, model in enumerate(models)}
    table = np.full((len(rows), len(models)), np.nan, dtype=np.float32)
    for number, row in enumerate(rows):
        for model, score in row.scores.items():
            table[number, column[model]] = score
    return Dataset(
        tuple(sources),
        [row.identity for row in rows],
        [row.prompt for row in rows],
        models,
        table,
        tuple(row.task for row in rows),
    )


def _joined(row: "_Row", known: dict[tuple[str, str], "_Row"]) -> bool:
    """Add `row`'s scores to the row with its id and prompt, if there is one; tell whether there was.

    Raises `RouterError` when the two have different scores for a model.
    """
    first = known.setdefault((str(row.identity), row.prompt), row)
    if first is row:
        return False
    for model, score in row.scores.items():
        before = first.scores.setdefault(model, score)
        if before != score:
            raise RouterError(
                f"{row.where}: id {str(row.identity)[:80]!r} again, and {model[:80]!r} now scores {score:g}; "
                f"{first.where} says {before:g}",
                subject=row.where,
                hint="keep one of the two lines; two measurements of one prompt need two ids",
            )
    return True


def _rows(path: Path, scored: bool, limits: Limits) -> Iterator["_Row"]:
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


def _row(value: Any, where: str, scored: bool) -> _Row:
    if not isinstance(value, dict):
        raise RouterError(f"{where}: not a JSON object", subject=where)
    identity, prompt, scores = value.get("id"), value.get("prompt"), value.get("scores", {})
    if not isinstance(identity, str | int) or isinstance(identity, bool):
        raise RouterError(f"{where}: 'id' is not a text", subject=where)
    if not isinstance(prompt, str):
        raise RouterError(f"{where}: 'prompt' is not a text", subject=where)
    task = value.get("task") or ""
    if not isinstance(task, str):
        raise RouterError(f"{where}: 'task' is not a text", subject=where)
    if not scored:
        return _Row(where, identity, prompt, {}, task)
    if not isinstance(scores, dict) or not scores:
        raise RouterError(f"{where}: 'scores' names no model", subject=where)
    for model, score in scores.items():
        if not model.isprintable():  # half a surrogate pair is not, and no manifest could name it
            raise RouterError(f"{where}: {model[:80]!r} is no name of a model", subject=where)
        # A null is how some tools write "not measured".
        if score is not None and (
            isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1
        ):
            raise RouterError(f"{where}: score of {model[:80]!r} is {score!r:.40}, want 0..1", subject=where)
    measured = {model: float(score) for model, score in scores.items() if score is not None}
    return _Row(where, identity, prompt, measured, task)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
