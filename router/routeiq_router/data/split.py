"""Which prompts teach and which judge: by a hash of the prompt's normal form, so copies never sit on both sides.

Pure. The same prompt falls on the same side in every run and every file; fold and side use different
bytes of the digest, so they are independent.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from routeiq_router.text import prompt_digest

__all__ = ["SPLIT_RULE", "fold_numbers", "held_out", "prompt_fingerprints"]

SPLIT_RULE = "sha256-normal-form/v1"


def held_out(prompts: Sequence[str], fraction: float) -> NDArray[np.bool_]:
    """Return per prompt whether it is kept from training; about `fraction` of all are."""
    threshold = int(fraction * 2**64)
    return np.asarray([int.from_bytes(prompt_digest(prompt)[8:16], "big") < threshold for prompt in prompts])


def fold_numbers(prompts: Sequence[str], folds: int, *, salt: int = 0) -> NDArray[np.int64]:
    """Return the fold, 0..folds-1, of each prompt; another `salt` (0..1) gives independent folds."""
    at = 16 + 8 * salt
    return np.asarray(
        [int.from_bytes(prompt_digest(prompt)[at : at + 8], "big") % folds for prompt in prompts],
        dtype=np.int64,
    )


def prompt_fingerprints(prompts: Sequence[str]) -> NDArray[np.uint64]:
    """Return 64 bits of each prompt's digest: enough to recognise a prompt, too little to recover one."""
    return np.asarray(
        [int.from_bytes(prompt_digest(prompt)[:8], "big") for prompt in prompts], dtype=np.uint64
    )
