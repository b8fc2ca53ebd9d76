"""I5: what may be in a model, by content; nothing is executed to find out."""

import contextlib
import gzip
import io
import json
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from routeiq_signing.errors import FormatError
from routeiq_signing.formats.check import check_format

TENSORS = save({"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, dtype=np.int8)})


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.canary), "w"))


def zipped(data: bytes, name: str = "data.pkl") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, data)
    return out.getvalue()


def tarred(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("model.pkl")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [bytes, zipped, tarred, gzip.compress, lambda d: gzip.compress(tarred(d))])
@pytest.mark.parametrize(
    "name",
    [
        "model.pkl",
        "model.safetensors",
        "model.onnx",
        "model.gguf",
        "config.json",
        "vocab.txt",
        "README.md",
        "model.pt",
        "x.npz",
    ],
)
def test_a_pickle_is_refused_under_any_name(protocol: int, wrap, name: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    canary = tmp_path / "executed"
    data = wrap(pickle.dumps(Bomb(canary), protocol))
    with pytest.raises(FormatError, match=name):
        check_format(data, f"dir/{name}")
    assert not canary.exists()


@pytest.mark.parametrize("protocol", range(6))
def test_the_message_says_that_it_is_a_pickle(protocol: int, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="pickle, which runs code.*whatever its name says"):
        check_format(pickle.dumps(Bomb(tmp_path / "x"), protocol), "weights.safetensors")


def test_a_numpy_file_with_objects_is_refused() -> None:
    out = io.BytesIO()
    np.save(out, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="NumPy"):
        check_format(out.getvalue(), "weights.npy")


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("weights.safetensors", TENSORS, "safetensors"),
        ("tokenizer.json", b'{"model": {"vocab": {"[CLS]": 1}}}', "json"),
        ("README.md", "# Card\n\nÜber das Modell.\n".encode(), "text"),
        ("vocab.txt", b"[PAD]\n[UNK]\nthe\n.\n", "text"),
        ("LICENSE", b"Apache License\n", "text"),
        ("model.gguf", b"GGUF" + (3).to_bytes(4, "little") + bytes(16), "gguf"),
    ],
)
def test_ordinary_files_of_a_model_pass(name: str, data: bytes, kind: str) -> None:
    assert check_format(data, f"sub/{name}") == kind


def tensors_with(header: dict[str, object], body: bytes) -> bytes:
    raw = json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + body


def entry(start: int, stop: int) -> dict[str, object]:
    return {"dtype": "U8", "shape": [stop - start], "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "too short"),
        ((1 << 40).to_bytes(8, "little") + b"{}", "header length"),
        (TENSORS + b"\x80\x04.", "stand behind"),
        (TENSORS[:-1], "does not fill"),
        (tensors_with({"a": entry(0, 4), "b": entry(2, 6)}, bytes(6)), "overlap or hole"),
        (tensors_with({"a": entry(0, 4), "b": entry(5, 6)}, bytes(6)), "overlap or hole"),
        (
            tensors_with({"a": {"dtype": "U8", "shape": [5], "data_offsets": [0, 4]}}, bytes(4)),
            "does not fill",
        ),
        (tensors_with({"a": {"dtype": "O", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)), "not allowed"),
        (
            tensors_with({"a": {"dtype": "U8", "shape": [-4], "data_offsets": [0, 4]}}, bytes(4)),
            "not in canonical form",
        ),
        (tensors_with({"a": {"dtype": "U8", "shape": [4]}}, bytes(4)), "not exactly"),
        (tensors_with({"__metadata__": {"x": 1}, "a": entry(0, 4)}, bytes(4)), "metadata"),
        (b"\x10" + bytes(7) + b'{"a":1,"a":2}   ', "duplicate key"),
    ],
)
def test_a_crooked_safetensors_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        check_format(data, "w.safetensors")


def field(number: int, payload: bytes | int) -> bytes:
    """One protobuf field; lengths and numbers below 16,384."""

    def varint(value: int) -> bytes:
        return bytes([value & 0x7F | 0x80, value >> 7]) if value > 127 else bytes([value])

    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def onnx(graph: bytes = field(1, field(4, b"Add")), more: bytes = b"") -> bytes:
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 17)) + more


EXTERNAL = field(13, field(1, b"location") + field(2, b"../../etc/passwd"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (onnx(field(5, EXTERNAL)), "another file"),
        (onnx(field(5, field(14, 1))), "another file"),
        (onnx(field(1, field(5, field(5, EXTERNAL)))), "another file"),
        (onnx(field(1, field(5, field(6, field(5, EXTERNAL))))), "another file"),
        (onnx(field(1, field(7, b"evil.ops"))), "'evil.ops' is not allowed"),
        (onnx(more=field(8, field(1, b"evil.ops"))), "'evil.ops' is not allowed"),
        (onnx(more=field(25, field(7, field(7, b"evil.ops")))), "functions of its own"),
        (onnx()[:-1], "beyond its message|not a protobuf"),
        (field(1, 8), "no ONNX model"),
        (b"", "no ONNX model"),
        (b"<html></html>", "protobuf"),
    ],
)
def test_an_onnx_that_reaches_out_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        check_format(data, "m.onnx")


def test_a_plain_onnx_passes() -> None:
    assert check_format(onnx(), "m.onnx") == "onnx"
    assert check_format(onnx(field(1, field(7, b"com.microsoft"))), "m.onnx") == "onnx"


@given(
    st.binary(max_size=300),
    st.sampled_from(["a.safetensors", "a.onnx", "a.gguf", "a.json", "README.md", "a.bin"]),
)
def test_any_bytes_are_judged_without_another_error(data: bytes, name: str) -> None:
    with contextlib.suppress(FormatError):
        assert check_format(data, name)


def test_a_script_and_an_unknown_name_are_refused() -> None:
    with pytest.raises(FormatError, match="a script"):
        check_format(b"#!/bin/sh\n", "setup")
    with pytest.raises(FormatError, match="of no allowed format"):
        check_format(b"x = 1\n", "modeling.py")


@pytest.mark.parametrize("name", ["README.md", "vocab.txt", "LICENSE", "model.gguf"])
@pytest.mark.parametrize("protocol", [0, 1])
@pytest.mark.parametrize("before", [b"", b"V" + b"x" * 100_000 + b"\n0"])
@pytest.mark.parametrize("behind", [b"", b"\nhello world\n", b"\nno end"])
def test_a_text_that_would_run_when_unpickled_is_refused(
    name: str, protocol: int, before: bytes, behind: bytes, tmp_path: Path
) -> None:
    """Loading calls what it found before it meets the end, so what stands behind is no excuse."""
    canary = tmp_path / "executed"
    with pytest.raises(FormatError):
        check_format(before + pickle.dumps(Bomb(canary), protocol) + behind, name)
    assert not canary.exists()


@pytest.mark.parametrize(
    "text",
    [
        b"config options\nfor all\nRead them.\n",
        b"import numpy\nas np\n",
        b"the\ncat\nsat\n.\n",
        b"(see below)\n",
        b"[PAD]\n[UNK]\n##s\n",
        b"",
    ],
)
def test_prose_is_no_pickle(text: bytes) -> None:
    assert check_format(text, "README.md") == "text"


@pytest.mark.parametrize("data", [b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[Infinity]"])
def test_json_with_two_readings_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="not JSON"):
        check_format(data, "config.json")


def test_training_graphs_and_compiled_contexts_are_refused() -> None:
    with pytest.raises(FormatError, match="training graphs"):
        check_format(onnx(more=field(20, field(1, field(5, EXTERNAL)))), "m.onnx")
    with pytest.raises(FormatError, match="EPContext"):
        check_format(onnx(field(1, field(4, b"EPContext") + field(7, b"com.microsoft"))), "m.onnx")
