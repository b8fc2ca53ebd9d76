"""The usual way, measured in a throw-away environment: sentence-transformers and scikit-learn; LLMRouter's KNN.

Runs by itself (no package of ours): `rival.py KIND MODEL_FOLDER DATA`, JSON on stdout. Prompts are those of
`latency.py`: words that make 64 tokens. KIND `scikit-learn` embeds with sentence-transformers and predicts with
KNeighborsRegressor (100 neighbours, all models at once). KIND `llmrouter` asks LLMRouter's `KNNRouter.route_single`;
its encoder, Longformer, is downloaded from Hugging Face on first use, so the same MiniLM stands in for it.
"""

# ruff: noqa: PLC0415 - imports are part of what is measured.

import contextlib
import gzip
import json
import os
import pickle
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WORDS = [
    "the",
    "of",
    "water",
    "number",
    "find",
    "why",
    "list",
    "code",
    "price",
    "sort",
    "river",
    "table",
    "light",
]
RUNS = 60


def main(kind: str, model: Path, data: Path) -> dict[str, Any]:
    with gzip.open(data) as lines:
        rows = [json.loads(line) for line in lines]
    started = time.perf_counter()
    decide = {"scikit-learn": scikit_learn, "llmrouter": llmrouter}[kind](model, rows)
    loaded = time.perf_counter() - started
    draw = random.Random(0)
    result: dict[str, Any] = {"load_seconds": round(loaded, 2), "tokens": {}}
    for tokens in (64, 256):
        prompts = [" ".join(draw.choices(WORDS, k=tokens - 2)) for _ in range(RUNS + 5)]
        times = sorted(time_of(decide, prompt) for prompt in prompts[5:])
        result["tokens"][str(tokens)] = {
            "p50_ms": round(times[len(times) // 2], 3),
            "p99_ms": round(times[-1], 3),
        }
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    result["memory_mb"] = round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
    return result


def scikit_learn(model: Path, rows: list[dict[str, Any]]) -> Any:
    import numpy as np
    import torch
    from sentence_transformers import SentenceTransformer
    from sklearn.neighbors import KNeighborsRegressor

    torch.set_num_threads(1)
    encoder = SentenceTransformer(str(model), device="cpu")
    names = sorted(rows[0]["scores"])
    # What is fitted on does not change how long a decision takes: vectors of the right number and size will do.
    vectors = np.random.default_rng(0).normal(size=(len(rows), 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.asarray([[row["scores"][name] for name in names] for row in rows])
    neighbours = KNeighborsRegressor(n_neighbors=100, weights="distance", n_jobs=1).fit(vectors, scores)

    def decide(prompt: str) -> str:
        vector = encoder.encode([prompt], show_progress_bar=False)
        return names[int(neighbours.predict(vector)[0].argmax())]

    decide("why?")
    return decide


def llmrouter(model: Path, rows: list[dict[str, Any]]) -> Any:
    import numpy as np
    import torch
    from llmrouter.models.knnrouter.router import KNNRouter
    from llmrouter.utils import embeddings
    from sklearn.neighbors import KNeighborsClassifier

    torch.set_num_threads(1)
    embeddings._MODEL_NAME = str(model)  # noqa: SLF001 - it has no setting
    # It learns the winner of each prompt, and reads the pickled classifier again for every decision.
    winners = [max(sorted(row["scores"]), key=row["scores"].get) for row in rows]
    vectors = np.random.default_rng(0).normal(size=(len(rows), 384)).astype(np.float32)
    folder = Path(tempfile.mkdtemp(prefix="llmrouter-"))
    stored = folder / "knn.pkl"
    stored.write_bytes(
        pickle.dumps(KNeighborsClassifier(n_neighbors=5, metric="cosine").fit(vectors, winners))
    )
    router = KNNRouter.__new__(KNNRouter)
    torch.nn.Module.__init__(router)
    router.cfg = {"model_path": {"load_model_path": str(stored)}}

    def decide(prompt: str) -> str:
        with contextlib.redirect_stdout(sys.stderr):
            return str(router.route_single({"query": prompt})["model_name"])

    decide("why?")
    return decide


def time_of(decide: Any, prompt: str) -> float:
    started = time.perf_counter()
    decide(prompt)
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))))
