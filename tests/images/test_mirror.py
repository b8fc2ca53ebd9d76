"""A mirrored bundle: every artifact under its digest, nothing sent twice, nothing before it is verified (A9)."""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from click.testing import CliRunner
from tests.images.signed import signatures

from routeiq_appliance.cli.main import main
from routeiq_images.blobs import EMPTY_CONFIG, MANIFEST_MEDIA_TYPE
from routeiq_images.errors import ImagesError
from routeiq_images.site.mirror import MirrorReport, mirror
from routeiq_images.site.mirror_plan import referrers_index
from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.errors import RouteIQError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import (
    Attachment,
    Attachments,
    BundleManifest,
    Chart,
    FileEntry,
    ImageEntry,
    InputsEntry,
    ModelEntry,
    blob_path,
)
from routeiq_signing.progress import QuietProgress
from routeiq_signing.sigstore_bundle import MEDIA_TYPE

pytestmark = pytest.mark.usefixtures("_clean_environ")
LAYER = bytes(range(256)) * 9000  # more than one chunk of an upload


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Parts:
    """Collects blobs and manifests; both images share a layer."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def blob(self, data: bytes, media_type: str) -> dict[str, Any]:
        self.blobs[blob_path(digest(data))] = data
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def manifest(self, config: bytes, layers: list[bytes], **more: Any) -> str:
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "config": self.blob(
                config, EMPTY_CONFIG if config == b"{}" else "application/vnd.oci.image.config.v1+json"
            ),
            "layers": [self.blob(layer, "application/octet-stream") for layer in layers],
            **more,
        }
        raw = rfc8785.dumps(document)
        self.blobs[blob_path(digest(raw))] = raw
        return digest(raw)

    def subject(self, of: str) -> dict[str, Any]:
        return {"mediaType": MANIFEST_MEDIA_TYPE, "digest": of, "size": len(self.blobs[blob_path(of)])}


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


@pytest.fixture
def _clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def tar(tmp_path_factory: pytest.TempPathFactory, key: PrivateKey) -> Path:
    parts = Parts()
    images = []
    for name in ("routeiq-gateway", "routeiq-redis"):
        config = json.dumps({"architecture": "amd64", "os": "linux", "name": name}).encode()
        image = parts.manifest(config, [LAYER, name.encode()])
        sbom = parts.manifest(
            b"{}", [b'{"bomFormat": "CycloneDX"}'],
            subject=parts.subject(image), artifactType="application/vnd.cyclonedx+json",
        )  # fmt: skip
        images.append(ImageEntry(name, image, digest(config), f"routeiq.local/{name}:0.1.0", sbom))
    weights = b"weights" * 100
    model = parts.manifest(b"{}", [weights], artifactType="application/vnd.routeiq.model.v1")
    chart = parts.manifest(b'{"name":"routeiq-gateway"}', [b"chart"])
    files = {
        **parts.blobs,
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": rfc8785.dumps({"schemaVersion": 2, "manifests": [
            {"mediaType": MANIFEST_MEDIA_TYPE, "digest": item, "size": len(parts.blobs[blob_path(item)])}
            for item in (*(image.digest for image in images), *(image.sbom for image in images), model, chart)]}),
        "manifest.json": rfc8785.dumps([
            {"Config": blob_path(image.image_id), "RepoTags": [image.tag],
             "Layers": [blob_path(digest(LAYER)), blob_path(digest(image.name.encode()))]} for image in images]),
        "verify.pyz": b"#!/usr/bin/env python3\n",
        "README.txt": b"read me\n",
    }  # fmt: skip
    manifest = BundleManifest(
        name="routeiq", version="0.1.0", channel="test", sequence=1,
        created="2026-01-01T00:00:00Z", expires="2126-01-01T00:00:00Z", platform="linux/amd64",
        images=tuple(images),
        models=(ModelEntry("MiniLM", "embedder", model, "m", (FileEntry("w", digest(weights)[7:], len(weights)),)),),
        chart=Chart("routeiq-gateway", "0.1.0", chart),
        files=tuple(FileEntry(path, digest(data)[7:], len(data)) for path, data in sorted(files.items())),
        inputs=InputsEntry("routeiq-0.1.0-linux-amd64-inputs.tar", "0" * 64, 1), locks=(),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("carried") / "routeiq-0.1.0-linux-amd64.tar"
    return Signed(manifest, files, *signatures(manifest, key)).write(path, key)


@dataclass(frozen=True)
class Signed:
    """A bundle's parts before its head is signed: what is attached can be spoilt here."""

    manifest: BundleManifest
    files: dict[str, bytes]
    said: list[Attachment]
    blobs: dict[str, bytes]

    def write(self, path: Path, key: PrivateKey) -> Path:
        listed = tuple(FileEntry(name, digest(raw)[7:], len(raw)) for name, raw in sorted(self.blobs.items()))
        attachments = Attachments(digest(self.manifest.to_bytes()), tuple(self.said), listed)
        head = sign_head(self.manifest, attachments, key)
        write_bundle_tar(path, head, {**self.files, **self.blobs}, QuietProgress())
        return path


def run(tar: Path, server, key: PrivateKey, tmp_path: Path, **options: Any) -> MirrorReport:  # type: ignore[no-untyped-def]
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    try:
        return mirror(
            tar,
            f"{server.host}/site/routeiq",
            key=key.public,
            environ={"HOME": str(tmp_path)},
            progress=options.pop("progress", QuietProgress()),
            plain_http=True,
            work_dir=work,
            **options,
        )
    finally:
        assert list(work.iterdir()) == []  # the verified copy goes, whatever happened


def manifest_of(tar: Path) -> dict[str, Any]:
    with tarfile.open(tar) as archive:
        found: dict[str, Any] = json.load(archive.extractfile("bundle.json"))  # type: ignore[arg-type]
    return found


def test_everything_arrives_under_its_digest(
    tar: Path, registry_server, key: PrivateKey, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    report = run(tar, registry_server, key, tmp_path)
    bundle, kept = manifest_of(tar), registry_server.manifests
    expected = {
        **{f"site/routeiq/{image['name']}": image["digest"] for image in bundle["images"]},
        "site/routeiq/models/minilm": bundle["models"][0]["digest"],
        "site/routeiq/charts/routeiq-gateway": bundle["chart"]["digest"],
    }
    for repository, wanted in expected.items():
        assert digest(kept[repository, wanted]) == wanted
        assert kept[repository, "0.1.0"] == kept[repository, wanted]
    for (repository, _reference), raw in kept.items():
        document = json.loads(raw)
        for part in [document["config"], *document["layers"]] if "layers" in document else []:
            assert digest(registry_server.blobs[repository, part["digest"]]) == part["digest"]
    kinds = sorted(report.artifacts.values())
    assert kinds == [
        "bundle", "chart", "image", "image", "image-signature", "image-signature", "image-signature-tag",
        "image-signature-tag", "model", "model-signature", "sbom", "sbom",
    ]  # fmt: skip
    assert report.signatures == {"image-signature": 2, "image-signature-tag": 2, "model-signature": 1}


def test_sboms_and_signatures_are_found_from_their_subject(
    tar: Path, registry_server, key, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    """A registry without the referrers API: the index under the tag sha256-<hex>."""
    run(tar, registry_server, key, tmp_path)
    bundle, kept = manifest_of(tar), registry_server.manifests
    for image in bundle["images"]:
        index = json.loads(kept[f"site/routeiq/{image['name']}", image["digest"].replace(":", "-")])
        (signature,) = (entry for entry in index["manifests"] if entry["digest"] != image["sbom"])
        assert signature["artifactType"] == MEDIA_TYPE
        assert signature["annotations"]["dev.sigstore.bundle.predicateType"].endswith("/cosign/sign/v1")
        assert {entry["artifactType"] for entry in index["manifests"]} == {
            MEDIA_TYPE,
            "application/vnd.cyclonedx+json",
        }
    model = bundle["models"][0]["digest"]
    index = json.loads(kept["site/routeiq/models/minilm", model.replace(":", "-")])
    (entry,) = index["manifests"]
    assert entry["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    signature = json.loads(kept["site/routeiq/models/minilm", entry["digest"]])
    assert signature["subject"]["digest"] == model
    held = registry_server.blobs["site/routeiq/models/minilm", signature["layers"][0]["digest"]]
    assert json.loads(held)["mediaType"] == MEDIA_TYPE


def test_a_second_run_sends_nothing(tar: Path, registry_server, key: PrivateKey, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    first = run(tar, registry_server, key, tmp_path)
    kept = dict(registry_server.manifests)
    registry_server.requests.clear()
    second = run(tar, registry_server, key, tmp_path)
    assert (second.blobs_sent, second.bytes_sent) == (0, 0)
    assert second.blobs_present == first.blobs_sent + first.blobs_present
    assert second.artifacts == first.artifacts
    assert registry_server.manifests == kept
    assert not [path for method, path, _ in registry_server.requests if method == "POST"]


def test_a_shared_layer_is_sent_once_and_mounted(
    tar: Path, registry_server, key: PrivateKey, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    report = run(tar, registry_server, key, tmp_path)
    assert report.bytes_sent < 2 * len(LAYER)
    for image in ("routeiq-gateway", "routeiq-redis"):
        assert registry_server.blobs[f"site/routeiq/{image}", digest(LAYER)] == LAYER


def test_what_a_broken_run_sent_is_not_sent_again(
    tar: Path, registry_server, key: PrivateKey, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    registry_server.faults = [("PUT", "/v2/site/routeiq/charts/", 400)]
    with pytest.raises(ImagesError, match=r"charts/routeiq-gateway: blob sha256:\w+: HTTP 400"):
        run(tar, registry_server, key, tmp_path)
    assert ("site/routeiq/charts/routeiq-gateway", "0.1.0") not in registry_server.manifests
    present = len(registry_server.blobs)
    report = run(tar, registry_server, key, tmp_path)
    assert report.blobs_sent + present == len(registry_server.blobs)
    assert 0 < report.bytes_sent < len(LAYER)


def test_a_tampered_bundle_sends_nothing(tar: Path, registry_server, key: PrivateKey, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    raw = bytearray(tar.read_bytes())
    raw[-100_000] ^= 1
    spoiled = tmp_path / "spoiled.tar"
    spoiled.write_bytes(raw)
    with pytest.raises(VerificationError):
        run(spoiled, registry_server, key, tmp_path)
    assert registry_server.blobs == {}
    assert registry_server.manifests == {}


def test_another_key_sends_nothing(tar: Path, registry_server, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(VerificationError):
        run(tar, registry_server, PrivateKey.generate(), tmp_path)
    assert registry_server.manifests == {}


def test_a_registry_that_keeps_another_manifest_is_caught(
    tar: Path, registry_server, key, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    class Forgetful(dict):  # type: ignore[type-arg]
        def __setitem__(self, item: tuple[str, str], raw: bytes) -> None:
            super().__setitem__(item, raw + b" " if item == ("site/routeiq/routeiq-redis", "0.1.0") else raw)

    registry_server.manifests = Forgetful()
    with pytest.raises(ImagesError, match=r"routeiq-redis: 0\.1\.0 is sha256:\w+, sent was sha256:"):
        run(tar, registry_server, key, tmp_path)


def test_progress_ends_at_its_total_after_a_fault(tar: Path, registry_server, key, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A try that failed halfway is taken back from the bar."""
    from contextlib import contextmanager

    seen: dict[str, tuple[int, list[int]]] = {}

    class Recording:
        @contextmanager
        def task(self, what: str, total: int | None, unit: str = "B"):  # type: ignore[no-untyped-def]
            steps: list[int] = []
            seen[what] = (total or 0, steps)
            yield steps.append

    registry_server.faults = [("PUT", "/v2/site/routeiq/routeiq-gateway/blobs", 503)]
    run(tar, registry_server, key, tmp_path, progress=Recording())
    total, steps = next(item for what, item in seen.items() if what.startswith("push to"))
    assert sum(steps) == total > 0
    assert min(steps) < 0
    assert len(steps) > 10


def test_an_index_of_referrers_keeps_what_others_put_there(
    tar: Path, registry_server, key, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    image = manifest_of(tar)["images"][0]
    place = (f"site/routeiq/{image['name']}", image["digest"].replace(":", "-"))
    other = {
        "mediaType": MANIFEST_MEDIA_TYPE,
        "digest": f"sha256:{'9' * 64}",
        "size": 3,
        "artifactType": "x/y",
    }
    registry_server.manifests[place] = rfc8785.dumps({"schemaVersion": 2, "manifests": [other]})
    run(tar, registry_server, key, tmp_path)
    index = json.loads(registry_server.manifests[place])
    assert {entry["digest"] for entry in index["manifests"]} > {other["digest"], image["sbom"]}
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"


@pytest.mark.parametrize(
    "present", [b"{", b"[]", b'{"manifests": 1}', b'{"manifests": [{"no": "digest"}]}', b"\xff"]
)
def test_a_broken_index_of_referrers_is_refused(present: bytes) -> None:
    from routeiq_images.site.mirror_plan import Artifact

    artifact = Artifact("sbom", "r", "sha256:1", b'{"config": {"mediaType": "m"}}', None, {}, "sha256:2")
    with pytest.raises(ImagesError, match="r: the index of referrers in the registry is not one"):
        referrers_index(present, artifact)


def test_no_folder_for_the_copy_is_one_error(
    tar: Path, registry_server, key: PrivateKey, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises((RouteIQError, OSError)):
        mirror(tar, f"{registry_server.host}/x", key=key.public, environ={}, progress=QuietProgress(),
               plain_http=True, work_dir=tmp_path / "absent")  # fmt: skip
    assert registry_server.manifests == {}


def invoke(tar: Path, registry_server, key: PrivateKey, tmp_path: Path, *more: str):  # type: ignore[no-untyped-def]
    pinned = tmp_path / "pinned.pub"
    pinned.write_bytes(key.public.pem)
    target = f"{registry_server.host}/site"
    return CliRunner().invoke(
        main, ["bundle", "mirror", str(tar), "--to", target, "--key", str(pinned), "--plain-http", *more]
    )


def test_the_command_reports_as_json(tar: Path, registry_server, key: PrivateKey, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = invoke(tar, registry_server, key, tmp_path, "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    gateway = manifest_of(tar)["images"][0]["digest"]
    assert report["artifacts"][f"{registry_server.host}/site/routeiq-gateway@{gateway}"] == "image"
    assert report["blobs_sent"] > 0
    assert "push to" in done.stderr


def test_the_command_refuses_in_one_line(tar: Path, registry_server, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = invoke(tar, registry_server, PrivateKey.generate(), tmp_path)
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert registry_server.manifests == {}
