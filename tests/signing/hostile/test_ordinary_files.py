"""I5: what a model repository ordinarily holds is never refused."""

import importlib.metadata
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save
from tests.signing.hostile.build import (
    ADD,
    TENSORS,
    field,
    gguf,
    gguf_tensor,
    gguf_text,
    node,
    onnx,
    piece,
    tensors,
)

from routeiq_signing.formats.check import check_format

_ROOT = Path(__file__).parents[3]
_TOKENIZER = json.dumps(
    {
        "version": "1.0",
        "truncation": None,
        "added_tokens": [{"id": 0, "content": "[PAD]", "special": True}],
        "model": {"type": "BPE", "vocab": {"Ġthe": 1, "東京": 2, "\u202e": 3}, "merges": ["a b", ["c", "d"]]},
    },
    ensure_ascii=False,
).encode()
_CONFIG = b"""{
  "architectures": ["BertModel"], "layer_norm_eps": 1e-12, "attention_dropout": 0.1, "pad_token_id": -1,
  "rope_scaling": null, "auto_map": {"AutoModel": "modeling.Custom"}
}
"""
_TOKENIZER_CONFIG = (
    b'{"model_max_length": 1000000000000000019884624838656, "chat_template": "{% for m in x %}{% endfor %}"}'
)
_CARD = "---\nlicense: apache-2.0\n---\n# Modèle\n\nI like it (see below).\n\n```python\nimport torch\n```\n".encode()
_GGUF_KEYS = (
    gguf_text(b"general.architecture") + b"\x08\0\0\0" + gguf_text(b"llama"),
    gguf_text(b"tokens") + b"\x09\0\0\0\x08\0\0\0\x02\0\0\0\0\0\0\0" + gguf_text(b"a") + gguf_text(b"b"),
    gguf_text(b"scores") + b"\x09\0\0\0\x06\0\0\0\x02\0\0\0\0\0\0\0" + bytes(8),
)
_IMPORT = field(8, field(1, b"org.pytorch.aten"))
_ORDINARY = [
    ("config.json", _CONFIG, "json"),
    ("tokenizer.json", _TOKENIZER, "json"),
    ("tokenizer_config.json", _TOKENIZER_CONFIG, "json"),
    ("special_tokens_map.json", b'{"pad_token": "[PAD]"}', "json"),
    ("modules.json", b'[{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"}]', "json"),
    ("1_Pooling/config.json", b'{"pooling_mode_mean_tokens": true}', "json"),
    ("model.safetensors.index.json", b'{"metadata": {"total_size": 1}, "weight_map": {"a": "b"}}', "json"),
    ("vocab.json", '{"Ġ": 0, "é": 1}'.encode(), "json"),
    ("vocab.txt", "[PAD]\n[UNK]\n##s\nthe\n.\n(\n京\n".encode(), "text"),
    ("vocab.txt", b"cat\ndog\nRabbit\n(\nt\nR\n.\n", "text"),
    ("merges.txt", "#version: 0.2\nĠ t\nĠ a\ni n\n".encode(), "text"),
    ("README.md", _CARD, "text"),
    ("README.md", b"", "text"),
    ("LICENSE", b"                                 Apache License\n\f Version 2.0\n", "text"),
    ("LICENSE.txt", b"MIT License\r\n\r\nCopyright\r\n", "text"),
    ("LICENSE-MODEL", b"Community licence\n", "text"),
    ("NOTICE", b"Notices.\n", "text"),
    ("USE_POLICY.md", b"Use it well.\n", "text"),
    (".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n", "text"),
    (".gitignore", b"*.pyc\n", "text"),
    ("chat_template.jinja", b"{% for message in messages %}{{ message.content }}{% endfor %}", "text"),
    ("qwen.tiktoken", b"IQ== 0\nIg== 1\n", "text"),
    ("model.safetensors", TENSORS, "safetensors"),
    ("model-00001-of-00002.safetensors", save({"x": np.zeros((0, 4)), "é": np.ones(3)}), "safetensors"),
    ("adapter_model.safetensors", save({}, {"format": "pt"}), "safetensors"),
    ("spaced.safetensors", tensors({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}, b"\0"), "safetensors"),
    ("onnx/model.onnx", onnx(), "onnx"),
    ("onnx/model_O2.onnx", onnx(node(ADD, field(7, b"com.microsoft")), more=_IMPORT), "onnx"),
    ("onnx/if.onnx", onnx(node(field(4, b"If"), field(5, field(1, b"then_branch") + field(6, node())))), "onnx"),
    ("model.Q4_1.gguf", gguf(_GGUF_KEYS, (gguf_tensor(b"t", 0), gguf_tensor(b"u", 32)), bytes(64)), "gguf"),
    ("vocab.gguf", gguf(_GGUF_KEYS), "gguf"),
    ("model.gguf", gguf((), (gguf_tensor(b"t", 0, shape=(2,)),), bytes(8)), "gguf"),
    ("tokenizer.model", piece() + piece("▁a".encode()) + field(2, field(4, 2)) + field(3, b""), "sentencepiece"),
    ("source.spm", piece(), "sentencepiece"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "data", "kind"), _ORDINARY, ids=[f"{name}-{n}" for n, (name, *_) in enumerate(_ORDINARY)]
)
def test_an_ordinary_file_is_accepted(name: str, data: bytes, kind: str) -> None:
    assert check_format(data, name) == kind


def test_texts_of_every_installed_distribution_are_no_pickles() -> None:
    """Prose, code and lists by other people: what a reader of opcodes might stumble over."""
    seen = 0
    for distribution in importlib.metadata.distributions():
        for file in distribution.files or []:
            if file.suffix.lower() in {".md", ".txt", ".rst"} or file.name in {
                "METADATA",
                "RECORD",
                "LICENSE",
            }:
                path = Path(str(distribution.locate_file(file)))
                if not path.is_file() or path.stat().st_size > 200_000:
                    continue
                data = path.read_bytes()
                with io.BytesIO(data) as raw:
                    if raw.read(2) == b"#!" or not _is_plain(data):
                        continue
                assert check_format(data, "README.md") == "text", path
                seen += 1
                if seen > 1000:
                    return
    assert seen > 50


def _is_plain(data: bytes) -> bool:
    try:
        return all(character >= " " or character in "\t\n\r\f" for character in data.decode())
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize("folder", ["build/dev/models", "router/pretrained"])
def test_the_models_of_this_product_are_accepted(folder: str) -> None:
    root = _ROOT / folder
    for path in sorted(root.rglob("*")) if root.is_dir() else []:
        if path.is_file() and path.name != "model.sig":
            assert check_format(path.read_bytes(), path.relative_to(root).as_posix()), path


def test_models_of_onnxruntime_are_accepted() -> None:
    folder = Path(
        sys.prefix, "lib", f"python3.{sys.version_info.minor}", "site-packages/onnxruntime/datasets"
    )
    for path in folder.glob("*.onnx"):
        assert check_format(path.read_bytes(), path.name) == "onnx", path
