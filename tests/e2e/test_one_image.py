"""The gateway's image on its own: what a first start needs, and what it refuses to start with."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from tests.e2e.bundle import Bundle
from tests.e2e.gateway import lay_trust, start
from tests.e2e.sealed_site import Site

from routeiq_appliance.cli.demo.prepare import ARTIFACT
from routeiq_appliance.cli.demo.stack import gateway_config
from routeiq_appliance.cli.sealed.process import Service
from routeiq_signing.keys import PrivateKey

pytestmark = pytest.mark.e2e

MASTER = "sk-master-of-one-image"
ROUTER = f"/app/models/routers/{ARTIFACT}"
Refusal = Callable[[Sequence[str]], str]


@pytest.fixture(scope="module")
def image(bundle: Bundle, site: Site) -> str:
    """The gateway's image, by id; loaded from the tar unless it is there."""
    image_id = bundle.image("routeiq-gateway")["image_id"].removeprefix("sha256:")
    if site.run("podman", "image", "exists", image_id, check=False).returncode != 0:
        site.podman("load", "--quiet", "--input", str(bundle.tar))
    return image_id


@pytest.fixture
def trust(bundle: Bundle, site: Site, request: pytest.FixtureRequest) -> Path:
    return lay_trust(bundle, site.folder / f"trust-{request.node.name}")


@pytest.fixture(scope="module")
def config(site: Site) -> Path:
    path = site.folder / "one-image.yaml"
    path.write_text(yaml.safe_dump(gateway_config("http://127.0.0.1:8081")), encoding="utf-8")
    return path


@pytest.fixture
def refusal(image: str, config: Path, site: Site, request: pytest.FixtureRequest) -> Refusal:
    """Start the gateway with mounts; it must end with status 1, one error, and never have listened."""

    def attempt(mounts: Sequence[str]) -> str:
        environ = {
            "LITELLM_MASTER_KEY": MASTER,
            "ROUTEIQ_TRUST_KEY": "/app/trust/routeiq.pub",
            "LLM_API_KEY": "unused",
        }
        options = [f"--volume={config}:/app/config/config.yaml:ro", *mounts]
        name = f"refused-{request.node.name.split('[')[0]}"
        start(site, name, image, environ, options=options)
        assert site.podman("wait", name) == "1", site.logs(name)
        log = site.logs(name)
        assert '"listening"' not in log
        assert "Traceback" not in log
        errors = [line for line in log.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, log
        return errors[0]

    return attempt


def test_first_serve_needs_nothing_but_a_configuration_and_a_key(
    bundle: Bundle, image: str, site: Site
) -> None:  # A14
    # No network, no /tmp, no database, no trust: one group, the embedded defaults.
    config = site.folder / "alone.yaml"
    entry = {
        "model_name": "small",
        "litellm_params": {"model": "openai/x", "api_base": "http://127.0.0.1:9", "api_key": "x"},
    }
    config.write_text(yaml.safe_dump({"model_list": [entry]}), encoding="utf-8")
    site.containers.append("alone")
    site.podman(
        "run", "--detach", "--name=alone", "--network=none", "--read-only", "--read-only-tmpfs=false", "--cap-drop=all",
        "--user=65532", f"--env=LITELLM_MASTER_KEY={MASTER}", f"--volume={config}:/app/config/config.yaml:ro", image,
    )  # fmt: skip
    site.wait_healthy("alone", bundle.health_check("routeiq-gateway"))
    program = (
        "import json, urllib.request as r\n"
        f"h = {{'Authorization': 'Bearer {MASTER}', 'Content-Type': 'application/json'}}\n"
        "ask = r.Request('http://127.0.0.1:4000/key/generate', b'{}', h)\n"
        "key = json.load(r.urlopen(ask))['key']\n"
        "ask = r.Request('http://127.0.0.1:4000/v1/models', headers={'Authorization': f'Bearer {key}'})\n"
        "print(r.urlopen(ask).read().decode())\n"
    )
    models = json.loads(site.podman("exec", "alone", "/usr/bin/python3", "-I", "-c", program))
    assert [model["id"] for model in models["data"]] == ["auto", "small"]


def test_a_key_that_did_not_sign_is_refused(refusal: Refusal, trust: Path) -> None:
    other = PrivateKey.generate().public
    (trust / "routeiq.pub").write_bytes(other.pem)
    error = refusal([f"--volume={trust}:/app/trust:ro"])
    assert f"bundle.json.{other.keyid}.sigstore.json" in error


def test_a_bundle_json_that_was_changed_is_refused(refusal: Refusal, trust: Path) -> None:
    manifest = trust / "bundle.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"development", b"stable-chan"))
    assert "bundle.json" in refusal([f"--volume={trust}:/app/trust:ro"])


def test_models_that_nobody_vouches_for_are_refused(refusal: Refusal, trust: Path) -> None:
    for name in [path for path in trust.iterdir() if path.name.startswith("bundle.json")]:
        name.unlink()
    assert "not signed" in refusal([f"--volume={trust}:/app/trust:ro"])


def test_a_changed_weight_is_refused_by_name(refusal: Refusal, trust: Path, site: Site, image: str) -> None:
    original = site.run(
        "podman", "run", "--rm", "--network=none", "--entrypoint=/usr/bin/python3", image, "-c",
        f"import sys; sys.stdout.write(open('{ROUTER}/weights.safetensors', 'rb').read().hex())",
    ).stdout  # fmt: skip
    weights = bytearray.fromhex(original)
    weights[-1] ^= 1
    changed = trust.parent / "weights.safetensors"
    changed.write_bytes(weights)
    error = refusal(
        [f"--volume={trust}:/app/trust:ro", f"--volume={changed}:{ROUTER}/weights.safetensors:ro"]
    )
    assert "weights.safetensors" in error


def test_a_file_more_than_was_signed_is_refused_by_name(refusal: Refusal, trust: Path) -> None:
    # Renamed so that only its content says what it is: nothing unpickles it, since nothing vouches for it.
    extra = trust.parent / "notes.json"
    extra.write_bytes(b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x8c\x01a\x94.")
    error = refusal([f"--volume={trust}:/app/trust:ro", f"--volume={extra}:{ROUTER}/notes.json:ro"])
    assert "notes.json" in error


@contextmanager
def _canary_answers(site: Site, address: str, port: int) -> Iterator[None]:
    """Give the outside the canary's address and something that accepts there."""
    outside = site.network.outside
    outside.run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
    program = (
        f"import socket; s = socket.create_server(({address!r}, {port})); print('up', flush=True)\n"
        "while True: s.accept()"
    )
    # Not confined: a port below 1024 takes a capability.
    command = outside.enter([sys.executable, "-I", "-c", program])
    try:
        with Service("canary", command, log=site.folder / "canary.log") as service:
            service.wait_until(lambda: "up" in service.said(), seconds=10)
            yield
    finally:
        outside.run(["ip", "address", "del", f"{address}/32", "dev", "lo"])


def test_a_canary_that_answers_keeps_a_sealed_gateway_from_serving(
    refusal: Refusal, trust: Path, site: Site
) -> None:  # A11
    before = site.sensor.read()
    with _canary_answers(site, "1.1.1.1", 443):
        error = refusal([f"--volume={trust}:/app/trust:ro"])
    assert error == "error: egress: sealed, but the outside answers: 1.1.1.1:443"
    after = site.sensor.read()
    # The handshake is seen on the wire, and nothing else is.
    assert after.canaries > before.canaries
    assert after.left == before.left
