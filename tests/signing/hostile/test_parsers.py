"""I5: parsers of hostile bytes: any bytes get an answer, nothing behind a file is accepted, mutations stay harmless."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save
from tests.signing.hostile.build import (
    TENSORS,
    field,
    gguf,
    gguf_tensor,
    gguf_text,
    node,
    onnx,
    payload,
    piece,
    tarred,
    tensors,
    zipped,
)

from routeiq_signing.errors import DocumentError, FormatError
from routeiq_signing.formats.archives import parts
from routeiq_signing.formats.check import check_format
from routeiq_signing.formats.consent import check_digest, check_marks
from routeiq_signing.formats.danger import describe_danger, second_reading
from routeiq_signing.formats.pickles import read_pickle
from routeiq_signing.formats.shown import shown

_GGUF = gguf((gguf_text(b"k") + b"\x08\0\0\0" + gguf_text(b"v"),), (gguf_tensor(b"t", 0),), bytes(32))
_ONNX = onnx(
    node(field(4, b"Add")), field(5, field(1, 2) + field(2, 1) + field(8, b"w") + field(9, bytes(8)))
)
_VALID = {
    "w.safetensors": TENSORS,
    "m.onnx": _ONNX,
    "m.gguf": _GGUF,
    "config.json": b'{"a": [1, 2.5, "x"], "b": null}',
    "tokenizer.model": piece() + piece(b"a"),
}
_NAMES = st.sampled_from([*_VALID, "README.md", "a.bin"])
_HEADS = [
    b"PK\x03\x04",
    b"\x1f\x8b\x08",
    b"BZh9",
    b"\xfd7zXZ\0",
    b"\x80\x04",
    b"GGUF\x03\0\0\0",
    b"\x93NUMPY",
    b"x\x9c",
    b"\x5d\0\0",
]


@given(st.sampled_from([b"", *_HEADS]), st.binary(max_size=400), _NAMES)
def test_any_bytes_are_judged_without_another_error(head: bytes, data: bytes, name: str) -> None:
    with contextlib.suppress(FormatError):
        assert check_format(head + data, name)
    describe_danger(head + data)
    second_reading(head + data)
    read_pickle(head + data)
    assert all(isinstance(part, bytes) for _, part in parts(head + data))


@given(st.text(max_size=50), st.binary(max_size=50))
def test_any_name_is_judged_and_shown_on_one_line(name: str, data: bytes) -> None:
    message = "accepted"
    try:
        check_format(data, name)
    except FormatError as error:
        message = str(error)
    assert message.isprintable()
    assert shown(name).isprintable()
    assert shown(shown(name)) == shown(name)


@pytest.mark.parametrize("name", _VALID)
@given(behind=st.binary(min_size=1, max_size=40))
def test_nothing_behind_a_file_is_accepted(name: str, behind: bytes) -> None:
    try:
        check_format(_VALID[name] + behind, name)
    except FormatError:
        return
    # What may follow is more of the same: white space in JSON, and whole fields of a protobuf message.
    if name == "config.json":
        assert not behind.strip(b" \t\r\n")
    else:
        assert name in {"m.onnx", "tokenizer.model"}
        # Then the file with it is one message; cutting it anywhere inside the last field is refused.
        with pytest.raises(FormatError):
            check_format(_VALID[name] + behind + b"\0", name)


@pytest.mark.parametrize("name", _VALID)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_padding_behind_a_file_is_refused(name: str, size: int) -> None:
    with pytest.raises(FormatError):
        check_format(_VALID[name] + bytes(size), name)


@pytest.mark.parametrize("name", ["w.safetensors", "m.gguf", "config.json"])
def test_every_truncation_is_refused(name: str) -> None:
    for size in range(len(_VALID[name])):
        with pytest.raises(FormatError):
            check_format(_VALID[name][:size], name)


@pytest.mark.parametrize("name", _VALID)
@given(data=st.data())
def test_a_mutated_file_is_judged_without_another_error(name: str, data: st.DataObject) -> None:
    raw = bytearray(_VALID[name])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(FormatError):
        check_format(bytes(raw), name)


@given(st.data())
def test_tensors_that_we_accept_the_reference_reads(data: st.DataObject) -> None:
    """Ours is the stricter of the two: no file passes here that the library would refuse."""
    raw = bytearray(TENSORS)
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        check_format(bytes(raw), "w.safetensors")
    except FormatError:
        return
    try:
        load(bytes(raw))
    except SafetensorError as error:
        pytest.fail(f"the reference refuses what we accept: {error}")
    except (KeyError, AttributeError, ValueError, TypeError):
        pass  # a type that NumPy lacks


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
            lambda n: n != "__metadata__"
        ),
        st.lists(st.integers(0, 3), max_size=3),
        max_size=4,
    ),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        max_size=2,
    ),
)
def test_tensors_that_the_reference_writes_we_accept(
    shapes: dict[str, list[int]], notes: dict[str, str]
) -> None:
    written = save({name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}, notes or None)
    assert check_format(written, "w.safetensors") == "safetensors"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.text(st.characters(exclude_categories=["Cs"]), max_size=5), inner, max_size=4
            )
        ),
        max_leaves=20,
    )
)
def test_every_document_is_json(document: object) -> None:
    if isinstance(document, dict | list):
        assert check_format(json.dumps(document).encode(), "config.json") == "json"
        assert check_format(json.dumps(document, ensure_ascii=False, indent=1).encode(), "a.json") == "json"


@given(
    before=st.sampled_from([b"", b"N.", b"I7\n0", b"Vx\n0", b"(1", b"}0"]),
    behind=st.binary(max_size=60),
    protocol=st.integers(0, 5),
)
def test_a_payload_is_seen_whatever_stands_behind(
    before: bytes, behind: bytes, protocol: int, tmp_path_factory
) -> None:  # type: ignore[no-untyped-def]
    reading = read_pickle(before + payload(tmp_path_factory.getbasetemp() / "never", protocol) + behind)
    assert reading.acts
    assert any("mkdir" in name for name in reading.names)


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_a_wrapped_payload_is_named_at_any_depth_that_is_looked_into(data: bytes) -> None:
    inner = b"\x80\x04N." + data
    for wrapped in (zipped(("a", inner)), tarred(("a", inner)), zipped(("b", tarred(("a", inner))))):
        danger = describe_danger(wrapped)
        assert danger is not None
        assert (
            danger.endswith("a Python pickle, which runs code when it is loaded")
            or "a Python pickle" in danger
        )


@given(st.text(max_size=80))
def test_only_digests_are_consents(text: str) -> None:
    with contextlib.suppress(DocumentError):
        assert check_digest(text).startswith("sha256:")
        assert len(text) == 71
    with contextlib.suppress(DocumentError):
        assert check_marks({f"sha256:{'0' * 64}": text})
        assert text.strip()
        assert text.isprintable()


def test_a_header_of_one_line_is_not_hidden_by_a_text() -> None:
    """A minus, a fraction or a line break inside a text is no spelling of a number."""
    data = tensors(
        {
            "__metadata__": {"note": 'a - "b" 1.5\t\n'},
            "x-1.0e": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        },
        b"\0",
    )
    assert check_format(data, "w.safetensors") == "safetensors"
