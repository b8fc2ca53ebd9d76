"""A13: the same commit gives the same bundle.json in any folder, under any umask, time zone and locale."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from routeiq_appliance.cli.support import BarProgress
from routeiq_images.materials import gather
from routeiq_signing.keys import load_public_key
from routeiq_signing.progress import QuietProgress
from routeiq_vendor.workspace import Workspace

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("signing", "vendor", "images", "router", "appliance")
pytestmark = pytest.mark.build


class Built:
    """A bundle that was built from a clone of this checkout."""

    def __init__(self, clone: Path) -> None:
        self.clone = clone
        (self.tar,) = (path for path in (clone / "dist").glob("*.tar") if "inputs" not in path.name)
        with tarfile.open(self.tar) as archive:
            self.identity = archive.extractfile("bundle.json").read()  # type: ignore[union-attr]
        self.manifest: dict[str, Any] = json.loads(self.identity)

    def blob(self, digest: str) -> bytes:
        with tarfile.open(self.tar) as archive:
            return archive.extractfile(f"blobs/sha256/{digest.removeprefix('sha256:')}").read()  # type: ignore[union-attr]

    def layers(self, image: str) -> dict[str, str]:
        """Return comment → digest of an image's layers."""
        (entry,) = (item for item in self.manifest["images"] if item["name"] == image)
        manifest, config = json.loads(self.blob(entry["digest"])), json.loads(self.blob(entry["image_id"]))
        return {
            history["created_by"]: layer["digest"]
            for history, layer in zip(config["history"], manifest["layers"], strict=True)
        }

    def files(self, layer: str) -> dict[str, str]:
        """Return path → what it is, of a layer."""
        with tarfile.open(fileobj=io.BytesIO(self.blob(layer)), mode="r:gz") as archive:
            return {
                item.name: f"{item.mode:o} {item.uid} {item.linkname} "
                + hashlib.sha256(archive.extractfile(item).read() if item.isfile() else b"").hexdigest()  # type: ignore[union-attr]
                for item in archive
            }


def explain(one: Built, two: Built) -> str:
    """Name what differs, down to the files of a layer."""
    lines = [key for key in one.manifest if one.manifest[key] != two.manifest[key]]
    for image in (item["name"] for item in one.manifest["images"]):
        left, right = one.layers(image), two.layers(image)
        for comment in (name for name in left if left[name] != right.get(name)):
            files, others = one.files(left[comment]), two.files(right[comment])
            names = [path for path in sorted({*files, *others}) if files.get(path) != others.get(path)]
            lines.append(f"{image}: {comment}: {names[:10]}")
    return "; ".join(lines)


def build(clone: Path, commit: str, *, umask: int, **environment: str) -> Built:
    old = os.umask(umask)
    try:
        subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(clone)], check=True)
        subprocess.run(["git", "-C", str(clone), "checkout", "--quiet", commit], check=True)
        packages = os.pathsep.join(str(clone / name) for name in PACKAGES)
        command = [sys.executable, "-m", "routeiq_appliance.cli", "bundle", "create", "--offline"]
        pool = {"ROUTEIQ_POOL": str(Workspace.find(os.environ).pool.root), "PYTHONPATH": packages}
        done = subprocess.run(
            command,
            cwd=clone,
            env={**os.environ, **pool, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    finally:
        os.umask(old)
    built = Built(clone)
    assert done.stdout.splitlines()[-1] == f"sha256:{hashlib.sha256(built.identity).hexdigest()}"
    assert "DEVELOPMENT key" in done.stderr
    return built


@pytest.fixture(scope="module")
def two_builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[Built, Built]:
    gather(Workspace.find(os.environ), BarProgress(), offline=False, release=False)
    folder = tmp_path_factory.mktemp("builds")
    head = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    one = build(folder / "one", commit, umask=0o022, TZ="UTC", LC_ALL="C.UTF-8")
    deep = folder / "a folder with spaces" / "deeper"
    two = build(
        deep,
        commit,
        umask=0o077,
        TZ="Pacific/Kiritimati",
        LC_ALL="POSIX",
        LANG="tr_TR.UTF-8",
        HOME=str(folder),
    )
    return one, two


def test_two_builds_are_the_same_bundle(two_builds: tuple[Built, Built]) -> None:
    one, two = two_builds
    assert one.identity == two.identity, explain(one, two)


def test_two_builds_have_the_same_inputs(two_builds: tuple[Built, Built]) -> None:
    digests = set()
    for built in two_builds:
        with next((built.clone / "dist").glob("*-inputs.tar")).open("rb") as file:
            digests.add(hashlib.file_digest(file, "sha256").hexdigest())
    assert digests == {two_builds[0].manifest["inputs"]["sha256"]}


def test_each_build_verifies_with_its_own_key_and_not_the_others(two_builds: tuple[Built, Built]) -> None:
    from routeiq_signing.bundle_file import verify_bundle_file
    from routeiq_signing.errors import VerificationError

    one, two = two_builds
    for built, other in ((one, two), (two, one)):
        key = load_public_key(built.clone / "dist" / "routeiq.pub")
        assert verify_bundle_file(built.tar, key=key, progress=QuietProgress()).report.accepted
        with pytest.raises(VerificationError, match="not signed by the pinned key"):
            verify_bundle_file(other.tar, key=key, progress=QuietProgress())


def test_the_images_are_small_and_hardened(two_builds: tuple[Built, Built]) -> None:
    one = two_builds[0]
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
