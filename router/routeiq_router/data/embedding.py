"""Prompts to a strategy's inputs, remembering vectors between runs.

The cache is one safetensors file per embedder digest: SHA-256 of each prompt and its vector. It is derived
data of the developer's own; deleting it costs minutes, and a damaged one is ignored and replaced.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from routeiq_router.embedder import Embedder
from routeiq_router.strategies.interface import Inputs
from routeiq_router.text import prompt_key, surface_features
from routeiq_signing.progress import Progress

__all__ = ["embed_prompts"]


def embed_prompts(
    embedder: Embedder, prompts: Sequence[str], *, cache: Path | None, progress: Progress
) -> Inputs:
    """Embed all prompts, one at a time as serving does; reads and extends the cache in folder `cache`."""
    file = cache / f"{embedder.digest.removeprefix('sha256:')}.safetensors" if cache else None
    known = _read(file, embedder.dimension) if file else {}
    keys = [prompt_key(prompt) for prompt in prompts]
    missing = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in known}
    if missing:
        with progress.task("embedding prompts", len(missing), "prompt") as advance:
            for key, prompt in missing.items():
                known[key] = embedder.embed(prompt)
                advance(1)
        if file:
            _write(file, known)
    return Inputs(
        np.stack([known[key] for key in keys]), np.stack([surface_features(prompt) for prompt in prompts])
    )


def _read(file: Path, dimension: int) -> dict[str, NDArray[np.float32]]:
    try:
        tensors = safetensors.numpy.load(file.read_bytes())
        keys, vectors = tensors["keys"], tensors["vectors"]
    except (FileNotFoundError, KeyError, safetensors.SafetensorError):
        return {}
    if (
        keys.shape != (len(vectors), 32)
        or vectors.shape != (len(keys), dimension)
        or vectors.dtype != np.float32
    ):
        return {}
    return {bytes(key).hex(): vector for key, vector in zip(keys.astype(np.uint8), vectors, strict=True)}


def _write(file: Path, known: dict[str, NDArray[np.float32]]) -> None:
    keys = np.frombuffer(b"".join(bytes.fromhex(key) for key in known), dtype=np.uint8).reshape(-1, 32)
    data = safetensors.numpy.save({"keys": keys.copy(), "vectors": np.stack(list(known.values()))})
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    beside.write_bytes(data)
    beside.replace(file)
