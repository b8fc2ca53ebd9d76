"""Pushing to a registry: what is sent, to whom, how often (A9)."""

import base64
import contextlib
import datetime
import hashlib
import json
import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from routeiq_images.errors import ImagesError
from routeiq_images.site.credentials import Credentials, find_credentials
from routeiq_images.site.mirror import split_target
from routeiq_images.site.registry import Registry

DATA = b"blob" * 1000
DIGEST = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def blob(tmp_path: Path) -> Path:
    path = tmp_path / "blob"
    path.write_bytes(DATA)
    return path


def open_registry(server, **options) -> Registry:  # type: ignore[no-untyped-def]
    return Registry(server.host, plain_http=True, sleep=lambda _seconds: None, **options)


def test_a_blob_is_sent_once_and_mounted_elsewhere(registry_server, blob: Path) -> None:  # type: ignore[no-untyped-def]
    moved: list[int] = []
    with open_registry(registry_server) as registry:
        assert not registry.has_blob("a", DIGEST)
        assert registry.put_blob("a", DIGEST, blob, moved.append)
        assert registry.has_blob("a", DIGEST)
        assert not registry.put_blob("b", DIGEST, blob, moved.append, mount="a")
    assert registry_server.blobs == {("a", DIGEST): DATA, ("b", DIGEST): DATA}
    assert moved == [len(DATA)] * 2


def test_a_manifest_is_put_byte_for_byte(registry_server) -> None:  # type: ignore[no-untyped-def]
    raw = b'{ "odd":   "spacing" }'
    with open_registry(registry_server) as registry:
        registry.put_manifest("a", "1.0", raw, "application/json")
        assert registry.has_manifest("a", "1.0") == f"sha256:{hashlib.sha256(raw).hexdigest()}"
        assert registry.get_manifest("a", "1.0") == raw
        assert registry.get_manifest("a", "2.0") is None


def test_a_passing_fault_is_tried_again(registry_server, blob: Path) -> None:  # type: ignore[no-untyped-def]
    registry_server.faults = [("PUT", "/v2/a/blobs/uploads", 503), ("POST", "/v2/a", 429)]
    with open_registry(registry_server) as registry:
        assert registry.put_blob("a", DIGEST, blob, lambda _n: None)
    assert registry_server.blobs == {("a", DIGEST): DATA}


def test_a_lasting_fault_is_one_error_that_says_what_to_do(registry_server) -> None:  # type: ignore[no-untyped-def]
    registry_server.faults = [("GET", "/v2/", 502)] * 9
    with (
        open_registry(registry_server) as registry,
        pytest.raises(ImagesError, match="HTTP 502, after 5 tries") as error,
    ):
        registry.ping()
    assert "run it again" in str(error.value.hint)


def test_no_registry_is_one_error() -> None:
    with (
        Registry("127.0.0.1:1", plain_http=True, sleep=lambda _s: None) as registry,
        pytest.raises(ImagesError, match=r"127.0.0.1:1: /v2/: .*after 5 tries"),
    ):
        registry.ping()


def test_a_certificate_that_is_not_trusted_is_refused_at_once(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "registry")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "tls.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(pem)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.pem")
    waited: list[float] = []

    def greet(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(ssl.SSLError, ConnectionError):
                    context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=greet, args=(listener,))
        server.start()
        try:
            with (
                Registry(f"127.0.0.1:{listener.getsockname()[1]}", sleep=waited.append) as registry,
                pytest.raises(ImagesError, match="certificate verify failed") as error,
            ):
                registry.ping()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
    assert waited == []
    assert "--ca-file" in str(error.value.hint)


def test_basic_credentials_are_sent_after_the_challenge(registry_server) -> None:  # type: ignore[no-untyped-def]
    registry_server.challenge = 'Basic realm="r"'
    registry_server.accepted = f"Basic {base64.b64encode(b'u:p').decode()}"
    with open_registry(registry_server, credentials=Credentials("u", "p")) as registry:
        registry.ping()
    assert [item[2] for item in registry_server.requests] == [None, registry_server.accepted]


def test_wrong_credentials_are_one_clear_error(registry_server) -> None:  # type: ignore[no-untyped-def]
    registry_server.challenge = 'Basic realm="r"'
    registry_server.accepted = "never"
    for credentials in (None, Credentials("u", "secret-p")):
        with (
            open_registry(registry_server, credentials=credentials) as registry,
            pytest.raises(ImagesError, match="access denied") as error,
        ):
            registry.ping()
        assert "secret-p" not in str(error.value)
        assert "podman login" in str(error.value.hint)


def test_a_bearer_token_is_fetched_from_the_realm(registry_server) -> None:  # type: ignore[no-untyped-def]
    registry_server.challenge = f'Bearer realm="http://{registry_server.host}/token",service="s",scope="x"'
    registry_server.accepted = "Bearer T"
    with open_registry(registry_server, credentials=Credentials("u", "p")) as registry:
        registry.ping()
        registry.ping()
    basic = f"Basic {base64.b64encode(b'u:p').decode()}"
    assert [(path, sent) for _, path, sent in registry_server.requests] == [
        ("/v2/", None),
        ("/token", basic),
        ("/v2/", "Bearer T"),
        ("/v2/", "Bearer T"),
    ]


@pytest.mark.parametrize("token", ["a\nb", "é", {"a": 1}, ["T"], 5, ""], ids=str)
def test_a_token_that_is_no_header_is_refused(token: object, registry_server) -> None:  # type: ignore[no-untyped-def]
    registry_server.challenge = f'Bearer realm="http://{registry_server.host}/token"'
    registry_server.accepted, registry_server.token = "never", token
    with (
        open_registry(registry_server, credentials=Credentials("u", "p")) as registry,
        pytest.raises(ImagesError, match="no token was given"),
    ):
        registry.ping()


def test_a_realm_that_is_no_address_is_refused() -> None:
    from routeiq_images.site.registry_auth import RegistryAuth

    auth = RegistryAuth("r", Credentials("u", "p"), plain_http=False)
    for realm in ("https://x\x07y/", "https://x:99999999/", ""):
        with pytest.raises(ImagesError, match="r: asks for a token from"):
            auth._token_request({"realm": realm})


def test_a_realm_without_tls_is_refused_when_the_registry_has_it() -> None:
    from routeiq_images.site.registry_auth import RegistryAuth

    auth = RegistryAuth("r", Credentials("u", "p"), plain_http=False)
    with pytest.raises(ImagesError, match="without TLS"):
        auth._token_request({"realm": "http://evil/token"})


def test_credentials_do_not_follow_to_another_host(registry_server, blob: Path) -> None:  # type: ignore[no-untyped-def]
    """An upload that is sent elsewhere carries no authorization."""
    registry_server.challenge = 'Basic realm="r"'
    registry_server.accepted = f"Basic {base64.b64encode(b'u:p').decode()}"
    registry_server.location_host = registry_server.host.replace("127.0.0.1", "localhost")
    with open_registry(registry_server, credentials=Credentials("u", "p")) as registry:
        registry.ping()
        with pytest.raises(ImagesError, match="access denied"):
            registry.put_blob("a", DIGEST, blob, lambda _n: None)
    assert registry_server.requests[-1][0] == "PUT"
    assert registry_server.requests[-1][2] is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("r.site:5000/a/b", ("r.site:5000", "a/b/")),
        ("r.site:5000", ("r.site:5000", "")),
        ("r.site/x/", ("r.site", "x/")),
    ],
)
def test_a_target_is_split(target: str, expected: tuple[str, str]) -> None:
    assert split_target(target) == expected


@pytest.mark.parametrize(
    "target",
    ["http://r:5000/x", "r:5000/X Y", "", "r:5000/../x;", "user@r:5000", "R:5000/a//b", "r:99999/x", "r:0/x"],
)
def test_a_wrong_target_is_refused(target: str) -> None:
    with pytest.raises(ImagesError, match="no HOST:PORT/PREFIX"):
        split_target(target)


def test_credentials_come_from_dockers_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {"r:5000": {"auth": base64.b64encode(b"u:p:x").decode()}}}))
    found = find_credentials("r:5000", {"DOCKER_CONFIG": str(tmp_path), "HOME": "/nonexistent"})
    assert found == Credentials("u", "p:x")
    assert "p:x" not in repr(found)
    assert find_credentials("other:5000", {"DOCKER_CONFIG": str(tmp_path), "HOME": "/nonexistent"}) is None


def test_a_credential_helper_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "docker-credential-test"
    helper.write_text(
        '#!/bin/sh\nread host\necho "{\\"Username\\": \\"u\\", \\"Secret\\": \\"for $host\\"}"\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "test"}))
    assert find_credentials("r:5000", {"DOCKER_CONFIG": str(tmp_path)}) == Credentials("u", "for r:5000")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "[" * 100_000,
        '{"auths": {"r": {"auth": "%"}}}',
        '{"auths": {"r": {"auth": 5}}}',
        '{"auths": 5}',
        '{"credHelpers": []}',
        '{"credHelpers": {"r": "../evil"}}',
    ],
    ids=lambda text: text[:40],
)
def test_a_broken_configuration_is_one_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ImagesError):
        find_credentials("r", {"DOCKER_CONFIG": str(tmp_path)})


def test_a_redirect_says_that_the_blob_is_there(registry_server) -> None:  # type: ignore[no-untyped-def]
    """Registries with their blobs in an object store answer so; nothing is asked of that store."""
    registry_server.faults = [("HEAD", "/v2/a/blobs/", 307)]
    with open_registry(registry_server) as registry:
        assert registry.has_blob("a", DIGEST)
    assert len(registry_server.requests) == 1


def test_a_redirect_of_anything_else_is_not_followed(registry_server) -> None:  # type: ignore[no-untyped-def]
    registry_server.faults = [("GET", "/v2/a/manifests/", 307)]
    with open_registry(registry_server) as registry, pytest.raises(ImagesError, match="HTTP 307"):
        registry.get_manifest("a", "1.0")


def test_an_endless_answer_is_cut_off(registry_server) -> None:  # type: ignore[no-untyped-def]
    registry_server.manifests["a", "1.0"] = bytes((4 << 20) + 1)
    with (
        open_registry(registry_server) as registry,
        pytest.raises(ImagesError, match="more than 4194304 bytes"),
    ):
        registry.get_manifest("a", "1.0")


def test_a_token_that_runs_out_under_a_blob_is_renewed(registry_server, blob: Path) -> None:  # type: ignore[no-untyped-def]
    registry_server.challenge = f'Bearer realm="http://{registry_server.host}/token",service="s",scope="x"'
    registry_server.accepted = "Bearer T"
    steps: list[int] = []

    def expire(moved: int) -> None:
        if not steps:
            registry_server.accepted, registry_server.token = "Bearer T2", "T2"
        steps.append(moved)

    with open_registry(registry_server, credentials=Credentials("u", "p")) as registry:
        assert registry.put_blob("a", DIGEST, blob, expire)
    assert registry_server.blobs == {("a", DIGEST): DATA}
    assert sum(steps) == len(DATA)


def test_upload_progress_is_taken_back_when_it_fails(registry_server, blob: Path) -> None:  # type: ignore[no-untyped-def]
    registry_server.faults = [("PUT", "/v2/a/blobs/uploads", 503)]
    steps: list[int] = []
    with open_registry(registry_server) as registry:
        registry.put_blob("a", DIGEST, blob, steps.append)
    assert steps == [len(DATA), -len(DATA), len(DATA)]
