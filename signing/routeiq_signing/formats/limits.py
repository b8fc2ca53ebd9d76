"""How much of a model's file is looked at before it is refused. Bytes, unless the name says otherwise."""

from dataclasses import dataclass

__all__ = ["FORMAT_LIMITS", "FormatLimits"]


@dataclass(frozen=True)
class FormatLimits:
    """Each bounds time or memory; beside each, what ordinary files have."""

    document: int = 64 << 20  # JSON: a tokenizer.json of 256,000 tokens is 34 MB
    json_values: int = 4_000_000  # counted as brackets, braces and commas; that tokenizer has 2,000,000
    json_depth: int = 64  # a tokenizer.json is nested 10 deep
    json_string: int = 8 << 20  # characters; a `precompiled_charsmap` has 400,000
    text: int = 32 << 20
    tensor_header: int = 16 << 20  # safetensors; a file of 50,000 tensors has 5 MB
    tensor_values: int = 2_000_000  # as `json_values`; ten to fifteen a tensor
    dimensions: int = 64  # of one tensor
    onnx: int = (2 << 30) - 1  # protobuf's own limit
    protobuf_fields: int = 2_000_000  # a graph of 50,000 nodes has 1,000,000
    protobuf_depth: int = 64  # messages in messages
    graph_depth: int = 16  # control flow: graphs in the attributes of nodes of graphs
    gguf_keys: int = 1 << 16
    gguf_tensors: int = 1 << 16
    gguf_values: int = 2_000_000  # strings in arrays; a vocabulary and its merges have 1,000,000
    gguf_depth: int = 4  # arrays in arrays
    pickle_steps: int = 200_000  # opcodes; what still reads as a pickle then is one
    archive_window: int = 4 << 20  # of a file, for the message that names what is inside
    archive_part: int = 1 << 20  # of a member, unpacked
    archive_parts: int = 64  # members in all
    archive_depth: int = 4  # archives in archives


FORMAT_LIMITS = FormatLimits()
