"""Prompt to vector: tokenizer and encoder from bytes that somebody has verified before.

Decides how a long prompt is cut (`TRUNCATION`), which kind of encoder a folder holds and what identifies an embedder
(`embedder_digest`); running the graph is `runtime.py`'s, adding up token vectors `static.py`'s, trusting the bytes the
caller's. Opens no file and looks nothing up.
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
from routeiq_router.static import StaticEncoder
from routeiq_router.text import clip_text, prompt_key

__all__ = [
    "EMBEDDER_FILES",
    "END_CHARS",
    "MAX_TOKENS",
    "ONNX_FILE",
    "STATIC_FILE",
    "STATIC_FILES",
    "TOKENIZER_FILE",
    "TRUNCATION",
    "Embedder",
    "embedder_digest",
    "embedder_kind",
    "keep_ends",
]

ONNX_FILE = "onnx/model_int8.onnx"
STATIC_FILE = "static/vectors.safetensors"
TOKENIZER_FILE = "tokenizer.json"
EMBEDDER_FILES = (ONNX_FILE, TOKENIZER_FILE)
"""What a sentence encoder's folder must hold and what its digest covers; other files there are not read."""
STATIC_FILES = (STATIC_FILE, TOKENIZER_FILE)
"""The same for a static embedder."""
MAX_TOKENS = 128
"""Special ones included. MiniLM would take 256: twice the time, and no better routing (0.0004 AIQ: noise)."""
TRUNCATION = "head-tail/v2"
"""Of a longer prompt the first 64 and the last 64 tokens: chat prompts put the task at either end."""
END_CHARS = 1024
"""Of a longer prompt so much of each end is made into tokens, of which 64 count: thousands would take longer than the
encoder."""

Vector = NDArray[np.float32]


def embedder_kind(files: Mapping[str, bytes]) -> str:
    """Return `static` or `onnx`; raises `RouterError` for a folder that could be either."""
    if STATIC_FILE not in files:
        return "onnx"
    if ONNX_FILE in files:
        raise RouterError(
            f"{STATIC_FILE}: beside {ONNX_FILE}; an embedder is one or the other", subject=STATIC_FILE
        )
    return "static"


def embedder_digest(files: Mapping[str, bytes]) -> str:
    """Return `sha256:<hex>` over the digests of the files that decide a vector, and the truncation rule."""
    identity = {
        "truncation": TRUNCATION,
        **{name: hashlib.sha256(files[name]).hexdigest() for name in _names(files)},
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
        kind: str = "onnx",
        cache_size: int = 4096,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.digest = digest
        self.kind = kind
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._limits = limits
        self._cache: LRUCache[Vector] = LRUCache(cache_size)
        self.dimension = len(self.embed("dimension"))

    @classmethod
    def load(
        cls, files: Mapping[str, bytes], *, cache_size: int = 4096, limits: Limits = DEFAULT_LIMITS
    ) -> "Embedder":
        """Build from `EMBEDDER_FILES` or `STATIC_FILES` (name to content).

        Raises `RouterError` for one that is missing or unusable.
        """
        kind = embedder_kind(files)
        for name in _names(files):
            if name not in files:
                raise RouterError(
                    f"{name}: missing from the embedder",
                    subject=name,
                    hint="lay the embedder out: `make fetch`",
                )
        tokenizer = _load_tokenizer(files[TOKENIZER_FILE])
        encoder: TokenEncoder
        if kind == "static":
            tokens = tokenizer.get_vocab_size()
            encoder = StaticEncoder(files[STATIC_FILE], subject=STATIC_FILE, tokens=tokens, limits=limits)
        else:
            encoder = OnnxEncoder(files[ONNX_FILE], subject=ONNX_FILE)
        digest = embedder_digest(files)
        return cls(tokenizer, encoder, digest=digest, kind=kind, cache_size=cache_size, limits=limits)

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
        text = clip_text(prompt, self._limits)
        if len(text) > 2 * END_CHARS:
            text = f"{text[:END_CHARS]} {text[-END_CHARS:]}"
        ids: list[int] = self._tokenizer.encode(text).ids
        return keep_ends(ids)

    def encode_ids(self, token_ids: list[int]) -> Vector:
        """Return the vector of these very tokens; raises `RouterError` for ids that the encoder does not know."""
        return self._encoder.encode(token_ids)

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are; their ids are 0 to one less."""
        return int(self._tokenizer.get_vocab_size())

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of tokens that are no text."""
        added = self._tokenizer.get_added_tokens_decoder()
        return frozenset(self.token_ids("")) | {token for token, entry in added.items() if entry.special}


def _names(files: Mapping[str, bytes]) -> tuple[str, ...]:
    return STATIC_FILES if embedder_kind(files) == "static" else EMBEDDER_FILES


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
