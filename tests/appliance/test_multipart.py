"""Forms with files, honest and hostile (C1, I4): what is no form is the caller's 400, soon and without much memory."""

import contextlib
import gzip
import tracemalloc
import zlib

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_appliance.api.multipart import read_form
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Upload

TYPE = "multipart/form-data; boundary=xx"
Form = tuple[list[tuple[str, str]], dict[str, Upload]]


def read(raw: bytes, content_type: str = TYPE) -> Form:
    return read_form(content_type, raw)


def refused(raw: bytes, content_type: str = TYPE) -> str:
    with pytest.raises(CallError) as caught:
        read(raw, content_type)
    assert (caught.value.status, caught.value.code) == (400, "invalid_form")
    return str(caught.value)


def part(disposition: str, data: bytes = b"x", *headers: str) -> bytes:
    head = "\r\n".join([f"Content-Disposition: {disposition}", *headers]).encode()
    return b"--xx\r\n" + head + b"\r\n\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xx--\r\n"


def named(name: str, data: bytes = b"x") -> bytes:
    return part(f'form-data; name="{name}"', data)


def file(filename: str, data: bytes = b"x", *headers: str) -> bytes:
    return part(f'form-data; name="file"; filename="{filename}"', data, *headers)


def test_a_clients_form_is_read_as_it_was_meant() -> None:
    request = httpx.Request(
        "POST", "http://x", data={"model": "m", "include[]": ["a", "b"], "prompt": "Zürich"},
        files={"file": ("speech.wav", b"RIFF\r\n--xx\r\n\x00\xff", "audio/wav")},
    )  # fmt: skip
    fields, files = read(request.read(), request.headers["content-type"])
    assert fields == [("model", "m"), ("include[]", "a"), ("include[]", "b"), ("prompt", "Zürich")]
    assert files == {"file": Upload("speech.wav", "audio/wav", b"RIFF\r\n--xx\r\n\x00\xff")}


@settings(max_examples=40)
@given(
    st.binary(max_size=300), st.dictionaries(st.sampled_from(["model", "prompt", "x"]), st.text(max_size=20))
)
def test_what_is_sent_is_read(data: bytes, told: dict[str, str]) -> None:
    request = httpx.Request("POST", "http://x", data=told, files={"file": ("a.wav", data, "audio/wav")})
    fields, files = read(request.read(), request.headers["content-type"])
    assert dict(fields) == told
    assert files["file"].data == data


@pytest.mark.parametrize(
    "content_type",
    [
        "", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=xx",
        'multipart/form-data; boundary="', "multipart/form-data; boundary=" + "x" * 71,
        "multipart/form-data; boundary=x\x00x", "multipart/form-data; boundary=é", "multipart/form-data; boundary=yy",
        "multipart/form-data; boundary=xx; boundary=yy; charset=\xff",
    ],
)  # fmt: skip
def test_a_type_that_is_no_forms_is_refused(content_type: str) -> None:
    refused(form(named("model")), content_type)


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"x", b"--xx", b"--xx\r\n", b"--xx\r\n\r\n", b"--xx\r\nContent-Disposition: form-data\r\n\r\nx\r\n--xx--",
        named("model"), form(named("model"))[:-6], form(file("a"))[:40], b"\r\n" * 5000 + form(named("model"))[:-9],
        form(part("attachment", b"x")), form(part("form-data; name=", b"x")), form(part("", b"x")),
        form(b"--xx\r\n\r\nx\r\n"), form(b"--xx\r\nno header\r\n\r\nx\r\n"), form(part("form-data; name=\x00", b"x")),
        form(part('form-data; name="a"', b"\xff\xfe")), form(part("form-data; name*=x'y'%ff", b"x")),
        form(part('form-data; name="a', b"x")), form(part('form-data;;; name="a"; name="b"', b"x")),
    ],
)  # fmt: skip
def test_what_is_no_form_is_refused(raw: bytes) -> None:
    refused(raw)


def test_a_form_in_a_form_is_refused() -> None:
    inner = b'--yy\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--yy--\r\n'
    nested = part('form-data; name="file"', inner, "Content-Type: multipart/mixed; boundary=yy")
    assert "form in a form" in refused(form(nested))
    deep = part('form-data; name="file"', nested * 50, "Content-Type: multipart/mixed; boundary=xx")
    refused(form(deep))


def test_a_form_of_many_parts_is_refused_before_they_are_read() -> None:
    assert "64 parts" in refused(form(named("a") * 10_000))
    assert len(read(form(*[named("a")] * 64))[0]) == 64


@pytest.mark.parametrize(
    "headers",
    [["X: " + "a" * 100_000], [f"X-{number}: a" for number in range(10_000)], ["X" * 100_000 + ": a"],
     ["Content-Type: " + "a" * 9_000]],
)  # fmt: skip
def test_a_part_with_a_great_head_is_refused(headers: list[str]) -> None:
    refused(form(file("a.wav", b"x", *headers)))


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "compress", "x"])
def test_a_part_that_is_packed_is_refused_without_unpacking_it(coding: str) -> None:
    zeros = bytes(20_000_000)
    packed = {"gzip": gzip.compress, "deflate": zlib.compress}.get(coding, lambda data: b"x")(zeros)
    raw = form(file("a.wav", packed, f"Content-Encoding: {coding}"))
    del zeros
    tracemalloc.start()
    try:
        refused(raw)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("coding", ["base64", "quoted-printable", "x"])
def test_a_part_in_another_transfer_encoding_is_refused(coding: str) -> None:
    # RFC 7578, 4.7: no sender uses it any more.
    refused(form(file("a.wav", b"!", f"Content-Transfer-Encoding: {coding}")))
    assert read(form(file("a.wav", b"!", "Content-Transfer-Encoding: binary")))[1]["file"].data == b"!"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"), ("/etc/passwd", "passwd"), ("C:\\\\a\\\\b.wav", "b.wav"), ("..", "file"),
        (".", "file"), ("", "file"), ("a/", "file"), ("x" * 500 + ".wav", ("x" * 500 + ".wav")[-128:]),
        ("a\x00b\x1f.wav", "ab.wav"), ("Zürich.wav", "Zürich.wav"),
    ],
)  # fmt: skip
def test_a_files_name_is_a_name_only(sent: str, kept: str) -> None:
    assert read(form(file(sent)))[1]["file"].name == kept


@pytest.mark.parametrize("sent", ["audio/x\x00", "no type", "é/x", "multipart", "a" * 300, ""])
def test_a_files_type_that_is_none_is_bytes(sent: str) -> None:
    assert (
        read(form(file("a", b"x", f"Content-Type: {sent}")))[1]["file"].content_type
        == "application/octet-stream"
    )
    assert (
        read(form(file("a", b"x", "Content-Type: audio/wav; rate=8")))[1]["file"].content_type == "audio/wav"
    )


def test_a_head_of_many_spaces_is_read() -> None:
    for raw in (b"X: " + b" " * 8000 + b"\n", b"X" + b" " * 8000 + b":", b"X: " + b'"\\' * 4000):
        with contextlib.suppress(CallError):
            read(form(part('form-data; name="a"', b"x", raw.decode())))
    with contextlib.suppress(CallError):
        read(form(named("a")), "multipart/form-data" + "; a" + " " * 60_000)


def test_a_large_file_is_read() -> None:
    data = b"\r\n--x" * 2_000_000
    assert read(form(file("a.wav", data)))[1]["file"].data == data


_PIECES = st.sampled_from([
    b"--xx", b"--xx--", b"\r\n", b"\n", b"Content-Disposition: form-data; name=\"a\"", b"; filename=\"b\"", b": ",
    b"Content-Type: multipart/mixed; boundary=xx", b"Content-Length: 99999999999", b"Content-Length: -1",
    b"Content-Encoding: gzip", b"Content-Transfer-Encoding: base64", b"filename*=utf-8''%ff", b"\x00", b"x" * 100,
])  # fmt: skip


@settings(max_examples=200)
@given(st.lists(_PIECES | st.binary(max_size=20), max_size=25))
def test_any_bytes_are_a_form_or_refused(pieces: list[bytes]) -> None:
    try:
        fields, files = read(b"--xx\r\n" + b"".join(pieces))
    except CallError as error:
        fields, files, status = [], {}, error.status
    else:
        status = 400
    assert status == 400
    assert all(isinstance(value, str) for pair in fields for value in pair)
    assert all(isinstance(upload, Upload) for upload in files.values())


@given(st.text(max_size=40))
def test_any_type_is_a_forms_or_refused(told: str) -> None:
    for content_type in (told, f"multipart/form-data; {told}", f"multipart/form-data; boundary={told}"):
        with contextlib.suppress(CallError):
            read(form(named("a")), content_type)
