"""Turns a sentence encoder of BERT's family from safetensors into one ONNX graph, and that graph into int8.

A script of its own: it runs with the interpreter of `build/venvs/export` (`locks/export.txt`: torch,
sentence-transformers, onnx), imports nothing of ours, and its digest is part of what the lock
names (`run.py`). It decides how the graph looks and whether it is good enough; where the files come from and
go to is `run.py`'s.

1. load the folder with sentence-transformers, offline, on one thread; keep the first LAYERS layers, if told to;
2. wrap encoder, mean pooling and L2 normalisation into one module for one text without padding and trace it
   (`dynamo=False`: the dynamo exporter embeds folder paths, and the same bytes must come out of any folder);
3. quantise the weights to int8, one scale per channel (a scale per tensor costs a tenth of the accuracy);
4. compare both with sentence-transformers on a fixed set of texts and refuse what is outside the limits.

Usage: exporter.py MODEL_DIR OUT_DIR [LAYERS]
Writes OUT_DIR/onnx/model.onnx, OUT_DIR/onnx/model_int8.onnx and OUT_DIR/parity.json. The graph takes
`input_ids` (int64, [1, tokens]) and gives `embedding` (float32, [1, dimension]).
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# Read by the libraries on import, so set before: no look-up on a hub, no telemetry, one thread.
os.environ.update(
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_OFFLINE="1",
    ORT_DISABLE_TELEMETRY="1",
    TOKENIZERS_PARALLELISM="false",
    OMP_NUM_THREADS="1",
    CUDA_VISIBLE_DEVICES="",
)

OPSET = 17
MAX_TOKENS = 256
FP32_MAX_ABS_DIFF = 1e-4
INT8_MIN_MEAN_COSINE = 0.99

# One token to beyond the cut at 256, several scripts, code, and the two texts that differ in one word.
PARITY_TEXTS = (
    "hi",
    "What is the capital of France?",
    "What is the capital of Norway?",
    "Write a Python function that returns the n-th Fibonacci number without recursion.",
    "def add(a: int, b: int) -> int:\n    return a + b\n\nassert add(2, 3) == 5",
    "Prove that the square root of two is irrational, step by step.",
    "Summarise the following contract clause in plain language: the lessee shall indemnify the lessor.",
    "Ein Zug fährt um 8 Uhr in Hamburg ab und braucht drei Stunden bis Berlin. Wann kommt er an?",
    "请把这句话翻译成英文, 今天天气很好。",
    "SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 3;",
    '{"role": "user", "content": "return only JSON"}',
    "A patient presents with fever, cough and night sweats. List five possible causes, likeliest first.",
    "If 3x + 7 = 22, what is x? Show your work and check the answer.",
    "Once upon a time a small robot was afraid of the dark, so it learned to build lamps.",
    " ".join(f"Sentence {number} of a long prompt about trains, tides and taxes." for number in range(12)),
    " ".join(f"Paragraph {number} goes on well beyond what the model reads at once." for number in range(60)),
)


def _load(model_dir: Path, layers: int | None) -> Any:
    import torch  # noqa: PLC0415 - only in the export environment
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = SentenceTransformer(
        str(model_dir), device="cpu", local_files_only=True, model_kwargs={"attn_implementation": "eager"}
    )
    model.max_seq_length = MAX_TOKENS
    encoder = model[0].auto_model.encoder
    if layers is not None and not 1 <= layers <= len(encoder.layer):
        raise SystemExit(f"layers: {layers} is not from 1 to {len(encoder.layer)}, which the model has")
    encoder.layer = encoder.layer[:layers]
    return model.eval()


def _export(model: Any, out: Path) -> None:
    import torch  # noqa: PLC0415

    encoder = model[0].auto_model

    class Attention(torch.nn.Module):  # type: ignore[misc]
        """Self-attention of one text, [tokens, size] to the same; one product for query, key and value.

        As the library has it, a graph asks for shapes and permutes at every step: a twentieth of its time.
        """

        def __init__(self, own: Any) -> None:
            super().__init__()
            self.heads, self.size = own.num_attention_heads, own.attention_head_size
            scale = self.size**-0.5
            self.all = torch.nn.Linear(own.query.in_features, 3 * own.all_head_size)
            parts = own.query, own.key, own.value
            for name in ("weight", "bias"):
                query, key, value = (getattr(part, name).data for part in parts)
                getattr(self.all, name).data = torch.cat([query * scale, key, value])

        def forward(self, hidden: Any) -> Any:
            split = self.all(hidden).view(-1, 3, self.heads, self.size)
            query, key, value = split[:, 0].transpose(0, 1), split[:, 1].permute(1, 2, 0), split[:, 2]
            shares = torch.softmax(query @ key, dim=-1)
            return (shares @ value.transpose(0, 1)).transpose(0, 1).reshape(-1, self.heads * self.size)

    class Embedder(torch.nn.Module):  # type: ignore[misc]
        """Encoder, mean pooling, L2 normalisation."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder
            self.attention = torch.nn.ModuleList(
                Attention(one.attention.self) for one in encoder.encoder.layer
            )

        def forward(self, input_ids: Any) -> Any:
            types = torch.zeros_like(input_ids)
            hidden = self.encoder.embeddings(input_ids=input_ids, token_type_ids=types)[0]
            for layer, attention in zip(self.encoder.encoder.layer, self.attention, strict=True):
                hidden = layer.attention.output(attention(hidden), hidden)
                hidden = layer.output(layer.intermediate(hidden), hidden)
            return torch.nn.functional.normalize(hidden.mean(0, keepdim=True), p=2.0, dim=1)

    example = model.preprocess(["an example of several tokens"])
    out.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            Embedder().eval(),
            (example["input_ids"],),
            str(out),
            input_names=["input_ids"],
            output_names=["embedding"],
            dynamic_axes={"input_ids": {1: "tokens"}},
            opset_version=OPSET,
            dynamo=False,
        )


def _quantise(source: Path, out: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415

    quantize_dynamic(str(source), str(out), weight_type=QuantType.QInt8, per_channel=True)


def _embed(path: Path, model: Any) -> Any:
    import numpy as np  # noqa: PLC0415
    import onnxruntime as ort  # noqa: PLC0415

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rows = []
    for text in PARITY_TEXTS:
        ids = model.preprocess([text])["input_ids"].numpy().astype(np.int64)
        rows.append(session.run(["embedding"], {"input_ids": ids})[0][0])
    return np.stack(rows)


def _parity(model: Any, fp32: Path, int8: Path) -> dict[str, Any]:
    import numpy as np  # noqa: PLC0415

    # One text at a time, as the gateway does it: padding changes the last digits.
    truth = np.stack([model.encode(text, normalize_embeddings=True) for text in PARITY_TEXTS])
    cosine = (_embed(int8, model) * truth).sum(axis=1)
    return {
        "texts": len(PARITY_TEXTS),
        "fp32_max_abs_diff": float(np.abs(_embed(fp32, model) - truth).max()),
        "int8_mean_cosine": float(cosine.mean()),
        "int8_min_cosine": float(cosine.min()),
    }


def main(arguments: list[str]) -> int:
    """Export, compare and record; 0 when both graphs are within the limits, 1 otherwise, 2 on wrong usage."""
    if len(arguments) not in (2, 3) or not all(layers.isdecimal() for layers in arguments[2:]):
        sys.stderr.write("usage: exporter.py MODEL_DIR OUT_DIR [LAYERS]\n")
        return 2
    model_dir, out = (Path(argument) for argument in arguments[:2])
    fp32, int8 = out / "onnx" / "model.onnx", out / "onnx" / "model_int8.onnx"
    model = _load(model_dir, int(arguments[2]) if arguments[2:] else None)
    _export(model, fp32)
    _quantise(fp32, int8)
    parity = _parity(model, fp32, int8)
    (out / "parity.json").write_text(json.dumps(parity, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if parity["fp32_max_abs_diff"] >= FP32_MAX_ABS_DIFF or parity["int8_mean_cosine"] < INT8_MIN_MEAN_COSINE:
        sys.stderr.write(f"the exported graph differs from sentence-transformers: {json.dumps(parity)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
