"""`model: auto` through the gateway: new prompts, embedded in int8 or by a static embedder; and one, from the cache.

The artifacts and embedders are copies of the development models, or made from them, signed here with a key of this run.
"""

import shutil
import statistics
from pathlib import Path
from typing import Any

from benchmarks.gateway.load import COUNTER
from benchmarks.gateway.measure import StepError, chat, load, measure, median
from benchmarks.gateway.report import Figure, reported
from benchmarks.gateway.stage import Stage, Subject, body_of
from benchmarks.gateway.static import make_static

from routeiq_appliance.cli.demo.prepare import ARTIFACT
from routeiq_appliance.cli.demo.stack import COST_WEIGHT, MODEL_MAP
from routeiq_signing.keys import PrivateKey
from routeiq_signing.model_trust import sign_model_folder

__all__ = ["auto"]

_ROOT = Path(__file__).resolve().parents[2]
_EMBEDDER = "sentence-transformers/all-MiniLM-L6-v2"
_ROUNDS = 3
# 64 tokens of the embedder, the number included.
_PROMPT = (
    f"Question {COUNTER}: a river runs past a small town and turns the wheel of its old mill all year. Explain in"
    " simple words how the water moves the wheel, why it turns more slowly in summer than in spring, and what the"
    " miller could change so that it turns as fast in both seasons."
)


def auto(stage: Stage, seconds: float) -> tuple[list[Figure], Any]:
    """Return throughput per core and what one client sees, new prompts and a cached one apart."""
    encoder, pretrained = _ROOT / "build/dev/models" / _EMBEDDER, _ROOT / "router/pretrained" / ARTIFACT
    for source in (encoder, pretrained):
        if not source.is_dir():
            raise StepError(
                f"{source.relative_to(_ROOT)}: no such folder; lay the models out with `make test` or `make demo`"
            )
    int8 = _start(stage, "gateway, auto", encoder, pretrained)
    static = _start(stage, "gateway, auto, static", *make_static(encoder, pretrained, stage.folder))
    asked = {
        "int8 embedder, new prompts": (int8, _PROMPT),
        "static embedder, new prompts": (static, _PROMPT),
        "from the cache": (int8, _PROMPT.replace(COUNTER, "0")),
    }
    figures: list[Figure] = []
    details: dict[str, Any] = {}
    for name, (subject, prompt) in asked.items():
        body = body_of("auto", prompt)
        load(subject, chat(min(1.0, seconds), body=body, first_number=0))
        busy = [
            measure(subject, chat(seconds / 2, body=body, first_number=10_000_000 * (number + 1)))
            for number in range(_ROUNDS)
        ]
        alone, direct = [], []
        for number in range(_ROUNDS):
            direct.append(load(stage.direct, chat(seconds / 4, connections=1)))
            numbers = 10_000_000 * (number + 5)
            alone.append(load(subject, chat(seconds / 4, connections=1, body=body, first_number=numbers)))
        middle = median(busy)
        note = f"{middle['cpu_ms']:.3f} ms CPU each; {middle['rps']:.0f}/s seen with 16 clients"
        figures.append(reported(f"auto, {name}: per core", round(1000 / middle["cpu_ms"]), "/s", note))
        for share in ("p50", "p99"):
            pairs = zip(alone, direct, strict=True)
            added = statistics.median(a[f"{share}_ms"] - d[f"{share}_ms"] for a, d in pairs)
            figures.append(reported(f"auto, {name}: added for one client, {share}", added, "ms"))
        details[name] = {"busy": busy, "alone": alone, "direct": direct}
    return figures, details


def _start(stage: Stage, name: str, embedder: Path, artifact: Path) -> Subject:
    key, models = PrivateKey.generate(), stage.folder / f"models-{embedder.name}"
    public = stage.folder / f"{models.name}.pub"
    public.write_bytes(key.public.pem)
    for source in (embedder, artifact):
        shutil.copytree(source, models / source.name, ignore=shutil.ignore_patterns("model.sig"))
        sign_model_folder(models / source.name, key)
    section = {
        "candidates": list(MODEL_MAP),
        "artifact": artifact.name,
        "embedder": embedder.name,
        "model_map": MODEL_MAP,
        "cost_weight": COST_WEIGHT,
    }
    environ = {"ROUTEIQ_MODELS_PATH": str(models), "ROUTEIQ_TRUST_KEY": str(public)}
    subject = stage.start_gateway(name, environ, {"auto": section})
    _require_decision(subject)
    return subject


def _require_decision(subject: Subject) -> None:
    """Raise unless the artifact decides: the declared order would be fast and measure nothing."""
    running = subject.gateway
    assert running is not None
    headers, _ = running.endpoint.post(
        "/v1/chat/completions", {"model": "auto", "messages": [{"role": "user", "content": "why?"}]}
    )
    if not headers.get("x-routeiq-strategy", "").startswith("ml-"):
        raise StepError(
            f"{subject.name}: `auto` was not decided by the artifact: {headers.get('x-routeiq-strategy')}"
        )
