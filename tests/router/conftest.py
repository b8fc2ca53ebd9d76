"""A whole embedder of 3 KB, and a small routing set in which some models are good at some skills.

The ONNX file is written field by field (onnx.proto3), so that the tests need no exporter.
"""

import json
import random
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from routeiq_router.embedder import TRUNCATION, Embedder
from routeiq_router.strategies.interface import Inputs
from routeiq_router.text import surface_features

DIMENSION = 8
WORDS = ["[UNK]", "[CLS]", "[SEP]", "dimension", "add", "and", "divide", "number", "plus", "write", "code",
         "function", "that", "sorts", "list", "capital", "city", "country", "who", "is", "the", "of"]  # fmt: skip


_KNN = {
    "components": 4,
    "neighbours": 20,
    "surface_weight": 0.5,
    "temperature": 0.2,
    "temperature_between": 0.2,
}
_ENSEMBLE = {
    "knn": _KNN,
    "mlp": {"hidden": 8, "decay": 0.01},
    "ridge": {"alpha": 1.0},
    "shares": {"knn": 0.5, "mlp": 0.2, "ridge": 0.3},
}
SMALL_PARAMS = {
    "best": {},
    "centroid": {"clusters": 6, "strength": 1.0, "temperature": 0.1},
    "cheapest": {},
    "elo": {"clusters": 6, "step": 0.1, "temperature": 0.05},
    "ensemble": _ENSEMBLE,
    "graph": {**_KNN, "edges": 40, "flow": 0.5, "between_models": 0.1},
    "guarded": {"base": _ENSEMBLE},
    "hybrid": {"alpha_gap": 1.0, "alpha_level": 1.0},
    "irt": {"base": _ENSEMBLE, "skills": 2},
    "knn": _KNN,
    "logistic": {"c": 1.0},
    "mf": {"rank": 2, "alpha": 1.0},
    "mlp": {"hidden": 8, "decay": 0.01},
    "ridge": {"alpha": 1.0},
    "svm": {"c": 1.0},
}
"""Parameters of every strategy for the small set, not chosen."""


def _field(number: int, value: bytes | str | int) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _node(kind: str, inputs: list[str], output: str, **attributes: int | list[int]) -> bytes:
    body = b"".join(_field(1, name) for name in inputs) + _field(2, output) + _field(4, kind)
    for name, value in attributes.items():
        if isinstance(value, list):
            body += _field(5, _field(1, name) + b"".join(_field(8, item) for item in value) + _field(20, 7))
        else:
            body += _field(5, _field(1, name) + _field(3, value) + _field(20, 2))
    return body


def _value(name: str, kind: int, shape: list[int | str]) -> bytes:
    dims = b"".join(
        _field(1, _field(1, item) if isinstance(item, int) else _field(2, item)) for item in shape
    )
    return _field(1, name) + _field(2, _field(1, _field(1, kind) + _field(2, dims)))


def tiny_onnx(table: np.ndarray, output: str = "embedding", *, masked: bool = False) -> bytes:
    """Mean of the tokens' rows of `table`, unit length: a sentence encoder without layers."""
    rows, size = table.shape
    tensor = (
        _field(1, rows)
        + _field(1, size)
        + _field(2, 1)
        + _field(8, "table")
        + _field(9, table.astype("<f4").tobytes())
    )
    graph = (
        _field(1, _node("Gather", ["table", "input_ids"], "tokens", axis=0))
        + _field(1, _node("ReduceMean", ["tokens"], "mean", axes=[1], keepdims=0))
        + _field(1, _node("LpNormalization", ["mean"], output, axis=1, p=2))
        + _field(2, "tiny")
        + _field(5, tensor)
        + _field(11, _value("input_ids", 7, [1, "n"]))
        + (_field(11, _value("attention_mask", 7, [1, "n"])) if masked else b"")
        + _field(12, _value(output, 1, [1, size]))
    )
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))


def tiny_tokenizer() -> bytes:
    tokenizer = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    # As sentence-transformers ships it: the router must not pad or cut by these.
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    return tokenizer.to_str().encode()


@pytest.fixture(scope="session")
def tiny_table() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(WORDS), DIMENSION))


@pytest.fixture(scope="session")
def make_onnx():
    return tiny_onnx


@pytest.fixture(scope="session")
def embedder_files(tiny_table) -> dict[str, bytes]:
    return {"onnx/model_int8.onnx": tiny_onnx(tiny_table), "tokenizer.json": tiny_tokenizer()}


@pytest.fixture
def embedder(embedder_files) -> Embedder:
    return Embedder.load(embedder_files)


@pytest.fixture(scope="session")
def embedder_folder(embedder_files, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    for name, data in embedder_files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def small_rows(count: int = 300) -> list[dict]:
    """Three skills; "maths-7b" adds, "code-13b" writes code, "all-70b" does both and costs most."""
    draw = random.Random(7)
    skill = {
        "add": {"maths-7b": 0.9, "code-13b": 0.2, "all-70b": 0.9},
        "code": {"maths-7b": 0.1, "code-13b": 0.9, "all-70b": 0.8},
        "facts": {"maths-7b": 0.3, "code-13b": 0.3, "all-70b": 0.9},
    }
    rows = []
    for index in range(count):
        task = draw.choice(sorted(skill))
        prompt = {
            "add": f"add the number {index} plus {draw.randrange(99)}",
            "code": f"write code function that sorts the list number{index}():",
            "facts": f"who is the capital city of country {index} ?",
        }[task]
        scores = {model: float(draw.random() < chance) for model, chance in skill[task].items()}
        rows.append({"id": f"small-{index}", "task": task, "prompt": prompt, "scores": scores})
    return rows


@pytest.fixture(scope="session")
def small_set() -> list[dict]:
    return small_rows()


@pytest.fixture(scope="session")
def small_file(small_set, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("data") / "small.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in small_set))
    return path


@pytest.fixture(scope="session")
def small_training(embedder_files, small_set) -> tuple[Inputs, np.ndarray]:
    """Inputs and scores [300, 3] in the order all-70b, code-13b, maths-7b."""
    embedder = Embedder.load(embedder_files)
    prompts = [row["prompt"] for row in small_set]
    inputs = Inputs(
        np.stack([embedder.embed(prompt) for prompt in prompts]),
        np.stack([surface_features(prompt) for prompt in prompts]),
    )
    names = ("all-70b", "code-13b", "maths-7b")
    return inputs, np.asarray(
        [[row["scores"][name] for name in names] for row in small_set], dtype=np.float32
    )


@pytest.fixture(scope="session")
def small_params() -> dict[str, dict]:
    return SMALL_PARAMS


@pytest.fixture(scope="session")
def small_fitted(small_training):
    """Returns a function that gives a strategy's arrays for the small set and `SMALL_PARAMS`; fitted once each."""
    from routeiq_router.strategies.registry import strategy

    made: dict[str, dict[str, np.ndarray]] = {}

    def fitted(name: str) -> dict[str, np.ndarray]:
        if name not in made:
            made[name] = dict(strategy(name).fit(*small_training, SMALL_PARAMS[name], seed=0))
            for array in made[name].values():
                array.setflags(write=False)
        return dict(made[name])

    return fitted


@pytest.fixture
def make_artifact(embedder, small_fitted):
    """Returns a function that fits a strategy on the small set without choosing, and gives an `Artifact`."""
    from routeiq_router.artifact import Artifact, EmbedderIdentity
    from routeiq_router.data.split import prompt_fingerprints

    params = SMALL_PARAMS

    def make(name: str = "ridge", **changes) -> Artifact:
        fields = {
            "name": "tiny",
            "strategy": name,
            "models": ("all-70b", "code-13b", "maths-7b"),
            "costs": {"all-70b": 70.0, "code-13b": 13.0, "maths-7b": 7.0},
            "embedder": EmbedderIdentity("tiny", embedder.digest, embedder.dimension, TRUNCATION),
            "surface": "surface/v1",
            "params": params[name],
            "training": {"seed": 0},
            "metrics": {},
            "trained_prompts": np.unique(prompt_fingerprints(["seen before"])),
            "weights": small_fitted(name),
        }
        return Artifact(**{**fields, **changes})

    return make
