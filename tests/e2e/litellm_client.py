"""LiteLLM as a caller's own library, in this process: quiet, without downloads, and with no connection left open."""

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["litellm_as_a_client"]


@contextmanager
def litellm_as_a_client() -> Iterator[Any]:
    """Yield the library; its clients are closed after, which it does not do itself."""
    before = dict(os.environ)
    os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", LITELLM_OFFLINE_MODE="True")
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    try:
        yield litellm
    finally:
        os.environ.clear()
        os.environ.update(before)
        cached = litellm.in_memory_llm_clients_cache.cache_dict
        for client in (litellm.module_level_client, *cached.values()):
            close = getattr(client, "close", None)
            if close is not None and not getattr(close, "__self__", None).__class__.__name__.startswith(
                "Async"
            ):
                close()
        cached.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
