"""`routeiq bundle mirror` into a real registry with TLS and passwords: whole, resumable, refusing well (A9)."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.e2e.bundle import Bundle
from tests.e2e.registry import PASSWORD, USER, RealRegistry, log_in, real_registry

pytestmark = pytest.mark.e2e


def environ_of(registry: RealRegistry) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "REGISTRY_AUTH_FILE"}
    return {**kept, "DOCKER_CONFIG": str(registry.config), "HOME": str(registry.config)}


def mirror_command(bundle: Bundle, registry: RealRegistry, work: Path, *more: str) -> list[str]:
    work.mkdir(exist_ok=True)
    return [
        sys.executable, "-m", "routeiq_appliance.cli", "bundle", "mirror", str(bundle.tar),
        "--to", f"{registry.address}/site/routeiq", "--key", str(bundle.key), "--work-dir", str(work), "--json", *more,
    ]  # fmt: skip


def mirror(
    bundle: Bundle, registry: RealRegistry, work: Path, *more: str
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        mirror_command(bundle, registry, work, *more),
        env=environ_of(registry),
        capture_output=True,
        text=True,
        check=False,
    )
    assert list(work.iterdir()) == []  # the verified copy is gone
    assert "Traceback" not in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    return done


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def error_of(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return line


def damaged_blobs(registry: RealRegistry) -> set[str]:
    """Return the digests whose content in the registry's storage is another."""
    damaged = set()
    for digest in registry.blobs:
        encoded = digest.removeprefix("sha256:")
        path = registry.data / "docker/registry/v2/blobs/sha256" / encoded[:2] / encoded / "data"
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != encoded:
                damaged.add(digest)
    return damaged


@pytest.fixture(scope="module")
def secure(scratch: Path) -> Iterator[RealRegistry]:
    with real_registry(scratch / "secure", secure=True) as registry:
        yield registry


@pytest.fixture(scope="module")
def mirrored(bundle: Bundle, secure: RealRegistry, scratch: Path) -> dict[str, Any]:
    return report_of(mirror(bundle, secure, scratch / "work", "--ca-file", str(secure.ca)))


def skopeo(registry: RealRegistry, *arguments: str) -> str:
    certificates = registry.ca.parent / "certs.d"
    certificates.mkdir(exist_ok=True)
    (certificates / "ca.crt").write_bytes(registry.ca.read_bytes())
    verb, *rest = arguments
    source = "--src-" if verb == "copy" else "--"
    done = subprocess.run(
        ["skopeo", verb, f"{source}cert-dir={certificates}", f"{source}creds={USER}:{PASSWORD}", *rest],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_images_pulled_by_digest_are_those_of_the_bundle(
    bundle: Bundle, secure: RealRegistry, mirrored: dict[str, Any], tmp_path: Path
) -> None:  # A9
    for image in bundle.manifest["images"]:
        source = f"docker://{secure.address}/site/routeiq/{image['name']}@{image['digest']}"
        skopeo(secure, "copy", "--preserve-digests", source, f"oci:{tmp_path / image['name']}:copy")
        index = json.loads((tmp_path / image["name"] / "index.json").read_bytes())
        assert [entry["digest"] for entry in index["manifests"]] == [image["digest"]]
        tagged = skopeo(
            secure,
            "inspect",
            "--raw",
            f"docker://{secure.address}/site/routeiq/{image['name']}:{bundle.manifest['version']}",
        )
        assert f"sha256:{hashlib.sha256(tagged.encode()).hexdigest()}" == image["digest"]


def test_every_artifact_is_reported_and_there(
    bundle: Bundle, secure: RealRegistry, mirrored: dict[str, Any]
) -> None:
    manifest, kinds = bundle.manifest, list(mirrored["artifacts"].values())
    assert kinds.count("image") == kinds.count("sbom") == len(manifest["images"]) == 3
    assert kinds.count("model") == kinds.count("model-signature") == len(manifest["models"])
    assert kinds.count("chart") == 1
    for reference in mirrored["artifacts"]:
        assert json.loads(skopeo(secure, "inspect", "--raw", f"docker://{reference}"))["schemaVersion"] == 2


def test_sboms_and_signatures_are_found_by_the_fallback_tag(
    bundle: Bundle, secure: RealRegistry, mirrored: dict[str, Any]
) -> None:
    """docker-registry 2.8 has no referrers API; clients then read the tag sha256-<hex>."""
    manifest = bundle.manifest
    subjects = {image["name"]: image["digest"] for image in manifest["images"]}
    subjects |= {f"models/{model['name'].lower()}": model["digest"] for model in manifest["models"]}
    for name, digest in subjects.items():
        tag = digest.replace(":", "-")
        raw = skopeo(secure, "inspect", "--raw", f"docker://{secure.address}/site/routeiq/{name}:{tag}")
        entries = json.loads(raw)["manifests"]
        assert entries
        for entry in entries:
            referrer = skopeo(
                secure, "inspect", "--raw", f"docker://{secure.address}/site/routeiq/{name}@{entry['digest']}"
            )
            assert json.loads(referrer)["subject"]["digest"] == digest


def test_a_second_run_sends_nothing(
    bundle: Bundle, secure: RealRegistry, mirrored: dict[str, Any], scratch: Path
) -> None:
    before = secure.blobs
    again = report_of(mirror(bundle, secure, scratch / "work", "--ca-file", str(secure.ca)))
    assert (again["blobs_sent"], again["bytes_sent"]) == (0, 0)
    assert again["artifacts"] == mirrored["artifacts"]
    assert secure.blobs == before


def test_helm_pulls_and_renders_the_chart(
    helm, chart: Path, bundle: Bundle, secure: RealRegistry, mirrored: dict[str, Any], tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]  # A10
    reference = f"oci://{secure.address}/site/routeiq/charts/routeiq-gateway"
    entry = bundle.manifest["chart"]
    # helm reads the same login as docker, and says which manifest it took.
    login = ["--ca-file", secure.ca, "--registry-config", secure.config / "config.json"]
    said = helm("pull", reference, "--version", entry["version"], "--destination", tmp_path, *login)
    assert entry["digest"] in said.stdout + said.stderr
    manifest = json.loads(bundle.member(f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"))
    archive = tmp_path / f"routeiq-gateway-{entry['version']}.tgz"
    assert f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}" == manifest["layers"][0]["digest"]
    values = ["--values", chart / "values-airgap.yaml"]
    assert helm("template", "r", archive, *values).stdout == helm("template", "r", chart, *values).stdout


def test_a_wrong_password_is_one_clear_error(bundle: Bundle, secure: RealRegistry, scratch: Path) -> None:
    before = secure.blobs
    log_in(secure, "wrong-" + PASSWORD)
    try:
        done = mirror(bundle, secure, scratch / "work", "--ca-file", str(secure.ca))
    finally:
        log_in(secure, PASSWORD)
    assert "access denied" in error_of(done)
    assert f"podman login {secure.address}" in done.stderr
    assert secure.blobs == before


def test_no_password_is_one_clear_error(bundle: Bundle, secure: RealRegistry, scratch: Path) -> None:
    (secure.config / "config.json").unlink()
    try:
        done = mirror(bundle, secure, scratch / "work", "--ca-file", str(secure.ca))
    finally:
        log_in(secure, PASSWORD)
    assert "access denied" in error_of(done)
    assert f"podman login {secure.address}" in done.stderr


def test_a_certificate_of_an_unknown_ca_is_refused(
    bundle: Bundle, secure: RealRegistry, scratch: Path
) -> None:
    done = mirror(bundle, secure, scratch / "work")
    assert "certificate" in error_of(done).lower()
    assert "--ca-file" in done.stderr


def test_a_killed_run_is_completed_by_the_next(bundle: Bundle, scratch: Path) -> None:
    with real_registry(scratch / "plain", secure=False) as registry:
        work = scratch / "killed"
        process = subprocess.Popen(
            mirror_command(bundle, registry, work, "--plain-http"),
            env=environ_of(registry), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while len(registry.blobs) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = registry.blobs
        report = report_of(mirror(bundle, registry, scratch / "work", "--plain-http"))
        assert report["blobs_sent"] > 0
        assert report["blobs_present"] > 0
        assert kept < registry.blobs
        layout = {entry["digest"] for entry in json.loads(bundle.member("index.json"))["manifests"]}
        assert layout <= registry.blobs
        # No half of a blob was kept under a whole one's name.
        assert damaged_blobs(registry) == set()
        again = report_of(mirror(bundle, registry, scratch / "work", "--plain-http"))
        assert (again["blobs_sent"], again["artifacts"]) == (0, report["artifacts"])


def test_a_tampered_tar_reaches_no_registry(bundle: Bundle, scratch: Path, tmp_path: Path) -> None:  # A8
    spoiled = tmp_path / "spoiled.tar"
    subprocess.run(["cp", "--reflink=auto", str(bundle.tar), str(spoiled)], check=True)
    with spoiled.open("r+b") as tar:
        tar.seek(-1_000_000, os.SEEK_END)
        byte = tar.read(1)
        tar.seek(-1, os.SEEK_CUR)
        tar.write(bytes([byte[0] ^ 1]))
    with real_registry(scratch / "untouched", secure=False) as registry:
        other = Bundle(spoiled, bundle.inputs, bundle.key, bundle.verifier, bundle.digest)
        done = mirror(other, registry, scratch / "work", "--plain-http")
        assert "error: blobs/sha256/" in error_of(done)
        assert registry.blobs == set()


def test_a_bundle_of_another_key_reaches_no_registry(
    bundle: Bundle, scratch: Path, tmp_path: Path
) -> None:  # A8
    stranger = tmp_path / "stranger.pub"
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    stranger.write_bytes(
        key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    with real_registry(scratch / "stranger", secure=False) as registry:
        other = Bundle(bundle.tar, bundle.inputs, stranger, bundle.verifier, bundle.digest)
        done = mirror(other, registry, scratch / "work", "--plain-http")
        assert "key" in error_of(done)
        assert registry.blobs == set()
