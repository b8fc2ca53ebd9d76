"""A static embedder and an artifact for it, for the speed of a decision alone.

The embedder is distilled from the development one. The artifact has the pretrained one's size, models and strategy, but
was trained on made-up prompts and scores: what it decides is nonsense, how long it takes is not. What a static embedder
does to the quality of routing is `benchmarks/router/quality.py`.
"""

import json
import random
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["make_static"]

_ROUTEIQ = Path(__file__).resolve().parents[2] / ".venv/bin/routeiq"
_PROMPTS = 5000
_WORDS = (
    "river town mill wheel water spring summer miller field road grain count prove list write explain compare"
)


def make_static(encoder: Path, pretrained: Path, folder: Path) -> tuple[Path, Path]:
    """Return the folders of the embedder and of the artifact, made below `folder` in half a minute."""
    embedder, artifact, data = folder / "static", folder / "static-v1", folder / "static.jsonl"
    manifest: dict[str, Any] = json.loads((pretrained / "router.json").read_text())
    draw, words = random.Random(0), _WORDS.split()
    with data.open("w") as file:
        for number in range(_PROMPTS):
            prompt = f"{number} " + " ".join(draw.choices(words, k=40))
            scores = {model: round(draw.random(), 2) for model in manifest["models"]}
            file.write(json.dumps({"id": str(number), "prompt": prompt, "scores": scores}) + "\n")
    costs = folder / "costs.json"
    costs.write_text(json.dumps(manifest["costs"]))
    _run("distil", "--embedder", encoder, "--out", embedder)
    _run(
        "train", "--data", data, "--strategy", manifest["strategy"], "--embedder", embedder, "--costs", costs,
        "--cache", folder / "embeddings", "--out", artifact,
    )  # fmt: skip
    return embedder, artifact


def _run(verb: str, *arguments: object) -> None:
    subprocess.run(
        [_ROUTEIQ, "router", verb, *map(str, arguments)], check=True, capture_output=True, timeout=600
    )
