"""Makes a static embedder out of a sentence encoder: its vector for each token alone, centred, reduced and weighted.

No text is needed. The vocabulary is ordered by how common a token is, near enough, so its frequency is taken from its
place (Zipf), and a token weighs a / (a + frequency): Arora et al., "A Simple but Tough-to-Beat Baseline for Sentence
Embeddings" (2017). The axes are the principal ones but the first few, in which all tokens are alike (Mu and Viswanath,
"All-but-the-Top", 2018), each with a fixed sign, so that the same encoder gives the same table.
"""

from collections.abc import Mapping

import numpy as np

from routeiq_router.embedder import ONNX_FILE, STATIC_FILE, TOKENIZER_FILE, Embedder
from routeiq_router.errors import RouterError
from routeiq_router.static import pack_vectors
from routeiq_signing.progress import Progress

__all__ = ["distil"]

_SMOOTHING = 1e-4
_COMMON = 3
"""Axes left out at most; the paper's rule is a hundredth of the dimension. With them any two prompts look near."""


def distil(files: Mapping[str, bytes], *, dimension: int, progress: Progress) -> dict[str, bytes]:
    """Return the static embedder's files for an encoder's (name to content); takes a minute for MiniLM.

    `dimension`: numbers a vector has, at most the encoder's less the common ones. Raises `RouterError` for an encoder
    that cannot be used.
    """
    if ONNX_FILE not in files:
        raise RouterError(
            f"{ONNX_FILE}: missing; only a sentence encoder can be distilled", subject=ONNX_FILE
        )
    teacher = Embedder.load(files, cache_size=0)
    common = min(_COMMON, teacher.dimension // 100)
    most = teacher.dimension - common
    if not 1 <= dimension <= most:
        raise RouterError(f"dimension: {dimension} is not from 1 to {most}", subject="dimension")
    tokens, around = teacher.vocabulary_size, teacher.token_ids("")
    first, rest = around[:1], around[1:]
    vectors = np.empty((tokens, teacher.dimension))
    with progress.task("distilling tokens", tokens, "token") as advance:
        for token in range(tokens):
            vectors[token] = teacher.encode_ids([*first, token, *rest])
            advance(1)
    table = _principal(vectors - vectors.mean(axis=0), common, dimension) * _weights(tokens)[:, None]
    table[sorted(teacher.special_ids)] = 0
    return {STATIC_FILE: pack_vectors(table), TOKENIZER_FILE: files[TOKENIZER_FILE]}


def _principal(centred: np.ndarray, common: int, dimension: int) -> np.ndarray:
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, common : common + dimension]
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(centred @ (axes * np.sign(axes[largest, np.arange(dimension)])))


def _weights(tokens: int) -> np.ndarray:
    frequency = 1 / np.arange(1, tokens + 1)
    frequency /= frequency.sum()
    return np.asarray(_SMOOTHING / (_SMOOTHING + frequency))
