"""The router artifact: `router.json` (what it is) and `weights.safetensors` (what it learnt).

Reading decides only whether the bytes are one consistent artifact of a form known here; whether to trust
them was decided before, by signature, and whether their format is allowed, by `routeiq_signing`.
`router.json` names the digest of the weights, so the digest of `router.json` stands for the whole.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.limits import DEFAULT_LIMITS, Limits
from routeiq_router.strategies.interface import Arrays, Params, need
from routeiq_router.strict_json import parse_json

__all__ = [
    "MANIFEST_FILE",
    "SCHEMA",
    "WEIGHTS_FILE",
    "Artifact",
    "EmbedderIdentity",
    "dump_artifact",
    "parse_artifact",
]

SCHEMA = "routeiq.router/v1"
MANIFEST_FILE = "router.json"
WEIGHTS_FILE = "weights.safetensors"
_TRAINED_PROMPTS = "trained_prompts"
_EMBEDDER_KINDS = ("onnx", "static")


@dataclass(frozen=True)
class EmbedderIdentity:
    """The embedder that an artifact was trained with; only that one gives vectors it understands."""

    name: str
    digest: str
    dimension: int
    truncation: str
    kind: str = "onnx"
    """`onnx`: a sentence encoder; `static`: token vectors. Said in `router.json` only where it is not `onnx`."""


@dataclass(frozen=True)
class Artifact:
    """A parsed artifact. `digest` is `sha256:<hex>` of `router.json`."""

    name: str
    strategy: str
    models: tuple[str, ...]
    costs: Mapping[str, float]
    embedder: EmbedderIdentity
    surface: str
    params: Params
    training: Mapping[str, Any]
    metrics: Mapping[str, Any]
    trained_prompts: NDArray[np.uint64] = field(repr=False)
    """Sorted 64-bit fingerprints of the prompts learnt from, so that evaluation can leave them out."""
    weights: Arrays = field(repr=False)
    digest: str = ""


def dump_artifact(artifact: Artifact) -> dict[str, bytes]:
    """Return the two files; the same artifact gives the same bytes. `artifact.digest` is not read."""
    tensors = {name: np.ascontiguousarray(array) for name, array in sorted(artifact.weights.items())}
    tensors[_TRAINED_PROMPTS] = artifact.trained_prompts
    weights: bytes = safetensors.numpy.save(tensors)
    manifest = {
        "schema": SCHEMA,
        "name": artifact.name,
        "strategy": artifact.strategy,
        "models": list(artifact.models),
        "costs": dict(artifact.costs),
        "embedder": {k: v for k, v in vars(artifact.embedder).items() if (k, v) != ("kind", "onnx")},
        "surface": artifact.surface,
        "params": artifact.params,
        "training": artifact.training,
        "metrics": artifact.metrics,
        "weights": {"sha256": hashlib.sha256(weights).hexdigest(), "size": len(weights)},
    }
    text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
    return {MANIFEST_FILE: text.encode(), WEIGHTS_FILE: weights}


def parse_artifact(files: Mapping[str, bytes], limits: Limits = DEFAULT_LIMITS) -> Artifact:
    """Return the artifact in `files` (name to content); raises `RouterError` that names file and fault."""
    for name, limit in ((MANIFEST_FILE, limits.manifest_bytes), (WEIGHTS_FILE, limits.weights_bytes)):
        if name not in files:
            raise RouterError(f"{name}: missing from the artifact", subject=name)
        if len(files[name]) > limit:
            raise RouterError(f"{name}: {len(files[name])} bytes, more than {limit}", subject=name)
    fields = _Fields(parse_json(files[MANIFEST_FILE], subject=MANIFEST_FILE), MANIFEST_FILE)
    schema = fields.text("schema")
    if schema != SCHEMA:
        raise RouterError(
            f"{MANIFEST_FILE}: schema is {schema!r}, want {SCHEMA!r}",
            subject=MANIFEST_FILE,
            hint="train the artifact again with this release: `routeiq router train`",
        )
    models = _models(fields, limits)
    embedder = fields.inner("embedder")
    weights = _weights(fields.inner("weights"), files[WEIGHTS_FILE])
    trained_prompts = need(weights, _TRAINED_PROMPTS, np.uint64, (None,))
    artifact = Artifact(
        name=fields.text("name"),
        strategy=fields.text("strategy"),
        models=models,
        costs=_costs(fields, models),
        embedder=EmbedderIdentity(
            name=embedder.text("name"),
            digest=embedder.text("digest"),
            dimension=embedder.count("dimension", 1, 65_536),
            truncation=embedder.text("truncation"),
            kind=embedder.choice("kind", _EMBEDDER_KINDS),
        ),
        surface=fields.text("surface"),
        params=fields.mapping("params"),
        training=fields.mapping("training"),
        metrics=fields.mapping("metrics"),
        trained_prompts=trained_prompts,
        weights={name: tensor for name, tensor in weights.items() if name != _TRAINED_PROMPTS},
        digest=f"sha256:{hashlib.sha256(files[MANIFEST_FILE]).hexdigest()}",
    )
    embedder.finish()
    fields.finish()
    return artifact


def _models(fields: "_Fields", limits: Limits) -> tuple[str, ...]:
    models = fields.take("models")
    if (
        not isinstance(models, list)
        or not 1 <= len(models) <= limits.models
        or not all(isinstance(model, str) and model for model in models)
        or len(set(models)) != len(models)
    ):
        raise RouterError(
            f"{MANIFEST_FILE}: models must be 1 to {limits.models} different names", subject=MANIFEST_FILE
        )
    return tuple(models)


def _costs(fields: "_Fields", models: tuple[str, ...]) -> dict[str, float]:
    costs = fields.mapping("costs")
    if set(costs) != set(models):
        raise RouterError(f"{MANIFEST_FILE}: costs must name every model and no other", subject=MANIFEST_FILE)
    for model, cost in costs.items():
        if isinstance(cost, bool) or not isinstance(cost, int | float) or cost < 0:
            raise RouterError(
                f"{MANIFEST_FILE}: cost of {model!r} is not a number from 0 up", subject=MANIFEST_FILE
            )
    return dict(costs)


def _weights(entry: "_Fields", data: bytes) -> dict[str, NDArray[Any]]:
    want, size = entry.text("sha256"), entry.count("size", 0, 1 << 62)
    entry.finish()
    got = hashlib.sha256(data).hexdigest()
    if got != want or size != len(data):
        raise RouterError(
            f"{WEIGHTS_FILE}: digest {got[:16]}… is not the one that {MANIFEST_FILE} names ({want[:16]}…)",
            subject=WEIGHTS_FILE,
        )
    try:
        loaded: dict[str, NDArray[Any]] = safetensors.numpy.load(data)
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
        raise RouterError(f"{WEIGHTS_FILE}: not safetensors: {error}", subject=WEIGHTS_FILE) from error
    return loaded


class _Fields:
    """An object's members, each taken once and by type; `finish` refuses what nobody took."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise RouterError(f"{where}: not a JSON object", subject=MANIFEST_FILE)
        self._rest = dict(value)
        self._where = where

    def take(self, name: str) -> Any:
        if name not in self._rest:
            raise RouterError(f"{self._where}: {name!r} is missing", subject=MANIFEST_FILE)
        return self._rest.pop(name)

    def text(self, name: str) -> str:
        value = self.take(name)
        if not isinstance(value, str) or not 1 <= len(value) <= 1000:
            raise RouterError(f"{self._where}: {name!r} is not a text", subject=MANIFEST_FILE)
        return value

    def choice(self, name: str, values: Sequence[str]) -> str:
        """Return one of `values`; the first where the member is absent."""
        value = self._rest.pop(name, values[0])
        if value not in values:
            raise RouterError(
                f"{self._where}: {name!r} is not one of {', '.join(values)}", subject=MANIFEST_FILE
            )
        return str(value)

    def count(self, name: str, low: int, high: int) -> int:
        value = self.take(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise RouterError(
                f"{self._where}: {name!r} is not a whole number from {low} to {high}", subject=MANIFEST_FILE
            )
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        value = self.take(name)
        if not isinstance(value, dict):
            raise RouterError(f"{self._where}: {name!r} is not a JSON object", subject=MANIFEST_FILE)
        return value

    def inner(self, name: str) -> "_Fields":
        return _Fields(self.take(name), f"{self._where}: {name}")

    def finish(self) -> None:
        if self._rest:
            raise RouterError(f"{self._where}: unknown member {min(self._rest)!r:.80}", subject=MANIFEST_FILE)
