"""A signed models folder for tests of `auto`: a tiny embedder, and an artifact that knows which word suits which model.

The artifact is a ridge made by hand: nothing is trained, and no scikit-learn imported.
"""

from pathlib import Path

import numpy as np
from tests.router.conftest import DIMENSION, WORDS, tiny_onnx, tiny_tokenizer

from routeiq_router.artifact import Artifact, EmbedderIdentity, dump_artifact
from routeiq_router.embedder import TRUNCATION, Embedder
from routeiq_router.text import SURFACE, SURFACE_SIZE
from routeiq_signing.keys import PrivateKey
from routeiq_signing.model_trust import sign_model_folder

__all__ = ["ADDS", "CODES", "signed_models"]

ADDS, CODES = "add the number plus", "write code function"
"""Prompts: the first suits model `adds`, the second `codes`; `both` is good at both."""


def signed_models(
    root: Path, *, key: PrivateKey | None = None, models: tuple[str, ...] = ("adds", "codes", "both")
) -> Path:
    """Make `root/models` with `routers/tiny` and `embedders/tiny`, signed; return the public key's file."""
    table = np.random.default_rng(0).normal(size=(len(WORDS), DIMENSION))
    embedder_files = {"onnx/model_int8.onnx": tiny_onnx(table), "tokenizer.json": tiny_tokenizer()}
    embedder = Embedder.load(embedder_files)
    on_add, on_code = embedder.embed(ADDS), embedder.embed(CODES)
    # Least squares through two points: 0.9 where a model is at home, 0.2 where it is not, 0.8 for `both`.
    wanted = np.array([[0.9, 0.2, 0.8], [0.2, 0.9, 0.8]])
    known = np.hstack([np.stack([on_add, on_code]), np.ones((2, 1))])
    solved = np.linalg.lstsq(known, wanted, rcond=None)[0]
    coefficients = np.vstack([solved[:DIMENSION], np.zeros((SURFACE_SIZE, 3))]).astype(np.float32)
    artifact = Artifact(
        name="tiny", strategy="ridge", models=models, costs=dict(zip(models, (7.0, 13.0, 70.0), strict=True)),
        embedder=EmbedderIdentity("tiny", embedder.digest, embedder.dimension, TRUNCATION), surface=SURFACE,
        params={"alpha": 1.0}, training={}, metrics={}, trained_prompts=np.zeros(1, dtype=np.uint64),
        weights={"coefficients": coefficients, "intercept": solved[DIMENSION].astype(np.float32)},
    )  # fmt: skip
    key = key or PrivateKey.generate()
    for name, files in (("routers/tiny", dump_artifact(artifact)), ("embedders/tiny", embedder_files)):
        folder = root / "models" / name
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        sign_model_folder(folder, key)
    pem = root / "models.pub"
    pem.write_bytes(key.public.pem)
    return pem
