"""Every maximum that the router puts on what it reads from outside."""

from dataclasses import dataclass

__all__ = ["DEFAULT_LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes, counts and characters; generous for real use, small against memory."""

    manifest_bytes: int = 1 << 20
    """`router.json`: a thousand models are ~100 KB."""
    weights_bytes: int = 64 << 20
    """`weights.safetensors`: the largest strategy shipped stays under 3 MB; sites may train wider ones."""
    models: int = 1000
    card_bytes: int = 1 << 20
    onnx_bytes: int = 512 << 20
    """An embedder's ONNX file: MiniLM in fp32 is 90 MB."""
    tokenizer_bytes: int = 32 << 20
    embedder_json_bytes: int = 1 << 20
    prompt_chars_head: int = 8192
    """Of a longer prompt only this head and tail are looked at: a megabyte would cost half a second."""
    prompt_chars_tail: int = 8192
    cache_entries: int = 16384
    """Prompts whose prediction a router remembers, as many as fit into `cache_bytes` of memory."""
    cache_bytes: int = 8 << 20
    data_line_bytes: int = 8 << 20
    data_bytes: int = 4 << 30
    """One data file, unpacked: stops a gzip bomb."""
    data_rows: int = 2_000_000
    costs_bytes: int = 1 << 20


DEFAULT_LIMITS = Limits()
