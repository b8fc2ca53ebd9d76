import hashlib
import json

import numpy as np
import pytest
import safetensors.numpy

from routeiq_router.artifact import dump_artifact, parse_artifact
from routeiq_router.errors import RouterError
from routeiq_router.limits import Limits


@pytest.fixture
def files(make_artifact) -> dict[str, bytes]:
    return dump_artifact(make_artifact("knn"))


def edited(files: dict[str, bytes], **changes) -> dict[str, bytes]:
    manifest = {**json.loads(files["router.json"]), **changes}
    return {**files, "router.json": json.dumps({k: v for k, v in manifest.items() if v is not ...}).encode()}


def reweighted(files: dict[str, bytes], data: bytes) -> dict[str, bytes]:
    digest = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    return {**edited(files, weights=digest), "weights.safetensors": data}


def test_what_was_written_is_read_and_written_again_the_same(files):
    artifact = parse_artifact(files)
    assert dump_artifact(artifact) == files
    assert artifact.digest == f"sha256:{hashlib.sha256(files['router.json']).hexdigest()}"
    assert artifact.weights["index"].dtype == np.int8
    assert len(artifact.trained_prompts) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": "routeiq.router/v0"}, "schema is 'routeiq.router/v0', want 'routeiq.router/v1'"),
        ({"models": ...}, "'models' is missing"),
        ({"models": []}, "models must be 1 to"),
        ({"models": ["a", "a", "b"]}, "different names"),
        ({"models": ["a", 1, "b"]}, "different names"),
        ({"costs": {"all-70b": 1}}, "costs must name every model"),
        ({"costs": {"all-70b": -1, "code-13b": 1, "maths-7b": 1}}, "cost of 'all-70b' is not"),
        ({"costs": {"all-70b": True, "code-13b": 1, "maths-7b": 1}}, "cost of 'all-70b' is not"),
        ({"embedder": {}}, "embedder: 'digest' is missing|embedder: 'name' is missing"),
        (
            {"embedder": {"name": "x", "digest": "y", "dimension": "8", "truncation": "z"}},
            "'dimension' is not a whole",
        ),
        ({"params": []}, "'params' is not a JSON object"),
        ({"name": ""}, "'name' is not a text"),
        ({"extra": 1}, "unknown member 'extra'"),
        ({"weights": {"sha256": "0" * 64, "size": 1}}, "is not the one that router.json names"),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_fault(files, changes, message):
    with pytest.raises(RouterError, match=message):
        parse_artifact(edited(files, **changes))


def test_changed_weights_are_refused(files):
    data = bytearray(files["weights.safetensors"])
    data[-1] ^= 1
    with pytest.raises(RouterError, match=r"^weights\.safetensors: digest .* is not the one"):
        parse_artifact({**files, "weights.safetensors": bytes(data)})


@pytest.mark.parametrize("data", [b"", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0{}              "])
def test_weights_that_are_no_safetensors_are_refused(files, data):
    with pytest.raises(RouterError, match=r"^weights\.safetensors: (not safetensors|tensor)"):
        parse_artifact(reweighted(files, data))


def test_weights_without_fingerprints_are_refused(files):
    data = safetensors.numpy.save({"index": np.zeros((1, 1), np.int8)})
    with pytest.raises(RouterError, match="tensor 'trained_prompts' is missing"):
        parse_artifact(reweighted(files, data))


@pytest.mark.parametrize("name", ["router.json", "weights.safetensors"])
def test_a_missing_or_huge_file_is_refused(files, name):
    with pytest.raises(RouterError, match=f"^{name}: missing from the artifact"):
        parse_artifact({key: value for key, value in files.items() if key != name})
    with pytest.raises(RouterError, match=r"bytes, more than 10"):
        parse_artifact(files, Limits(manifest_bytes=10, weights_bytes=10))
