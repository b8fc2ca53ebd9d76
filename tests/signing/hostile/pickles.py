"""Pickles and what carries them: every protocol, other names, other containers, and tricks against scanners."""

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
from tests.signing.hostile.build import TENSORS, Bomb, Corpus, Hostile, payload, tarred, zipped

__all__ = ["CORPUS"]

RUNS = "a Python pickle.*runs code"


def _load_twice(data: bytes) -> None:
    file = io.BytesIO(data)
    for _ in range(2):
        pickle.load(file)


def _load_what_is_there(data: bytes) -> None:
    with contextlib.suppress(EOFError, pickle.UnpicklingError):
        pickle.loads(data)


def _load_npy(data: bytes) -> object:
    return np.load(io.BytesIO(data), allow_pickle=True)


def _load_npz(data: bytes) -> object:
    return np.load(io.BytesIO(data), allow_pickle=True)["a"]


def _protocol(protocol: int, name: str) -> Callable[[Path], Hostile]:
    return lambda canary: Hostile(name, payload(canary, protocol), RUNS, pickle.loads)


def _bytes(
    name: str, make: Callable[[Path], bytes], says: str = RUNS, run: Callable[[bytes], object] | None = None
):  # type: ignore[no-untyped-def]
    return lambda canary: Hostile(name, make(canary), says, run)


def _call(canary: Path) -> bytes:
    """Return text opcodes that look up `mkdir` and its argument, in place of what a pickler writes."""
    return b"cposix\nmkdir\n(V" + str(canary).encode() + b"\nt"


def _instance(canary: Path) -> bytes:
    return b"(V" + str(canary).encode() + b"\niposix\nmkdir\n."


def _object(canary: Path) -> bytes:
    return b"(cposix\nmkdir\nV" + str(canary).encode() + b"\no."


def _joblib(compress: object) -> Callable[[Path], bytes]:
    def make(canary: Path) -> bytes:
        out = io.BytesIO()
        joblib.dump({"weights": np.ones(3), "bomb": Bomb(canary)}, out, compress=compress)
        return out.getvalue()

    return make


def _load_joblib(data: bytes) -> object:
    return joblib.load(io.BytesIO(data))


def _npy(canary: Path) -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    return out.getvalue()


def _torch_zip(canary: Path) -> bytes:
    return zipped(
        ("archive/data.pkl", payload(canary, 2)), ("archive/version", b"3\n"), ("archive/data/0", bytes(64))
    )


def _torch_legacy(canary: Path) -> bytes:
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    return magic + pickle.dumps(1001, 2) + pickle.dumps({"little_endian": True}, 2) + payload(canary, 2)


def _load_legacy(data: bytes) -> None:
    file = io.BytesIO(data)
    for _ in range(4):
        pickle.load(file)


def _flagged(canary: Path) -> bytes:
    """Return a zip whose members claim to be encrypted; a scanner that asks for a password stops there."""
    raw = bytearray(_torch_zip(canary))
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(magic)
        while at >= 0:
            raw[at + place] |= 1
            at = raw.find(magic, at + 4)
    return bytes(raw)


def _broken_checksum(canary: Path) -> bytes:
    raw = bytearray(_torch_zip(canary))
    raw[14:18] = b"\0\0\0\0"
    return bytes(raw)


def _unsized(canary: Path) -> bytes:
    """Return a zip whose local headers leave the sizes to what follows the data."""
    raw = bytearray(zipped(("data.pkl", payload(canary)), method=zipfile.ZIP_DEFLATED))
    raw[6] |= 8
    raw[14:26] = bytes(12)
    return bytes(raw)


def _deep(data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = zipped(("inner.zip", data))
    return data


_RENAMED = (
    "weights.safetensors",
    "model.onnx",
    "model.gguf",
    "config.json",
    "tokenizer.model",
    "model.bin",
    "model",
)
_TEXTS = ("README.md", "vocab.txt", "merges.txt", "LICENSE")

CORPUS: Corpus = {
    **{f"pickle protocol {n}": _protocol(n, "model.pkl") for n in range(6)},
    **{f"pickle protocol {n} renamed to safetensors": _protocol(n, "weights.safetensors") for n in range(6)},
    **{f"pickle protocol 4 renamed to {name}": _protocol(4, name) for name in _RENAMED},
    **{f"pickle of text renamed to {name}": _protocol(0, name) for name in _TEXTS},
    **{
        f"pickle protocol {n} truncated after the payload": _bytes(
            "model.pkl", lambda canary, n=n: payload(canary, n)[:-1], RUNS, _load_what_is_there
        )
        for n in (0, 1, 2, 3)
    },
    "pickle with prose behind": _bytes(
        "README.md", lambda c: payload(c, 0) + b"\nA model card.\n", RUNS, pickle.loads
    ),
    "pickle of text truncated after the payload": _bytes(
        "README.md", lambda c: payload(c, 0)[:-1], RUNS, _load_what_is_there
    ),
    "pickle behind a harmless one": _bytes("NOTICE", lambda c: b"N." + payload(c, 0), RUNS, _load_twice),
    "pickle behind a million harmless opcodes": _bytes(
        "LICENSE", lambda c: b"N0" * 500_000 + payload(c, 0), RUNS, pickle.loads
    ),
    "pickle behind a line of a megabyte": _bytes(
        "README.md", lambda c: b"V" + b"x" * 1_000_000 + b"\n0" + payload(c, 0), RUNS, pickle.loads
    ),
    "pickle behind a number that only one unpickler reads": _bytes(
        "README.md", lambda c: b"I0x10\n0" + _call(c) + b"R.", RUNS, pickle.loads
    ),
    "pickle that makes an instance": _bytes("README.md", _instance, RUNS, pickle.loads),
    "pickle that makes an object": _bytes("README.md", _object, RUNS, pickle.loads),
    "pickle of cloudpickle": _bytes(
        "fn.pkl", lambda c: cloudpickle.dumps(c.touch), "a Python pickle.*cloudpickle"
    ),
    "pickle of dill": _bytes(
        "model.dill",
        lambda c: b"cdill._dill\n_load_type\n(VCodeType\ntR0" + _call(c) + b"R.",
        "a Python pickle of dill",
    ),
    "joblib": _bytes("model.joblib", _joblib(0), RUNS, _load_joblib),
    "joblib renamed": _bytes(
        "weights.safetensors", _joblib(0), "a Python pickle.*whatever its name", _load_joblib
    ),
    **{
        f"joblib packed by {kind}": _bytes("model.joblib", _joblib((kind, 3)), RUNS, _load_joblib)
        for kind in ("zlib", "gzip", "bz2", "xz", "lzma")
    },
    "array of objects": _bytes("weights.npy", _npy, "NumPy array of pickled objects", _load_npy),
    "array of objects renamed": _bytes(
        "weights.safetensors", _npy, "NumPy array of pickled objects", _load_npy
    ),
    "arrays of objects": _bytes(
        "w.npz", lambda c: zipped(("a.npy", _npy(c))), "a.npy: a NumPy array of", _load_npz
    ),
    "PyTorch zip": _bytes("pytorch_model.bin", _torch_zip, "archive/data.pkl: a Python pickle"),
    "PyTorch zip renamed": _bytes("model.safetensors", _torch_zip, "archive/data.pkl: a Python pickle"),
    "PyTorch's older format": _bytes("model.pt", _torch_legacy, "PyTorch's older format", _load_legacy),
    "zip of a pickle whose flags say encrypted": _bytes("model.pt", _flagged, "data.pkl: a Python pickle"),
    "zip of a pickle with a wrong checksum": _bytes(
        "model.pt", _broken_checksum, "data.pkl: a Python pickle"
    ),
    "zip of a pickle without sizes": _bytes("model.pt", _unsized, "data.pkl: a Python pickle"),
    "zip of a pickle behind other bytes": _bytes("model.onnx", lambda c: bytes(9) + _torch_zip(c), ""),
    "pickle in a zip in a zip": _bytes(
        "m.zip", lambda c: _deep(zipped(("p", payload(c))), 1), "p: a Python pickle"
    ),
    "pickle in nine zips": _bytes("m.zip", lambda c: _deep(zipped(("p", payload(c))), 8), "a zip archive"),
    "pickle in a tar": _bytes(
        "m.tar", lambda c: tarred(("m.pkl", payload(c))), "a tar archive that holds m.pkl"
    ),
    "pickle in a tar.gz": _bytes(
        "m.tar.gz",
        lambda c: gzip.compress(tarred(("m.pkl", payload(c)))),
        "gzip.*tar.*m.pkl: a Python pickle",
    ),
    "pickle in a tar.bz2": _bytes(
        "m.tar.bz2",
        lambda c: bz2.compress(tarred(("m.pkl", payload(c)))),
        "bzip2.*tar.*m.pkl: a Python pickle",
    ),
    "pickle in a tar.xz": _bytes(
        "m.tar.xz", lambda c: lzma.compress(tarred(("m.pkl", payload(c)))), "xz.*tar.*m.pkl: a Python pickle"
    ),
    "pickle in a zip in a tar.gz renamed": _bytes(
        "model.gguf",
        lambda c: gzip.compress(tarred(("m.pt", _torch_zip(c)))),
        "gzip.*tar.*zip.*a Python pickle",
    ),
    "pickle in a gzip renamed": _bytes(
        "vocab.txt",
        lambda c: gzip.compress(payload(c)),
        "gzip file: a Python pickle",
        lambda d: pickle.loads(gzip.decompress(d)),
    ),
    "pickle in a zlib stream": _bytes(
        "weights.safetensors",
        lambda c: zlib.compress(payload(c)),
        RUNS,
        lambda d: pickle.loads(zlib.decompress(d)),
    ),
    "Keras 3 with a lambda": _bytes(
        "model.keras",
        lambda c: zipped(
            ("metadata.json", b"{}"), ("config.json", b"{}"), ("model.weights.h5", b"\x89HDF\r\n\x1a\n")
        ),
        "model.weights.h5: an HDF5 file",
    ),
    "pickle behind tensors": _bytes(
        "weights.safetensors", lambda c: TENSORS + payload(c), "bytes stand behind the tensors"
    ),
}
