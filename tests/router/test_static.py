"""Static embedders: a table of token vectors, read strictly, added up, used like any other embedder (D3, D6)."""

import dataclasses
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.router.conftest import WORDS

from routeiq_router.artifact import dump_artifact, parse_artifact
from routeiq_router.embedder import STATIC_FILE, Embedder, embedder_digest
from routeiq_router.errors import RouterError
from routeiq_router.folder import write_artifact
from routeiq_router.router import Router
from routeiq_router.static import StaticEncoder, pack_vectors
from routeiq_router.training.distil import distil
from routeiq_signing.progress import QuietProgress


@pytest.fixture(scope="session")
def static_files(embedder_files) -> dict[str, bytes]:
    return distil(embedder_files, dimension=6, progress=QuietProgress())


@pytest.fixture
def static(static_files) -> Embedder:
    return Embedder.load(static_files)


def _encoder(table, tokens=0) -> StaticEncoder:
    return StaticEncoder(
        pack_vectors(np.asarray(table, dtype=np.float64)), subject="v.safetensors", tokens=tokens
    )


def test_a_prompt_is_the_sum_of_its_tokens_at_unit_length():
    encoder = _encoder([[0, 0], [127, 0], [0, 254], [-1, 0]])
    assert encoder.encode([1]) == pytest.approx([1, 0])
    assert encoder.encode([2]) == pytest.approx([0, 1])  # each row has a scale of its own
    assert encoder.encode([1, 2]) == pytest.approx(np.asarray([1, 2]) / np.sqrt(5))
    assert np.array_equal(encoder.encode([1, 2, 0]), encoder.encode([0, 2, 1]))


def test_what_all_tokens_share_makes_no_two_prompts_alike(make_onnx, embedder_files):
    draw = np.random.default_rng(0)
    shared = draw.normal(size=100) * 50
    table = draw.normal(size=(len(WORDS), 100)) + shared * draw.normal(size=(len(WORDS), 1))
    files = {**embedder_files, "onnx/model_int8.onnx": make_onnx(table)}
    static = Embedder.load(distil(files, dimension=20, progress=QuietProgress()))
    vectors = np.stack([static.embed(word) for word in WORDS if word.isalpha()])
    assert np.abs(vectors @ vectors.T).mean() < 0.5


def test_tokens_without_a_vector_leave_zeros_never_nan():
    encoder = _encoder([[0, 0], [1, 0], [-1, 0]])
    for ids in ([], [0, 0], [1, 2]):
        assert encoder.encode(ids).tolist() == [0, 0]


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_packing_keeps_each_row_to_a_step(rows, dimension, seed):
    draw = np.random.default_rng(seed)
    table = draw.normal(size=(rows, dimension)) * 10.0 ** draw.integers(-6, 6, size=(rows, 1))
    tensors = safetensors.numpy.load(pack_vectors(table))
    read = tensors["vectors"] * tensors["scale"][:, None]
    assert (np.abs(read - table) <= 0.51 * tensors["scale"][:, None]).all()


def test_distilling_again_gives_the_same_bytes(embedder_files, static_files):
    assert distil(embedder_files, dimension=6, progress=QuietProgress()) == static_files


def test_distilled_tokens_are_near_where_the_encoders_are(embedder_files, tiny_table):
    files = distil(embedder_files, dimension=8, progress=QuietProgress())
    tensors = safetensors.numpy.load(files[STATIC_FILE])
    got = tensors["vectors"] * tensors["scale"][:, None]
    teacher = Embedder.load(embedder_files)
    alone = np.stack([teacher.encode_ids([1, token, 2]) for token in range(len(tiny_table))])
    alone -= alone.mean(axis=0)
    for one, other in ((5, 9), (4, 8), (14, 20)):
        # Rotated and weighted, but the angles between tokens are the encoder's.
        assert _cosine(got[one], got[other]) == pytest.approx(_cosine(alone[one], alone[other]), abs=0.03)


def test_special_tokens_have_no_vector(static, static_files):
    tensors = safetensors.numpy.load(static_files[STATIC_FILE])
    assert not tensors["vectors"][[1, 2]].any()
    assert static.embed("").tolist() == [0] * 6
    assert np.array_equal(static.embed("who is"), static.embed("is who"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text())
def test_any_text_is_embedded(static, text):
    vector = static.embed(text)
    assert vector.shape == (6,)
    assert np.isfinite(vector).all()


def test_a_router_runs_on_a_static_embedder_and_only_on_its_own(
    make_artifact, static, static_files, embedder_files
):
    artifact = _artifact(make_artifact, static)
    router = Router.load(dump_artifact(artifact), static_files)
    assert router.rank("add number", {"a": "maths-7b", "b": "all-70b"}).score is not None
    with pytest.raises(
        RouterError, match=r"was trained with embedder sha256:.*\(static, 6 numbers\).*\(onnx, 8 numbers\)"
    ):
        Router.load(dump_artifact(artifact), embedder_files)


def test_router_json_says_that_an_embedder_is_static(make_artifact, static):
    artifact = _artifact(make_artifact, static)
    files = dump_artifact(artifact)
    assert json.loads(files["router.json"])["embedder"]["kind"] == "static"
    assert parse_artifact(files).embedder == artifact.embedder
    assert "kind" not in json.loads(dump_artifact(make_artifact())["router.json"])["embedder"]


@pytest.mark.parametrize("kind", ["pickle", "", None, 1, ["static"]])
def test_another_kind_of_embedder_is_refused(make_artifact, kind):
    files = dump_artifact(make_artifact())
    manifest = json.loads(files["router.json"])
    manifest["embedder"]["kind"] = kind
    with pytest.raises(RouterError, match="'kind' is not one of onnx, static"):
        parse_artifact({**files, "router.json": json.dumps(manifest).encode()})


def test_a_folder_that_could_be_either_is_refused(static_files, embedder_files):
    with pytest.raises(RouterError, match=r"^static/vectors\.safetensors: beside onnx/model_int8\.onnx"):
        Embedder.load({**embedder_files, **static_files})


def test_a_table_without_its_tokenizer_is_refused(static_files):
    with pytest.raises(RouterError, match=r"^tokenizer\.json: missing"):
        Embedder.load({STATIC_FILE: static_files[STATIC_FILE]})


_VECTORS, _SCALE = np.ones((40, 3), dtype=np.int8), np.ones(40, dtype=np.float32)


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        ({"scale": _SCALE}, "tensor 'vectors' is missing"),
        ({"vectors": _VECTORS}, "tensor 'scale' is missing"),
        (
            {"vectors": _VECTORS.astype(np.float32), "scale": _SCALE},
            "tensor 'vectors' is float32 40x3, want int8",
        ),
        ({"vectors": _VECTORS, "scale": _SCALE[:-1]}, "tensor 'scale' is float32 39, want float32 40"),
        ({"vectors": _VECTORS, "scale": _SCALE * np.float32(np.inf)}, "tensor 'scale' is not finite"),
        ({"vectors": _VECTORS[:5], "scale": _SCALE[:5]}, "has 5 tokens, its tokenizer 22"),
    ],
)
def test_a_spoilt_table_is_refused_by_name(static_files, tensors, fault):
    with pytest.raises(RouterError, match=rf"^static/vectors\.safetensors: {fault}"):
        Embedder.load({**static_files, STATIC_FILE: safetensors.numpy.save(tensors)})


@pytest.mark.parametrize("data", [b"", b"\x80\x04K\x01.", b"PK\x03\x04", b"{}"])
def test_what_is_no_safetensors_is_refused(static_files, data):  # I5
    with pytest.raises(RouterError, match=r"^static/vectors\.safetensors: not safetensors"):
        Embedder.load({**static_files, STATIC_FILE: data})


def test_the_digest_tells_embedders_apart(static_files, embedder_files):
    digests = {embedder_digest(static_files), embedder_digest(embedder_files)}
    digests.add(embedder_digest({**static_files, STATIC_FILE: static_files[STATIC_FILE] + b" "}))
    assert len(digests) == 3


@pytest.mark.parametrize("dimension", [0, 9, -1])
def test_a_dimension_that_the_encoder_does_not_have_is_refused(embedder_files, dimension):
    with pytest.raises(RouterError, match=f"^dimension: {dimension} is not from 1 to 8"):
        distil(embedder_files, dimension=dimension, progress=QuietProgress())


def test_only_a_sentence_encoder_is_distilled(static_files):
    with pytest.raises(RouterError, match="only a sentence encoder can be distilled"):
        distil(static_files, dimension=2, progress=QuietProgress())


def test_serving_needs_no_onnxruntime(make_artifact, static, static_files, tmp_path):  # D5
    write_artifact(tmp_path / "a", dump_artifact(_artifact(make_artifact, static)))
    write_artifact(tmp_path / "e", static_files)
    code = f"""
import sys
from pathlib import Path
from routeiq_router.folder import read_unsigned
from routeiq_router.router import Router
root = Path({str(tmp_path)!r})
Router.load(read_unsigned(root / "a"), read_unsigned(root / "e")).rank("add", {{"g": "maths-7b"}})
assert "onnxruntime" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_command_writes_a_folder_that_trains(static_files, embedder_folder, small_file, tmp_path):
    out = tmp_path / "static"
    done = _routeiq("distil", "--embedder", embedder_folder, "--dimension", 6, "--out", out)
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    assert {name: hashlib.sha256((out / name).read_bytes()).digest() for name in static_files} == {
        name: hashlib.sha256(data).digest() for name, data in static_files.items()
    }
    again = _routeiq("distil", "--embedder", embedder_folder, "--out", out)
    assert again.returncode == 1
    assert "not empty" in again.stderr
    artifact = tmp_path / "small-v1"
    trained = _routeiq(
        "train", "--data", small_file, "--strategy", "ridge", "--embedder", out, "--cache", tmp_path / "cache",
        "--out", artifact,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    embedder = json.loads((artifact / "router.json").read_text())["embedder"]
    assert (embedder["kind"], embedder["name"], embedder["dimension"]) == ("static", "static", 6)


def _artifact(make_artifact, embedder):
    artifact = make_artifact()
    size = artifact.embedder.dimension - embedder.dimension
    identity = dataclasses.replace(
        artifact.embedder, digest=embedder.digest, dimension=embedder.dimension, kind=embedder.kind
    )
    weights = {**artifact.weights, "coefficients": artifact.weights["coefficients"][size:]}
    return dataclasses.replace(artifact, embedder=identity, weights=weights)


def _cosine(one, other):
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def _routeiq(verb, *arguments):
    code = "from routeiq_appliance.cli.main import main; main(prog_name='routeiq')"
    return subprocess.run(
        [sys.executable, "-c", code, "router", verb, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
