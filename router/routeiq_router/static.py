"""A vector per token, and a prompt's is their sum at unit length: an embedder without a network.

A hundred times cheaper than the sentence encoder that it is distilled from (`training/distil.py`), and numpy is all it
needs. Word order is lost. What a token weighs is in its vector's length; special tokens have none.
Tulkens and van Dongen, "Model2Vec: Distill a Small Fast Model from any Sentence Transformer" (2024).
"""

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.limits import DEFAULT_LIMITS, Limits
from routeiq_router.strategies.interface import FloatArray, need

__all__ = ["StaticEncoder", "pack_vectors"]

_STEPS = 127


class StaticEncoder:
    """The table of one safetensors file: `vectors` int8 [tokens, dimension], `scale` float32 [tokens]."""

    def __init__(self, data: bytes, *, subject: str, tokens: int, limits: Limits = DEFAULT_LIMITS) -> None:
        """Check the table against the tokenizer's number of `tokens`; raises `RouterError`."""
        if len(data) > limits.weights_bytes:
            raise RouterError(
                f"{subject}: {len(data)} bytes, more than {limits.weights_bytes}", subject=subject
            )
        try:
            tensors = safetensors.numpy.load(data)
        except (safetensors.SafetensorError, KeyError, ValueError, TypeError) as error:
            raise RouterError(f"{subject}: not safetensors: {error}", subject=subject) from error
        self._vectors: NDArray[np.int8] = need(tensors, "vectors", np.int8, (None, None), subject=subject)
        rows = len(self._vectors)
        self._scale: FloatArray = need(tensors, "scale", np.float32, (rows,), subject=subject)
        if rows < tokens:
            raise RouterError(
                f"{subject}: has {rows} tokens, its tokenizer {tokens}",
                subject=subject,
                hint="distil the embedder again: `routeiq router distil`",
            )

    def encode(self, token_ids: list[int]) -> FloatArray:
        """Return float32 [dimension] of unit length, all zero where no token has a vector."""
        # Multiplied and summed, not a matrix product: the same digits on every CPU.
        total = (self._vectors[token_ids] * self._scale[token_ids, None]).sum(axis=0)
        length = np.sqrt(np.square(total, dtype=np.float64).sum())
        return np.asarray(total / max(length, 1e-9), dtype=np.float32)


def pack_vectors(table: NDArray[np.float64]) -> bytes:
    """Return the file for a table [tokens, dimension]: each row in 255 steps of its own."""
    scale = (np.abs(table).max(axis=1) / _STEPS).astype(np.float32)
    steps = np.round(table / np.where(scale > 0, scale, 1)[:, None])
    packed: bytes = safetensors.numpy.save({"scale": scale, "vectors": steps.astype(np.int8)})
    return packed
