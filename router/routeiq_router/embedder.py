"""Prompt to vector: tokenizer and ONNX encoder from bytes that somebody has verified before.

Decides how a long prompt is cut (`TRUNCATION`) and what identifies an embedder (`embedder_digest`); running
the graph is `runtime.py`'s, trusting the bytes the caller's. Opens no file and looks nothing up.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from routeiq_router.cache import LRUCache
from routeiq_router.errors import RouterError
from routeiq_router.limits import DEFAULT_LIMITS, Limits
from routeiq_router.runtime import OnnxEncoder, TokenEncoder
from routeiq_router.text import clip_text, prompt_key

__all__ = [
    "EMBEDDER_FILES",
    "MAX_TOKENS",
    "ONNX_FILE",
    "TRUNCATION",
    "Embedder",
    "embedder_digest",
    "keep_ends",
]

ONNX_FILE = "onnx/model_int8.onnx"
TOKENIZER_FILE = "tokenizer.json"
EMBEDDER_FILES = (ONNX_FILE, TOKENIZER_FILE)
"""What an embedder's folder must hold and what its digest covers; other files there are not read."""
MAX_TOKENS = 256
"""MiniLM was trained on at most 256 tokens, special ones included."""
TRUNCATION = "head-tail/v1"
"""Of a longer prompt the first 128 and the last 128 tokens: chat prompts put the task at either end."""

Vector = NDArray[np.float32]


def embedder_digest(files: Mapping[str, bytes]) -> str:
    """Return `sha256:<hex>` over the digests of the files that decide a vector, and the truncation rule."""
    identity = {
        "truncation": TRUNCATION,
        **{name: hashlib.sha256(files[name]).hexdigest() for name in EMBEDDER_FILES},
    }
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def keep_ends(ids: list[int], limit: int = MAX_TOKENS) -> list[int]:
    """Return at most `limit` ids: the first and last half of `ids`, whose special tokens sit at the ends."""
    if len(ids) <= limit:
        return ids
    head = limit // 2
    return ids[:head] + ids[len(ids) - (limit - head) :]


class Embedder:
    """Embeds one prompt at a time; thread-safe; remembers the last `cache_size` prompts by hash."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        encoder: TokenEncoder,
        *,
        digest: str,
        cache_size: int = 4096,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.digest = digest
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._limits = limits
        self._cache: LRUCache[Vector] = LRUCache(cache_size)
        self.dimension = len(self.embed("dimension"))

    @classmethod
    def load(
        cls, files: Mapping[str, bytes], *, cache_size: int = 4096, limits: Limits = DEFAULT_LIMITS
    ) -> "Embedder":
        """Build from `EMBEDDER_FILES` (name to content); raises `RouterError` for one missing or unusable."""
        for name in EMBEDDER_FILES:
            if name not in files:
                raise RouterError(
                    f"{name}: missing from the embedder",
                    subject=name,
                    hint="lay the embedder out: `make fetch`",
                )
        tokenizer = _load_tokenizer(files[TOKENIZER_FILE])
        encoder = OnnxEncoder(files[ONNX_FILE], subject=ONNX_FILE)
        return cls(tokenizer, encoder, digest=embedder_digest(files), cache_size=cache_size, limits=limits)

    def embed(self, prompt: str) -> Vector:
        """Return the prompt's vector, float32 [dimension], read-only; any text is taken."""
        key = prompt_key(prompt)
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        vector = self._encoder.encode(self.token_ids(prompt))
        vector.setflags(write=False)
        self._cache.put(key, vector)
        return vector

    def token_ids(self, prompt: str) -> list[int]:
        """Return the ids that the encoder sees: at most `MAX_TOKENS`, special tokens included."""
        ids: list[int] = self._tokenizer.encode(clip_text(prompt, self._limits)).ids
        return keep_ends(ids)


def _load_tokenizer(data: bytes) -> Any:
    try:
        tokenizer = Tokenizer.from_buffer(data)
    except Exception as error:  # the library raises bare Exception, nothing narrower
        raise RouterError(
            f"{TOKENIZER_FILE}: not a tokenizer: {str(error)[:200]}", subject=TOKENIZER_FILE
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
