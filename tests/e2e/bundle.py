"""The bundle under test: what `make bundle` builds from this very tree, once."""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from routeiq_signing.keys import load_public_key

ROOT = Path(__file__).parents[2]
# What no bundle depends on: changing a test or a guide must not cost a build.
_IRRELEVANT = ("tests/", "docs/", "benchmarks/", "README.md", ".ci/", "noxfile.py")


@dataclass(frozen=True)
class Bundle:
    """The files of `dist/`, and the digest that `make bundle` printed last."""

    tar: Path
    inputs: Path
    key: Path
    verifier: Path
    digest: str

    def member(self, name: str) -> bytes:
        """Return one file of the tar."""
        with tarfile.open(self.tar) as tar:
            file = tar.extractfile(name)
            assert file is not None
            return file.read()

    @property
    def manifest(self) -> dict[str, Any]:
        """`bundle.json`."""
        document: dict[str, Any] = json.loads(self.member("bundle.json"))
        return document

    def image(self, name: str) -> dict[str, str]:
        """The entry of an image in `bundle.json`: digest, image_id, tag."""
        return next(image for image in self.manifest["images"] if image["name"] == name)

    def health_check(self, name: str) -> list[str]:
        """The command of an image's health check."""
        image_id = self.image(name)["image_id"].removeprefix("sha256:")
        kind, *command = json.loads(self.member(f"blobs/sha256/{image_id}"))["config"]["Healthcheck"]["Test"]
        assert kind == "CMD"
        return command

    @property
    def keyid(self) -> str:
        """Hex SHA-256 of the key that came with it."""
        return load_public_key(self.key).keyid


def tree_digest() -> str:
    """Return a digest over every file that a bundle may depend on, and over the commit's time."""
    git = ["git", "-C", str(ROOT)]
    listed = subprocess.run(
        [*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
    ).stdout.decode()
    digest = hashlib.sha256(
        subprocess.run([*git, "log", "-1", "--format=%ct"], capture_output=True, check=True).stdout
    )
    for name in sorted(set(listed.split("\0")) - {""}):
        path = ROOT / name
        if path.is_file() and not name.startswith(_IRRELEVANT):
            digest.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def make_bundle() -> Bundle:
    """Run `make bundle` as a user does, unless `dist/` is already what it would build; raises with its last words.

    One process at a time: tests run in several, and two builds would fight over the pool and `dist/`.
    """
    marker = ROOT / "build" / "e2e" / "bundle.json"
    marker.parent.mkdir(parents=True, exist_ok=True)
    with marker.with_suffix(".lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _make_bundle(marker)


def _make_bundle(marker: Path) -> Bundle:
    tree = tree_digest()
    if marker.is_file():
        made = json.loads(marker.read_text(encoding="ascii"))
        bundle = _bundle(made["digest"])
        if made["tree"] == tree and _same(bundle):
            return bundle
    done = subprocess.run(
        ["make", "--no-print-directory", "bundle"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in {"KEY", "VIRTUAL_ENV"}},
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"make bundle: exit {done.returncode}\n{done.stdout}"
    digest = done.stdout.splitlines()[-1]
    marker.write_text(json.dumps({"tree": tree, "digest": digest}), encoding="ascii")
    return _bundle(digest)


def _bundle(digest: str) -> Bundle:
    version = tomllib.loads((ROOT / "images" / "release.toml").read_text(encoding="utf-8"))["version"]
    name = f"routeiq-{version}-linux-amd64"
    dist = ROOT / "dist"
    return Bundle(
        dist / f"{name}.tar", dist / f"{name}-inputs.tar", dist / "routeiq.pub", dist / "verify.pyz", digest
    )


def _same(bundle: Bundle) -> bool:
    """Tell whether `dist/` still holds the bundle of this digest, whole (its content is verified by a test)."""
    files = (bundle.tar, bundle.inputs, bundle.key, bundle.verifier)
    if not all(file.is_file() for file in files):
        return False
    return f"sha256:{hashlib.sha256(bundle.member('bundle.json')).hexdigest()}" == bundle.digest
