"""`Router`: one loaded artifact with its embedder; ranks candidates for a prompt.

Everything is loaded from bytes whose signature and format the caller has checked. A prompt never fails a
decision: what cannot be judged (blank, or the embedder fails on it) leaves the declared order, and says so.
What was predicted is remembered by the prompt's hash, so a known prompt costs microseconds; no prompt is kept.
Thread-safe; to change the artifact, swap the whole object.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from routeiq_router.artifact import Artifact, EmbedderIdentity, parse_artifact
from routeiq_router.cache import LRUCache
from routeiq_router.decide import Candidate, Ranked, chosen_by, rank
from routeiq_router.embedder import MAX_TOKENS, TRUNCATION, Embedder
from routeiq_router.errors import RouterError
from routeiq_router.judged import BLANK, Judged, judge
from routeiq_router.limits import DEFAULT_LIMITS, Limits
from routeiq_router.objective import Objective
from routeiq_router.strategies.interface import FloatArray, Inputs, predict_blocks
from routeiq_router.strategies.registry import strategy
from routeiq_router.text import SURFACE, SURFACE_SIZE, is_blank, prompt_key, surface_features

__all__ = ["Decision", "Router"]

_WARM_UP = "why? "
_ENTRY_BYTES, _VALUE_BYTES = 400, 32
"""Memory of a remembered prediction: key and containers (CPython 3.11), and each model's number."""


@dataclass(frozen=True)
class Decision:
    """Which model group answers, and everything it was decided on."""

    group: str
    score: float | None
    """Of the chosen group (`decide`); None when the declared order decided."""
    ranking: tuple[Ranked, ...]
    """All candidates, best first; the chosen one is `ranking[0]`, the next fallback `ranking[1]`."""
    strategy: str
    artifact_digest: str
    cost_weight: float
    reason: str
    duration_seconds: float
    cached: bool = False
    """Whether the prediction was remembered: nothing was embedded."""
    objective: Objective = field(default_factory=Objective)
    seed: int | None = None
    """What ordered equals; None: their declaration."""


class Router:
    """See the module. `models`, `strategy`, `name` and `digest` describe the artifact."""

    def __init__(self, artifact: Artifact, embedder: Embedder, *, limits: Limits = DEFAULT_LIMITS) -> None:
        _check_fit(artifact, embedder)
        self.artifact = artifact
        self.name = artifact.name
        self.digest = artifact.digest
        self.strategy = artifact.strategy
        self.models = artifact.models
        self.embedder = embedder
        self._limits = limits
        self._predictor = strategy(artifact.strategy).load(
            artifact.params,
            artifact.weights,
            models=len(artifact.models),
            dimension=embedder.dimension,
            surface=SURFACE_SIZE,
        )
        # An artifact that does not say may have learnt from any script.
        self._latin_only = artifact.training.get("foreign_prompts") == 0
        fitting = limits.cache_bytes // (_ENTRY_BYTES + _VALUE_BYTES * len(artifact.models))
        self._known: LRUCache[Judged] = LRUCache(min(limits.cache_entries, fitting))

    @classmethod
    def load(
        cls,
        artifact_files: Mapping[str, bytes],
        embedder_files: Mapping[str, bytes],
        *,
        limits: Limits = DEFAULT_LIMITS,
    ) -> "Router":
        """Load from verified bytes (name to content).

        `artifact_files`: `router.json`, `weights.safetensors`; `embedder_files`: `tokenizer.json`, and
        `onnx/model_int8.onnx` or `static/vectors.safetensors`; other names are ignored.
        Raises `RouterError` when a file is missing or wrong, or the two do not fit.
        """
        artifact = parse_artifact(artifact_files, limits)
        # Predictions are remembered here; vectors as well would be memory for nothing.
        return cls(artifact, Embedder.load(embedder_files, cache_size=0, limits=limits), limits=limits)

    def warm_up(self) -> None:
        """Judge a long and a short text, and remember neither: what is made on first use is made before serving.

        That is the graph's memory, sized by the longest prompt, and the linear algebra's.
        """
        for text in (_WARM_UP * MAX_TOKENS, _WARM_UP):
            self._infer(text)

    def predict(self, prompt: str) -> dict[str, float]:
        """Return the predicted quality, 0..1, of each model of the artifact on this prompt."""
        return dict(zip(self.models, self._predict(prompt)[0].values, strict=True))

    def predict_many(self, embeddings: FloatArray, surface: FloatArray) -> FloatArray:
        """Return the qualities [n, models] of prompts embedded before ([n, dimension], [n, SURFACE_SIZE])."""
        return predict_blocks(self._predictor, Inputs(embeddings, surface))

    def describe(self, prompt: str) -> tuple[FloatArray, FloatArray]:
        """Return what a prediction is made from: vector [dimension] and surface features [SURFACE_SIZE]."""
        return self.embedder.embed(prompt), surface_features(prompt, self._limits)

    def check_models(self, model_map: Mapping[str, str | None]) -> None:
        """Raise `RouterError` unless every group (key) is mapped to a model of the artifact (value), or to None."""
        for group, model in model_map.items():
            if model is not None and model not in self.models:
                raise RouterError(
                    f"{group}: artifact {self.name!r} knows no model {model!r}",
                    subject=group,
                    hint=f"map it to one of: {', '.join(self.models)}",
                )

    def rank(
        self,
        prompt: str,
        candidates: Mapping[str, str | None],
        cost_weight: float = 0.0,
        *,
        costs: Mapping[str, float] | None = None,
        latencies: Mapping[str, float | None] | None = None,
        objective: Objective | None = None,
        seed: int | None = None,
    ) -> Decision:
        """Rank model groups for a prompt; blocks for some milliseconds, so call it from an executor.

        `candidates` maps each group, in declared order, to the artifact's model that stands for it (None: no model
        does, and it comes after the others); `costs` gives a group's unit cost where it differs from that model's in
        the artifact, `latencies` how long it takes. `objective`, `seed`: see `decide`; `cost_weight` is the
        quality that one would give up to go from the dearest candidate to a free one. Raises `RouterError`
        for a wrong configuration (unknown model, no candidate), never for a prompt.
        """
        started = time.perf_counter()
        values, doubt, cached = self._judge(prompt)
        terms = _Terms(objective or Objective(cost=cost_weight), costs or {}, latencies or {}, seed)
        return self._decide(candidates, terms, values, doubt, started, cached=cached)

    def recall(
        self,
        prompt: str,
        candidates: Mapping[str, str | None],
        cost_weight: float = 0.0,
        *,
        costs: Mapping[str, float] | None = None,
        latencies: Mapping[str, float | None] | None = None,
        objective: Objective | None = None,
        seed: int | None = None,
    ) -> Decision | None:
        """Return what `rank` would, if the prompt's prediction is remembered; quick enough for an event loop."""
        started = time.perf_counter()
        known = self._known.get(prompt_key(prompt, self.digest))
        if known is None:
            return None
        terms = _Terms(objective or Objective(cost=cost_weight), costs or {}, latencies or {}, seed)
        return self._decide(candidates, terms, known.deciding, known.doubt, started, cached=True)

    def _decide(
        self,
        candidates: Mapping[str, str | None],
        terms: "_Terms",
        values: tuple[float, ...] | None,
        doubt: str,
        started: float,
        *,
        cached: bool,
    ) -> Decision:
        self.check_models(candidates)
        own = self.artifact.costs
        entries = [
            Candidate(
                group,
                model,
                terms.costs.get(group, 0.0 if model is None else own[model]),
                terms.latencies.get(group),
            )
            for group, model in candidates.items()
        ]
        quality = None if values is None else dict(zip(self.models, values, strict=True))
        ranking = rank(entries, quality, objective=terms.objective, seed=terms.seed)
        return Decision(
            group=ranking[0].group,
            score=ranking[0].score,
            ranking=ranking,
            strategy=self.strategy,
            artifact_digest=self.digest,
            cost_weight=terms.objective.cost,
            reason=doubt if values is None else chosen_by(ranking, terms.objective),
            duration_seconds=time.perf_counter() - started,
            cached=cached,
            objective=terms.objective,
            seed=terms.seed,
        )

    def _predict(self, prompt: str) -> tuple[Judged, bool]:
        key = prompt_key(prompt, self.digest)
        known = self._known.get(key)
        if known is not None:
            return known, True
        judged = self._infer(prompt)
        self._known.put(key, judged)
        return judged, False

    def _infer(self, prompt: str) -> Judged:
        vector, surface = self.describe(prompt)
        inputs = Inputs(vector[None, :], surface[None, :])
        return judge(self._predictor, inputs, prompt, latin_only=self._latin_only, limits=self._limits)

    def _judge(self, prompt: str) -> tuple[tuple[float, ...] | None, str, bool]:
        if is_blank(prompt):
            return None, BLANK, False
        try:
            judged, cached = self._predict(prompt)
        except RouterError as error:
            return None, f"declared order: {error}", False
        return judged.deciding, judged.doubt, cached


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a choice is made by, beside the prompt."""

    objective: Objective
    costs: Mapping[str, float]
    latencies: Mapping[str, float | None]
    seed: int | None


def _check_fit(artifact: Artifact, embedder: Embedder) -> None:
    wanted, retrain = artifact.embedder, "train the artifact again with this embedder: `routeiq router train`"
    if wanted.digest != embedder.digest or wanted.dimension != embedder.dimension:
        raise RouterError(
            f"router.json: was trained with embedder {_name(wanted)}, this one is {_name(embedder)}",
            subject="router.json",
            hint=retrain,
        )
    if wanted.truncation != TRUNCATION or artifact.surface != SURFACE:
        raise RouterError(
            f"router.json: was trained with text rules {wanted.truncation}, {artifact.surface}; "
            f"this release has {TRUNCATION}, {SURFACE}",
            subject="router.json",
            hint=retrain,
        )


def _name(embedder: Embedder | EmbedderIdentity) -> str:
    return f"{embedder.digest[:23]}… ({embedder.kind}, {embedder.dimension} numbers)"
