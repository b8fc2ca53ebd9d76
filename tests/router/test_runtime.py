import subprocess
import sys

import numpy as np
import pytest

from routeiq_router.errors import RouterError
from routeiq_router.runtime import OnnxEncoder


def test_encodes_one_prompt_to_a_unit_vector(make_onnx, tiny_table):
    vector = OnnxEncoder(make_onnx(tiny_table), subject="m.onnx").encode([1, 4, 5, 2])
    want = tiny_table.astype(np.float32)[[1, 4, 5, 2]].mean(axis=0)
    assert vector.dtype == np.float32
    np.testing.assert_allclose(vector, want / np.linalg.norm(want), rtol=1e-5)


@pytest.mark.parametrize("data", [b"", b"no model", b"\x80\x04\x95", b"\x08\x08:\x02\x0a\x00"])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(RouterError, match=r"^m\.onnx: not a usable ONNX model"):
        OnnxEncoder(data, subject="m.onnx")


def test_a_graph_that_asks_for_a_mask_gets_one_of_ones(make_onnx, tiny_table):
    plain, masked = make_onnx(tiny_table), make_onnx(tiny_table, masked=True)
    ids = [1, 4, 5, 2]
    expected = OnnxEncoder(plain, subject="m.onnx").encode(ids)
    np.testing.assert_array_equal(OnnxEncoder(masked, subject="m.onnx").encode(ids), expected)


def test_a_graph_with_other_outputs_is_refused(make_onnx, tiny_table):
    with pytest.raises(RouterError, match=r"gives \['logits'\], want .* \['embedding'\]"):
        OnnxEncoder(make_onnx(tiny_table, output="logits"), subject="m.onnx")


def test_a_token_outside_the_model_is_our_error(make_onnx, tiny_table):
    encoder = OnnxEncoder(make_onnx(tiny_table), subject="m.onnx")
    with pytest.raises(RouterError, match="cannot embed"):
        encoder.encode([10_000])


def test_a_vector_that_is_not_finite_is_our_error(make_onnx, tiny_table):
    encoder = OnnxEncoder(make_onnx(np.full_like(tiny_table, np.nan)), subject="m.onnx")
    with pytest.raises(RouterError, match="not finite"):
        encoder.encode([1])


def test_telemetry_is_off_before_onnxruntime_is_imported():
    # The look-up happens on import, so it is the order that matters.
    code = """
import sys, os, builtins
os.environ.pop("ORT_DISABLE_TELEMETRY", None)
import routeiq_router.router, routeiq_router.embedder
assert "onnxruntime" not in sys.modules
real = builtins.__import__
def spy(name, *rest, **named):
    if name.split(".")[0] == "onnxruntime" and "seen" not in globals():
        globals()["seen"] = os.environ.get("ORT_DISABLE_TELEMETRY")
    return real(name, *rest, **named)
builtins.__import__ = spy
from routeiq_router.errors import RouterError
from routeiq_router.runtime import OnnxEncoder
try:
    OnnxEncoder(b"x", subject="x")
except RouterError:
    print(seen)
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "1\n"
