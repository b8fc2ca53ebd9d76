"""A13: built again from its inputs, in any folder, under any umask, time zone and locale, it is the same bundle."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.bundle import Bundle, make_bundle

from routeiq_images.compare.diff import diff_bundles
from routeiq_images.compare.diff_tar import BundleTar
from routeiq_images.compare.rebuild_sandbox import ISOLATED, NOT_ISOLATED
from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import generate_key_files, load_public_key
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.builders import Builders, BuiltBy
from routeiq_signing.verify.trust import OneKey

pytestmark = pytest.mark.build


class Built:
    """A bundle's tar, looked into."""

    def __init__(self, tar: Path) -> None:
        self.tar = tar
        with tarfile.open(tar) as archive:
            self.identity = archive.extractfile("bundle.json").read()  # type: ignore[union-attr]
        self.manifest: dict[str, Any] = json.loads(self.identity)

    def blob(self, digest: str) -> bytes:
        with tarfile.open(self.tar) as archive:
            return archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}").read()  # type: ignore[union-attr]

    def files(self, layer: str) -> dict[str, str]:
        """Return path → what it is, of a layer."""
        with tarfile.open(fileobj=io.BytesIO(self.blob(layer)), mode="r:gz") as archive:
            return {
                item.name: f"{item.mode:o} {item.uid} {item.linkname} "
                + hashlib.sha256(archive.extractfile(item).read() if item.isfile() else b"").hexdigest()  # type: ignore[union-attr]
                for item in archive
            }


@dataclass(frozen=True)
class Twice:
    """The bundle of this tree, and what a builder elsewhere made of its inputs."""

    bundle: Bundle
    tar: Path
    """The first one's, in a folder where signatures may lie beside it."""
    builder: Path
    one: Built
    two: Built
    report: dict[str, Any]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    """Build it as a user does, then again from the inputs in another folder, under another umask, zone and locale."""
    bundle = make_bundle()
    folder = tmp_path_factory.mktemp("builds")
    tar, kept, work = (
        folder / bundle.tar.name,
        folder / "again.tar",
        folder / "a folder with spaces" / "deeper",
    )
    tar.symlink_to(bundle.tar)
    work.mkdir(parents=True)
    generate_key_files(folder / "builder.key", b"a passphrase")
    (folder / "passphrase").write_bytes(b"a passphrase")
    command = [sys.executable, "-m", "routeiq_appliance.cli", "bundle", "rebuild", str(tar)]
    command += ["--inputs", str(bundle.inputs), "--key", str(bundle.key), "--work-dir", str(work), "--json"]
    command += ["--keep", str(kept), "--sign", str(folder / "builder.key")]
    command += ["--passphrase-file", str(folder / "passphrase")]
    elsewhere = {"TZ": "Pacific/Kiritimati", "LC_ALL": "POSIX", "LANG": "tr_TR.UTF-8", "HOME": str(folder)}
    old = os.umask(0o077)
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **elsewhere}, capture_output=True, text=True, check=False
        )
    finally:
        os.umask(old)
    assert kept.is_file(), done.stderr[-2000:]
    assert list(work.iterdir()) == []
    one, two = Built(bundle.tar), Built(kept)
    return Twice(bundle, tar, folder / "builder.key.pub", one, two, json.loads(done.stdout))


def test_built_again_from_its_inputs_it_is_the_same_bundle(twice: Twice) -> None:
    found = diff_bundles(BundleTar(twice.tar, QuietProgress()), BundleTar(twice.two.tar, QuietProgress()))
    assert twice.one.identity == twice.two.identity, found.to_text()
    assert found.identical, found.to_text()
    assert twice.report["identical"] is True
    assert twice.report["digest"] == twice.report["rebuilt"] == twice.bundle.digest


def test_the_build_had_no_network_and_its_inputs_are_those_named(twice: Twice) -> None:
    if twice.report["network"] == NOT_ISOLATED:
        pytest.skip("this kernel gives no network namespace")
    assert twice.report["network"] == ISOLATED
    with twice.bundle.inputs.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == twice.two.manifest["inputs"]["sha256"]


def test_the_builders_signature_is_what_a_site_can_require(twice: Twice) -> None:
    key, builder = load_public_key(twice.bundle.key), load_public_key(twice.builder)
    asked = Builders.of([builder], 1).beside(twice.tar)
    trust = BuiltBy(OneKey(pinned(key)), asked)
    report = verify_bundle_file(twice.tar, key=trust, progress=QuietProgress()).report
    assert "signed by 1 builders, 1 required" in report.notes


def test_what_was_built_again_is_not_signed_by_the_producer(twice: Twice) -> None:
    with pytest.raises(VerificationError, match="not signed by the pinned key"):
        verify_bundle_file(twice.two.tar, key=load_public_key(twice.bundle.key), progress=QuietProgress())


def test_the_images_are_small_and_hardened(twice: Twice) -> None:
    one = twice.one
    everything: dict[str, dict[str, str]] = {}
    for item in one.manifest["images"]:
        layers = json.loads(one.blob(item["digest"]))["layers"]
        assert len(layers) <= 60
        files: dict[str, str] = {}
        for layer in layers:
            files |= one.files(layer["digest"])
        everything[item["name"]] = files
        assert not [path for path, text in files.items() if int(text.split()[0], 8) & 0o6000], "set-user-ID"
        assert not {"usr/bin/apt", "usr/bin/apt-get", "usr/bin/dpkg", "usr/bin/pip", "usr/bin/perl"} & set(
            files
        )
        assert json.loads(one.blob(item["image_id"]))["config"]["User"].split(":")[0] not in {
            "",
            "0",
            "root",
        }  # A14
    gateway = everything["routeiq-gateway"]
    assert not [path for path in gateway if path.rpartition("/")[2] in {"sh", "bash", "dash"}]
    assert not [
        path
        for path in gateway
        if path.endswith((".pth", "torch/__init__.py", "sklearn/__init__.py", "/node"))
    ]
    assert "app/models/sentence-transformers/all-MiniLM-L6-v2/onnx/model_int8.onnx" in gateway  # A3
    assert "app/static/index.html" in gateway  # A6
    (entry,) = (item for item in one.manifest["images"] if item["name"] == "routeiq-gateway")
    size = sum(layer["size"] for layer in json.loads(one.blob(entry["digest"]))["layers"])
    assert size <= 150_000_000
