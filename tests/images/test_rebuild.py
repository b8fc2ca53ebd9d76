"""A rebuild runs what the verified inputs hold and nothing else, and compares bytes (A13)."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.images.rebuild_parts import WHEELS, bundle_of, inputs_entry, write_inputs_tar
from tests.signing.conftest import SmallBundle, sha256

from routeiq_images.compare.rebuild import Rebuilt, differences, rebuild
from routeiq_images.compare.rebuild_inputs import Inputs, unpack_inputs
from routeiq_images.compare.rebuild_sandbox import ISOLATED, NOT_ISOLATED, Sandbox, build_from_inputs
from routeiq_images.errors import ImagesError
from routeiq_signing.errors import DocumentError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.strict_json import dumps

Change = Callable[[SmallBundle], SmallBundle]


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    return PrivateKey.generate()


class Place:
    """A bundle with its inputs in a folder, and a build that makes what it is told to."""

    def __init__(self, path: Path, key: PrivateKey) -> None:
        self.path, self.key = path, key
        self.inputs = path / "x-inputs.tar"
        self.work = path / "work"
        self.work.mkdir()
        self.bundle = bundle_of(key, {"etc/a": b"1\n"}, inputs=write_inputs_tar(self.inputs))
        self.tar = self.bundle.write(path / "x.tar")
        self.seen: dict[str, Any] = {}

    def rebuild(self, change: Change = lambda bundle: bundle, **options: Any) -> Rebuilt:
        def build(
            sandbox: Sandbox,
            scratch: Path,
            source: Path,
            wheels: Path,
            pool: Path,
            _progress: Any,
            **more: Any,
        ) -> Path:
            self.seen = {
                "source": {p.relative_to(source).as_posix(): p for p in source.rglob("*") if p.is_file()},
                "modes": {p.name: p.stat().st_mode & 0o777 for p in source.rglob("*") if p.is_file()},
                "wheels": {p.name: p.read_bytes() for p in wheels.iterdir()},
                "pool": {p.name for p in (pool / "sha256").iterdir()},
                "environment": dict(sandbox.environment),
                "scratch": scratch,
                **more,
            }
            out = scratch / "out"
            made = change(self.bundle).signed_by(PrivateKey.generate())
            made.write(out / "y.tar")
            (out / "y-inputs.tar").write_bytes(b"")
            (out / "routeiq.pub").write_bytes(made.key.public.pem)
            return out

        return rebuild(
            self.tar,
            self.inputs,
            key=self.key.public,
            environ={"PATH": "/nowhere", "SECRET": "s", "TZ": "Asia/Tokyo"},
            progress=QuietProgress(),
            work_dir=self.work,
            build=build,
            **options,
        )


@pytest.fixture
def place(tmp_path: Path, key: PrivateKey) -> Place:
    return Place(tmp_path, key)


def test_identical_bytes_are_identical(place: Place) -> None:
    made = place.rebuild()
    assert made.identical
    assert made.digest == f"sha256:{sha256(place.bundle.manifest.to_bytes())}"
    assert made.differs == ()
    assert made.identity == place.bundle.manifest.to_bytes()
    assert list(place.work.iterdir()) == []


def test_the_build_sees_the_inputs_and_nothing_of_the_host(place: Place) -> None:
    place.rebuild()
    seen = place.seen
    assert set(seen["source"]) == {
        "Makefile",
        "appliance/run",
        "vendor/locks/build.txt",
        "build/locks/debs.lock.json",
    }
    assert seen["modes"]["run"] == 0o755
    assert seen["wheels"] == WHEELS
    assert sha256(b"all:\n") in seen["pool"]
    assert "SECRET" not in seen["environment"]
    assert seen["environment"]["TZ"] == "Asia/Tokyo"
    assert seen["environment"]["HOME"] == str(seen["scratch"])
    assert seen["epoch"] == 1767225600  # the bundle's own time
    assert seen["strict"]


def test_a_different_result_is_kept_and_its_difference_named(place: Place) -> None:
    made = place.rebuild(
        lambda bundle: bundle_of(place.key, {"etc/a": b"2\n"}, inputs=bundle.manifest.inputs)
    )
    assert not made.identical
    assert any(line.startswith("image routeiq-gateway: sha256:") for line in made.differs)
    assert made.kept is not None
    assert made.kept.parent == place.work
    assert "NOT IDENTICAL" in made.to_text()
    assert made.to_json()["identical"] is False


def test_every_field_of_the_identity_is_compared(place: Place) -> None:
    one = place.bundle.manifest
    for name, value in (
        ("sequence", 8),
        ("created", "2026-01-02T00:00:00Z"),
        ("version", "0.2.0"),
        ("drift", ("a 1 -> 2",)),
    ):
        assert differences(one, replace(one, **{name: value})), name  # type: ignore[arg-type]
    other = replace(one, inputs=replace(one.inputs, sha256="1" * 64), locks=())
    said = differences(one, other)
    assert any(line.startswith("inputs tar: ") for line in said)
    assert any(line.startswith("lock vendor/locks/gateway.txt: ") for line in said)


def test_the_result_can_be_kept(place: Place, tmp_path: Path) -> None:
    made = place.rebuild(keep=tmp_path / "kept" / "again.tar")
    assert made.kept == tmp_path / "kept" / "again.tar"
    assert made.kept.is_file()


def test_a_bundle_that_does_not_verify_is_not_built(place: Place) -> None:
    place.tar.write_bytes(place.tar.read_bytes().replace(b"read me", b"read mE"))
    with pytest.raises(VerificationError):
        place.rebuild()
    assert place.seen == {}


def test_inputs_of_another_bundle_are_not_built(place: Place) -> None:
    write_inputs_tar(place.inputs, debs={"a=1": "0" * 64})
    with pytest.raises(
        ImagesError, match=r"bytes, the bundle's inputs have|not that of the bundle's inputs"
    ) as caught:
        place.rebuild()
    assert place.bundle.manifest.inputs.sha256 in str(caught.value.hint)
    assert place.seen == {}


@pytest.mark.parametrize("at", [0, 130, 600, -2000, -1])
def test_a_changed_byte_of_the_inputs_is_refused(place: Place, at: int) -> None:
    raw = bytearray(place.inputs.read_bytes())
    raw[at] ^= 1
    place.inputs.write_bytes(raw)
    with pytest.raises(ImagesError, match=r"x-inputs\.tar"):
        place.rebuild()
    assert place.seen == {}


def test_a_truncated_inputs_tar_is_refused(place: Place) -> None:
    place.inputs.write_bytes(place.inputs.read_bytes()[:-512])
    with pytest.raises(ImagesError, match="bytes, the bundle's inputs have"):
        place.rebuild()


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "routeiq.inputs/v9"},
        {"wheels": {"../x.whl": "0" * 64}},
        {"wheels": {"x.whl": "short"}},
        {"source": {"../x": {"sha256": "0" * 64, "executable": False}}},
        {"source": {"x": {"sha256": "0" * 64}}},
        {"source": {"x": {"sha256": "0" * 64, "executable": 1}}},
        {"source": []},
        {"locks": {"/etc/passwd": "0" * 64}},
    ],
    ids=["schema", "wheel outside", "digest", "source outside", "no mode", "mode", "no object", "absolute"],
)
def test_a_document_that_breaks_its_rules_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    entry = write_inputs_tar(tmp_path / "i.tar", **changes)
    with pytest.raises(ImagesError, match=r"inputs\.json"):
        unpack_inputs(tmp_path / "i.tar", entry, tmp_path / "pool", QuietProgress())
    assert not (tmp_path / "x").exists()


def test_a_content_that_the_inputs_lack_is_named(place: Place) -> None:
    entry = write_inputs_tar(place.inputs, leave_out=sha256(b"all:\n"))
    place.bundle = place.bundle.with_manifest(inputs=entry)
    place.tar = place.bundle.write(place.tar)
    with pytest.raises(ImagesError, match="Makefile: named in inputs.json, but not in the inputs"):
        place.rebuild()


def test_a_member_that_is_no_content_has_no_place(tmp_path: Path) -> None:
    from routeiq_signing.bundle_tar import write_tar

    path = tmp_path / "i.tar"
    write_tar(path, {"inputs.json": dumps({"a": 1}), "evil.sh": b"x"}, QuietProgress())
    with pytest.raises(ImagesError, match=r"evil\.sh: has no place in it"):
        unpack_inputs(path, inputs_entry(path), tmp_path / "pool", QuietProgress())


def test_older_inputs_without_locks_are_read() -> None:
    document = {"schema": "routeiq.inputs/v1", "wheels": {}, "source": {}, "other": {}}
    assert Inputs.from_bytes(dumps(document)).locks == {}
    with pytest.raises(DocumentError):
        Inputs.from_bytes(b"[]")


def test_the_network_is_cut_off_or_said_not_to_be(tmp_path: Path) -> None:
    sandbox = Sandbox.find(tmp_path, os.environ)
    assert sandbox.network == (ISOLATED if sandbox.prefix else NOT_ISOLATED)
    if not sandbox.prefix:
        pytest.skip("this kernel gives no network namespace")
    links = tmp_path / "links"
    sandbox.run("look", ["/bin/sh", "-c", f"cat /proc/net/dev > {links}"], tmp_path)
    names = [line.partition(":")[0].strip() for line in links.read_text().splitlines()[2:]]
    assert names in (["lo"], [])


def test_a_kernel_without_namespaces_is_said(tmp_path: Path) -> None:
    sandbox = Sandbox((), {})
    assert "NOT CUT OFF" in sandbox.network
    sandbox.run("nothing", ["/bin/true"], tmp_path)


def test_a_tool_that_fails_ends_the_rebuild(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="build the bundle: exit 3"):
        Sandbox((), {}).run("build the bundle", ["/bin/sh", "-c", "exit 3"], tmp_path)


def test_inputs_without_build_tools_are_refused(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with pytest.raises(ImagesError, match="hold no build tools"):
        build_from_inputs(
            *(Sandbox((), {}), tmp_path, tmp_path, tmp_path / "wheels", tmp_path, QuietProgress()),
            epoch=0,
            strict=True,
        )


def test_what_git_does_not_know_is_not_in_a_bundle(tmp_path: Path) -> None:
    from routeiq_images.materials import source_files

    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "--quiet"], check=True)
    (tmp_path / "known.py").write_text("1")
    (tmp_path / "unknown.py").write_text("2")
    subprocess.run([*git, "add", "known.py"], check=True)
    assert list(source_files(tmp_path)) == ["known.py"]


def test_what_is_edited_during_a_build_is_not_in_it(tmp_path: Path) -> None:
    from routeiq_images.materials import Materials, ModelFolder, freeze
    from routeiq_vendor.pool import Pool
    from routeiq_vendor.workspace import Workspace

    root, weights = tmp_path / "root", tmp_path / "pool" / "weights"
    (root / "router" / "pretrained" / "m").mkdir(parents=True)
    router = root / "router" / "pretrained" / "m" / "router.json"
    router.write_text("before")
    (root / "run").write_text("before")
    (root / "run").chmod(0o700)
    models = (
        ModelFolder("m", "router", "routers/m", {"router.json": router}, baked=True),
        ModelFolder("e", "embedder", "e", {"w": weights}, baked=True),
    )
    fetched: Any = None
    before = Materials(Workspace(root, Pool(tmp_path / "pool")), fetched, models, tmp_path)
    frozen = freeze(before, tmp_path / "copy")
    router.write_text("after")
    (root / "run").write_text("after")
    (root / "new").write_text("after")
    assert frozen.source == tmp_path / "copy"
    assert {
        path: (frozen.source / path).read_text() for path in ("run", "router/pretrained/m/router.json")
    } == {
        "run": "before",
        "router/pretrained/m/router.json": "before",
    }
    assert (frozen.source / "run").stat().st_mode & 0o777 == 0o755
    assert not (frozen.source / "new").exists()
    assert frozen.models[0].files["router.json"].read_text() == "before"
    assert frozen.models[1].files["w"] == weights
