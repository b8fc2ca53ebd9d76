"""Makes a release's entry of the compatibility corpus: `python -m tests.signing.compat.make v0.2.0`.

Run it once, at the release, from the root of the repository; commit what it wrote and never touch it again. The private
keys live as long as this program does. An entry is refused where one of that name stands.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import numpy as np
from tests.signing.conftest import NOW, SmallBundle, make_bundle
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_router.artifact import Artifact, EmbedderIdentity, dump_artifact
from routeiq_router.strategies.interface import Inputs
from routeiq_router.strategies.registry import strategy
from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.keys import PrivateKey
from routeiq_signing.model_trust import sign_model_folder
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.admin import set_policy
from routeiq_signing.trust.builders import write_builder_signature
from routeiq_signing.trust.cosign import write_site_signature
from routeiq_signing.trust.document import SitePolicy

HERE = Path(__file__).parent


def make(version: str) -> Path:
    """Write the entry `version`; return its folder."""
    entry = HERE / version
    if entry.exists():
        raise SystemExit(f"{entry}: exists already; what was released is never made again")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / version
        made.mkdir()
        (made / "expected.json").write_text(
            json.dumps(write_entry(made, version), indent=1, sort_keys=True) + "\n"
        )
        shutil.copytree(made, entry)
    return entry


def write_entry(folder: Path, version: str) -> dict[str, object]:
    producer = Producer()
    first, second = producer.release_keys
    reviewer, builder = PrivateKey.generate(), PrivateKey.generate()
    named = {"producer": first, "second": second, "reviewer": reviewer, "builder": builder}
    for name, key in {**named, "stranger": PrivateKey.generate()}.items():
        (folder / f"{name}.pem").write_bytes(key.public.pem)

    plain = make_bundle(first, layer=b"layer of " + version.encode(), program=b"#!/usr/bin/env python3\n")
    plain = plain.with_manifest(version=version.removeprefix("v"))
    rooted = carrying(plain, producer.metadata(plain), first)
    older = plain.with_manifest(sequence=plain.manifest.sequence - 1)
    pack(plain.write(folder / "key-signed.tar"))
    pack(write_by(plain, folder / "two-keys.tar", first, second))
    pack(carrying(older, producer.metadata(older), first).write(folder / "older.tar"))
    tar = rooted.write(folder / "root-signed.tar")

    (folder / "1.root.json").write_bytes(producer.root())
    (folder / "2.root.json").write_bytes(producer.root(2))
    (folder / "revoked.root.json").write_bytes(producer.root(2, release=[second]))
    identity = rooted.manifest.to_bytes()
    site = Site(folder)
    site.init(producer.root(), now=NOW)
    site.verify(tar)
    policy = SitePolicy(
        site_keys=(reviewer.public.pem.decode(),), site_signatures=1,
        builder_keys=(builder.public.pem.decode(),), builder_signatures=1,
    )  # fmt: skip
    set_policy(site.folder, policy, NOW + timedelta(days=1))
    (folder / "trust" / ".lock").unlink()
    write_site_signature(tar, identity, reviewer)
    write_builder_signature(tar, identity, builder)
    pack(tar)

    write_model(folder / "model", first)
    write_router(folder / "router", first)
    return {
        "digest": plain.attachments.bundle,
        "sequence": plain.manifest.sequence,
        "bundles": ["key-signed", "root-signed", "two-keys"],
        "models": ["model", "router"],
        "clock": (NOW + timedelta(days=2)).isoformat(),
    }


def pack(tar: Path) -> None:
    """Compress `tar`; a tar of small files is mostly padding."""
    tar.with_name(f"{tar.name}.gz").write_bytes(gzip.compress(tar.read_bytes(), mtime=0))
    tar.unlink()


def write_by(bundle: SmallBundle, path: Path, *keys: PrivateKey) -> Path:
    write_bundle_tar(
        path, sign_head(bundle.manifest, bundle.attachments, *keys), bundle.files, QuietProgress()
    )
    return path


def write_model(folder: Path, key: PrivateKey) -> None:
    folder.mkdir()
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    header += b" " * (-len(header) % 8)
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    (folder / "config.json").write_text('{"architectures": ["Small"]}\n')
    sign_model_folder(folder, key)


def write_router(folder: Path, key: PrivateKey) -> None:
    folder.mkdir()
    draw = np.random.Generator(np.random.PCG64(0))
    inputs = Inputs(
        draw.standard_normal((40, 8), dtype=np.float32), draw.standard_normal((40, 8), dtype=np.float32)
    )
    scores = draw.random((40, 2), dtype=np.float32)
    artifact = Artifact(
        name="small",
        strategy="ridge",
        models=("large", "small"),
        costs={"large": 10.0, "small": 1.0},
        embedder=EmbedderIdentity("small", f"sha256:{'0' * 64}", 8, "head-tail/v1"),
        surface="surface/v1",
        params={"alpha": 1.0},
        training={"seed": 0},
        metrics={},
        trained_prompts=np.arange(3, dtype=np.uint64),
        weights=strategy("ridge").fit(inputs, scores, {"alpha": 1.0}, seed=0),
    )
    for name, raw in dump_artifact(artifact).items():
        (folder / name).write_bytes(raw)
    sign_model_folder(folder, key)


if __name__ == "__main__":
    sys.stdout.write(f"{make(*sys.argv[1:])}\n")
