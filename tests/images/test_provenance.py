"""What a build says of itself: every lock and input with its digest, and nothing that two builders would differ in."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.signing.conftest import NOW, make_bundle

from routeiq_images.proof.invocation import start_invocation
from routeiq_images.proof.provenance import BUILDER, dependencies, predicate, sign_provenance, with_provenance
from routeiq_images.release import load_release
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_vendor.attestations.store import Attestation, Kept
from routeiq_vendor.fetch import Deb, Fetched, ImageDebs, LockFile
from routeiq_vendor.npm.store import Tarball
from routeiq_vendor.wheels.store import Wheel

ROOT = Path(__file__).resolve().parents[2]
MADE = "2026-06-01T00:00:00Z"


def materials(folder: Path) -> Any:
    """Return materials with one thing of each kind."""
    (folder / "source").mkdir()
    (folder / "source" / "a.py").write_text("x = 1\n")
    (folder / "weights").write_bytes(b"weights")
    none = Path("/dev/null")
    gateway = Wheel("click", "8.5.1", "click-8.5.1-py3-none-any.whl", "1" * 64, 1, none)
    tool = Wheel("pip", "26.3", "pip-26.3-py3-none-any.whl", "2" * 64, 1, none)
    fetched = Fetched(
        images={"gateway": ImageDebs((Deb("libc6", "1:2+b1", "glibc", "2", "3" * 64, 1, none),), ())},
        wheels={"gateway": (gateway,), "build": (gateway, tool)},
        models={},
        demo_models={},
        npm=(Tarball("node_modules/@x/y", "@x/y", "1.0.0", "MIT", True, "4" * 64, 1, none),),
        locks=(LockFile("vendor/locks/gateway.txt", "5" * 64),),
        drift=(),
        attestations=Kept((Attestation(gateway.filename, "6" * 64, none),)),
    )
    model = SimpleNamespace(name="minilm", files={"model.onnx": folder / "weights"})
    return SimpleNamespace(fetched=fetched, models=(model,), source=folder / "source")


def test_every_lock_and_input_is_named_once_with_its_digest(tmp_path: Path) -> None:
    bundle = make_bundle(PrivateKey.generate(), layer=b"l", program=b"p")
    found = dependencies(materials(tmp_path), bundle.manifest.inputs, "abc")
    kinds = [item["annotations"]["kind"] for item in found]
    assert kinds == ["lock", "deb", "wheel", "tool", "npm", "attestation", "model", "source", "inputs"]
    uris = {item["annotations"]["kind"]: item["uri"] for item in found}
    assert uris["deb"] == "pkg:deb/debian/libc6@1%3A2%2Bb1?arch=amd64"
    assert uris["npm"] == "pkg:npm/%40x/y@1.0.0"
    assert all(len(item["digest"]["sha256"]) == 64 for item in found)
    (source,) = (item for item in found if item["annotations"]["kind"] == "source")
    assert source["digest"]["gitCommit"] == "abc"


def test_a_changed_source_file_changes_the_source_digest(tmp_path: Path) -> None:
    bundle = make_bundle(PrivateKey.generate(), layer=b"l", program=b"p")
    things = materials(tmp_path)
    before = dependencies(things, bundle.manifest.inputs, "")
    (tmp_path / "source" / "a.py").write_text("x = 2\n")
    after = dependencies(things, bundle.manifest.inputs, "")
    assert [item["uri"] for item in before if item not in after] == ["file:source"]


def test_a_built_provenance_is_accepted_and_two_builders_make_one_bundle(tmp_path: Path) -> None:
    key = PrivateKey.generate()
    bundle = make_bundle(key, layer=b"l", program=b"p")
    release = load_release(ROOT / "images" / "release.toml")
    digest = bundle.attachments.bundle
    builders = []
    for name in ("https://one.example/ci", ""):
        run = start_invocation(tmp_path, {"ROUTEIQ_BUILDER": name}, strict=True, offline=False)
        folder = tmp_path / (name and "one")
        folder.mkdir(exist_ok=True)
        resolved = dependencies(materials(folder), bundle.manifest.inputs, run.commit)
        said = predicate(release, bundle.manifest, resolved, run, datetime(2026, 6, 1, tzinfo=UTC))
        assert said["buildDefinition"]["externalParameters"]["release"]["version"] == release.version
        assert said["buildDefinition"]["externalParameters"]["strict"] is True
        assert said["runDetails"]["metadata"]["finishedOn"] == MADE
        raw = sign_provenance(bundle.manifest, digest, said, key)
        attachments, blobs = with_provenance(bundle.attachments, raw)
        made = replace(bundle, attachments=attachments, files={**bundle.files, **blobs})
        tar = made.write(folder / "bundle.tar")
        verified = verify_bundle_file(tar, key=key.public, progress=QuietProgress(), now=NOW)
        assert verified.report.digest == digest  # what differs is not in the identity
        assert verified.provenance is not None
        assert json.loads(verified.provenance.payload)["predicate"] == said
        builders.append(verified.provenance.builder)
    assert builders == ["https://one.example/ci", BUILDER]
