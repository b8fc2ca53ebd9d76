"""What we sign, verified by programs that are not ours, out of a real registry (A9, A7).

npm's @sigstore/verify for both kinds of sigstore bundle, openssl for the older image signature and the head of the tar,
skopeo for the way there. Debian's skopeo and podman have sigstore's signature verification taken out, so that they
cannot be the judges; that is asked here too, to be noticed when it changes.
"""

import base64
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.registry import RealRegistry, real_registry
from tests.images.signed import with_signatures
from tests.signing.conftest import SmallBundle, small_bundle

from routeiq_images.signatures import signature_tag
from routeiq_images.site.mirror import mirror
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_vendor.npm.node import Node, unpack_node
from routeiq_vendor.wheels.store import WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

__all__ = ["small_bundle"]

pytestmark = pytest.mark.e2e
VERIFIER = Path(__file__).parents[1] / "third_party"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture(scope="module")
def signed(small_bundle: SmallBundle, key: PrivateKey) -> SmallBundle:
    return with_signatures(small_bundle, key)


@dataclass(frozen=True)
class Place:
    """A folder with the public key, the tar, and whatever was taken out of the registry."""

    folder: Path
    registry: RealRegistry
    bundle: SmallBundle

    def file(self, name: str, raw: bytes) -> str:
        (self.folder / name).write_bytes(raw)
        return str(self.folder / name)

    @property
    def pem(self) -> str:
        return self.file("key.pub", self.bundle.key.public.pem)

    def repository(self, name: str) -> str:
        return f"docker://{self.registry.address}/site/{name}"

    def raw(self, reference: str) -> bytes:
        return subprocess.run(
            ["skopeo", "inspect", "--tls-verify=false", "--raw", reference], capture_output=True, check=True
        ).stdout

    def blob(self, digest: str) -> bytes:
        found = self.registry.data / "docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
        return found.read_bytes()


@pytest.fixture(scope="module")
def place(signed: SmallBundle, scratch: Path) -> Iterator[Place]:
    folder = scratch / "others"
    folder.mkdir()
    tar = signed.write(folder / "bundle.tar")
    with real_registry(folder / "registry", secure=False) as registry:
        report = mirror(
            tar, f"{registry.address}/site", key=signed.key.public, environ={"HOME": str(folder)},
            progress=QuietProgress(), plain_http=True, work_dir=folder,
        )  # fmt: skip
        assert report.signatures == {"image-signature": 1, "image-signature-tag": 1, "model-signature": 1}
        yield Place(folder, registry, signed)


@pytest.fixture(scope="module")
def sigstore_js(scratch: Path) -> tuple[Node, Path]:
    """npm's verifier as its lock names it, with Node of our locks."""
    workspace = Workspace.find(os.environ)
    store = WheelStore(workspace.pool, workspace.torch_index)
    lock = load_lock(workspace.locks / "node.txt")
    (wheel,) = store.fetch(lock, "node.txt", QuietProgress(), offline=False)
    node = unpack_node(wheel, workspace.build / "tools")
    folder = scratch / "third_party"
    shutil.copytree(VERIFIER, folder)
    cache = workspace.build / "cache" / "npm-tests"
    node.npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--cache", str(cache)],
        folder,
    )
    return node, folder


def judge(sigstore_js: tuple[Node, Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    node, folder = sigstore_js
    command = ["unshare", "--net", str(node.program), "verify.js", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def referrer(place: Place, name: str, subject: str) -> dict[str, Any]:
    """Return the manifest of the sigstore bundle that refers to `subject`, as a client without the API finds it."""
    index = json.loads(place.raw(f"{place.repository(name)}:{subject.replace(':', '-')}"))
    (entry,) = (entry for entry in index["manifests"] if entry["artifactType"] == BUNDLE)
    manifest: dict[str, Any] = json.loads(place.raw(f"{place.repository(name)}@{entry['digest']}"))
    assert manifest["subject"]["digest"] == subject
    return manifest


def test_sigstore_js_verifies_the_image_out_of_the_registry(
    place: Place, sigstore_js: tuple[Node, Path]
) -> None:
    image = place.bundle.manifest.images[0]
    manifest = referrer(place, image.name, image.digest)
    bundle = place.file("image.json", place.blob(manifest["layers"][0]["digest"]))
    done = judge(sigstore_js, place.pem, bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    statement = json.loads(done.stdout)
    assert f"sha256:{statement['subject'][0]['digest']['sha256']}" == image.digest


def test_sigstore_js_verifies_the_model_out_of_the_registry(
    place: Place, sigstore_js: tuple[Node, Path]
) -> None:
    model = place.bundle.manifest.models[0]
    manifest = referrer(place, f"models/{model.name.lower()}", model.digest)
    bundle = place.file("model.json", place.blob(manifest["layers"][0]["digest"]))
    done = judge(sigstore_js, place.pem, bundle)
    assert done.returncode == 0, done.stdout + done.stderr
    resources = json.loads(done.stdout)["predicate"]["resources"]
    assert {item["name"]: item["digest"] for item in resources} == {
        entry.path: entry.sha256 for entry in model.files
    }


def test_sigstore_js_verifies_the_head_of_the_tar(place: Place, sigstore_js: tuple[Node, Path]) -> None:
    keyid = place.bundle.key.public.keyid
    with tarfile.open(place.folder / "bundle.tar") as tar:
        tar.extract("bundle.json", place.folder, filter="data")
        tar.extract(f"bundle.json.{keyid}.sigstore.json", place.folder, filter="data")
    given = (str(place.folder / f"bundle.json.{keyid}.sigstore.json"), str(place.folder / "bundle.json"))
    assert judge(sigstore_js, place.pem, *given).stdout == "verified\n"


def test_sigstore_js_refuses_another_key_and_another_document(
    place: Place, sigstore_js: tuple[Node, Path]
) -> None:
    image = place.bundle.manifest.images[0]
    manifest = referrer(place, image.name, image.digest)
    bundle = place.file("image.json", place.blob(manifest["layers"][0]["digest"]))
    other = place.file("other.pub", PrivateKey.generate().public.pem)
    assert judge(sigstore_js, other, bundle).returncode == 1
    keyid = place.bundle.key.public.keyid
    head = str(place.folder / f"bundle.json.{keyid}.sigstore.json")
    assert judge(sigstore_js, place.pem, head, place.file("other.json", b"{}")).returncode == 1


def test_openssl_verifies_the_older_form_out_of_the_registry(place: Place) -> None:
    image = place.bundle.manifest.images[0]
    manifest = json.loads(place.raw(f"{place.repository(image.name)}:{signature_tag(image.digest)}"))
    (layer,) = manifest["layers"]
    payload = place.blob(layer["digest"])
    signature = base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"])
    command = ["openssl", "dgst", "-sha256", "-verify", place.pem, "-signature",
               place.file("payload.sig", signature), place.file("payload.json", payload)]  # fmt: skip
    assert subprocess.run(command, capture_output=True, text=True, check=False).stdout == "Verified OK\n"
    assert json.loads(payload)["critical"]["image"]["docker-manifest-digest"] == image.digest


def test_openssl_verifies_the_newer_form(place: Place) -> None:
    """By hand: DSSE's encoding before the payload, as docs/signatures.md shows."""
    image = place.bundle.manifest.images[0]
    manifest = referrer(place, image.name, image.digest)
    place.file("image.json", place.blob(manifest["layers"][0]["digest"]))
    assert place.pem
    done = subprocess.run(
        ["bash", "-euc", dsse_by_hand()], cwd=place.folder, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Verified OK\n")
    assert image.digest.removeprefix("sha256:") in done.stdout


def dsse_by_hand() -> str:
    """The commands under "An image's newer form, with openssl" in docs/signatures.md."""
    guide = (Path(__file__).parents[2] / "docs" / "signatures.md").read_text(encoding="utf-8")
    block = guide.partition("with openssl\n")[2].partition("```console\n")[2].partition("```")[0]
    return "\n".join(line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ "))


def test_skopeo_carries_the_older_form_on_unchanged(place: Place, tmp_path: Path) -> None:
    image = place.bundle.manifest.images[0]
    source = f"{place.repository(image.name)}:{signature_tag(image.digest)}"
    copy = f"oci:{tmp_path / 'copy'}:signature"
    command = ["skopeo", "copy", "--preserve-digests", "--src-tls-verify=false", source, copy]
    subprocess.run(command, check=True, capture_output=True)
    index = json.loads((tmp_path / "copy" / "index.json").read_bytes())
    held = (tmp_path / "copy" / "blobs" / "sha256" / index["manifests"][0]["digest"][7:]).read_bytes()
    assert held == place.raw(source)


def test_debians_skopeo_cannot_judge_sigstore_signatures(place: Place, tmp_path: Path) -> None:
    """If this fails, Debian's skopeo verifies now: let it judge in the test above it."""
    image = place.bundle.manifest.images[0]
    rule = {
        "type": "sigstoreSigned",
        "keyPath": place.pem,
        "signedIdentity": {"type": "exactRepository", "dockerRepository": "routeiq.local/routeiq-gateway"},
    }
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [rule]}), encoding="ascii")
    registries = tmp_path / "registries.d"
    registries.mkdir()
    (registries / "default.yaml").write_text(
        "default-docker:\n  use-sigstore-attachments: true\n", encoding="ascii"
    )
    source, copy = f"{place.repository(image.name)}@{image.digest}", f"dir:{tmp_path / 'copy'}"
    command = [
        "skopeo",
        "--policy",
        str(policy),
        "--registries.d",
        str(registries),
        "copy",
        "--src-tls-verify=false",
    ]
    done = subprocess.run([*command, source, copy], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Debian-local change: sigstore disabled" in done.stderr
