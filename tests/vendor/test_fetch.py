"""The whole fetch: a fake index and mirror through the real pip and apt; then the real pool without a network."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from routeiq_appliance.cli.main import main
from routeiq_vendor.documents import write_document
from routeiq_vendor.errors import DownloadError, LockError, PoolError
from routeiq_vendor.export.run import Exporter
from routeiq_vendor.fetch import Fetched, Purpose, fetch, install_lock
from routeiq_vendor.npm.lock import ConsoleLock
from routeiq_vendor.pool import Pool, digest_of
from routeiq_vendor.renew import Kind, renew
from routeiq_vendor.weights.lock import WeightsRequest, WeightsRequests
from routeiq_vendor.weights.renew import renew_weights
from routeiq_vendor.wheels.store import WheelStore
from routeiq_vendor.workspace import Workspace

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt")

DEBS_TOML = """\
suite = "bookworm"
arch = "amd64"
[images.gateway]
roots = ["python"]
drop = ["debconf"]
unused = []
"""


@pytest.fixture
def workspace(
    tmp_path: Path, index: Path, mirror: Any, wheel_maker: Callable[..., Path], progress: Any
) -> Workspace:
    """A checkout whose locks were made from the fake places; its pool is empty again afterwards."""
    locks = tmp_path / "vendor" / "locks"
    locks.mkdir(parents=True)
    for name in ("gateway", "build", "demo", "node", "test"):
        wheel = wheel_maker(index, f"{name}-lib", "1.0")
        pin = f"{name}-lib==1.0 --hash=sha256:{digest_of(wheel)}\n"
        (locks / f"{name}.txt").write_text(pin, encoding="ascii")
    (locks / "export.txt").write_text("", encoding="ascii")
    (tmp_path / "ui").mkdir()
    (tmp_path / "ui" / "package-lock.json").write_bytes(b"{}")
    npm_lock = hashlib.sha256(b"{}").hexdigest()
    write_document(locks / "ui.lock.json", ConsoleLock(npm_lock=npm_lock, packages={}))
    mirror.publish("debconf", "1")
    mirror.publish("python", "1", depends="debconf")
    (locks / "debs.toml").write_text(DEBS_TOML, encoding="ascii")
    workspace = replace(Workspace.find({}, tmp_path), apt_sources=mirror.sources)

    wheel_maker(index, "tiny", "1.0", files={"tiny/model.safetensors": b"tensors"})
    request = WeightsRequest(
        distribution="tiny",
        version="1.0",
        licence="MIT",
        files={"model.safetensors": "tiny/model.safetensors"},
    )
    requests = WeightsRequests(models={"tiny": request}, demo={"toy": request})
    workspace.pool.root.mkdir(parents=True)
    store = WheelStore(workspace.pool, workspace.torch_index)
    exporter = Exporter(workspace.pool, store, locks / "export.txt", workspace.build)
    lock = renew_weights(requests, wheels=store, pool=workspace.pool, exporter=exporter, progress=progress)
    write_document(locks / "weights.lock.json", lock)
    changes = renew([Kind.DEBS], workspace, progress)
    assert [(change.lock, change.name, change.old, change.new) for change in changes] == [
        ("debs.lock.json", "python", "-", "1")
    ]
    shutil.rmtree(workspace.pool.root)
    progress.tasks.clear()
    return workspace


def describe(found: Fetched) -> dict[str, Any]:
    return {
        "images": {image: [deb.name for deb in entry.debs] for image, entry in found.images.items()},
        "wheels": {lock: [wheel.filename for wheel in wheels] for lock, wheels in found.wheels.items()},
        "models": {
            name: sorted(model.files) for name, model in {**found.models, **found.demo_models}.items()
        },
    }


def test_pool_is_filled_once_and_then_needs_nobody(
    workspace: Workspace, index: Path, mirror: Any, progress: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = fetch(list(Purpose), workspace, progress, offline=False, release=True)
    assert describe(found) == {
        "images": {"gateway": ["python"]},
        "wheels": {
            "gateway": ["gateway_lib-1.0-py3-none-any.whl"],
            "build": ["build_lib-1.0-py3-none-any.whl"],
            "demo": ["demo_lib-1.0-py3-none-any.whl"],
            "node": ["node_lib-1.0-py3-none-any.whl"],
            "test": ["test_lib-1.0-py3-none-any.whl"],
        },
        "models": {"tiny": ["model.safetensors"], "toy": ["model.safetensors"]},
    }
    for entry in [
        *found.images["gateway"].debs,
        *found.wheels["gateway"],
        *found.models["tiny"].files.values(),
    ]:
        assert digest_of(entry.path) == entry.sha256
        assert entry.path.stat().st_size == entry.size

    shutil.rmtree(index)
    shutil.rmtree(mirror.root)
    monkeypatch.setenv("PATH", "")  # no apt-get either
    progress.tasks.clear()
    for offline in (False, True):
        assert fetch(list(Purpose), workspace, progress, offline=offline, release=True) == found
    assert progress.names == []


def test_locks_that_were_used_are_listed_with_their_digests(workspace: Workspace, progress: Any) -> None:
    found = fetch([Purpose.BUNDLE], workspace, progress, offline=False, release=True)
    assert [lock.path for lock in found.locks] == [
        "vendor/locks/build.txt",
        "vendor/locks/debs.lock.json",
        "vendor/locks/export.txt",
        "vendor/locks/gateway.txt",
        "vendor/locks/node.txt",
        "vendor/locks/ui.lock.json",
        "vendor/locks/weights.lock.json",
    ]
    for lock in found.locks:
        assert lock.sha256 == digest_of(workspace.root / lock.path)


def test_bundle_does_not_bring_what_only_the_demo_uses(workspace: Workspace, progress: Any) -> None:
    found = fetch([Purpose.BUNDLE], workspace, progress, offline=False, release=True)
    assert set(found.wheels) == {"gateway", "build", "node"}
    assert found.demo_models == {}


def test_empty_pool_offline_is_refused_and_stays_empty(workspace: Workspace, progress: Any) -> None:
    with pytest.raises(PoolError, match="OFFLINE=1 forbids to fetch: python 1"):
        fetch([Purpose.BUNDLE], workspace, progress, offline=True, release=False)
    assert not (workspace.pool.root / "sha256").exists()


def test_drift_is_reported_with_the_lock_that_was_used(
    workspace: Workspace, mirror: Any, progress: Any
) -> None:
    mirror.publish("python", "2", depends="debconf")
    with pytest.raises(DownloadError, match="^python 1: in none of the pool and the mirror$"):
        fetch([Purpose.BUNDLE], workspace, progress, offline=False, release=True)
    found = fetch([Purpose.BUNDLE], workspace, progress, offline=False, release=False)
    assert [(move.name, move.locked, move.used) for move in found.drift] == [("python", "1", "2")]
    assert [deb.version for deb in found.images["gateway"].debs] == ["2"]
    assert "build/locks/debs.lock.json" in [lock.path for lock in found.locks]


def test_lock_refuses_a_drop_that_leaves_a_library_missing(
    workspace: Workspace, mirror: Any, progress: Any
) -> None:
    elf = Path(sys.executable).resolve().read_bytes()
    mirror.publish("python", "2", depends="debconf", files={"usr/bin/python": elf})
    before = (workspace.locks / "debs.lock.json").read_bytes()
    with pytest.raises(LockError, match=r"^debs\.toml: image gateway: usr/bin/python needs .*libc\.so\.6"):
        renew([Kind.DEBS], workspace, progress)
    assert (workspace.locks / "debs.lock.json").read_bytes() == before


def test_command_refuses_offline_with_an_empty_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUTEIQ_POOL", str(tmp_path / "pool"))
    monkeypatch.setenv("OFFLINE", "1")
    result = CliRunner().invoke(main, ["vendor", "fetch"])
    assert result.exit_code == 1
    assert "error: not in the pool, and OFFLINE=1 forbids to fetch: base-files" in result.stderr
    assert "hint: run `make fetch` once with a network" in result.stderr
    assert result.stdout == ""


def test_command_refuses_an_unknown_purpose() -> None:
    assert CliRunner().invoke(main, ["vendor", "fetch", "--for", "fun"]).exit_code == 2


def test_lock_is_installed_from_the_pool_once(
    workspace: Workspace, tmp_path: Path, index: Path, progress: Any
) -> None:
    home = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    install_lock("demo", python, workspace, progress, offline=False)
    listed = [sys.executable, "-m", "pip", "--python", str(python), "list", "--format", "freeze"]
    assert "demo-lib==1.0" in subprocess.run(listed, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(index)
    progress.tasks.clear()
    install_lock("demo", python, workspace, progress, offline=True)
    assert progress.names == []


def test_wheels_that_made_the_first_environment_are_not_fetched_again(
    workspace: Workspace, index: Path, progress: Any
) -> None:
    workspace.bootstrap.mkdir(parents=True)
    shutil.move(index / "build_lib-1.0-py3-none-any.whl", workspace.bootstrap)
    found = fetch([Purpose.BUNDLE], workspace, progress, offline=False, release=True)
    (wheel,) = found.wheels["build"]
    assert (workspace.bootstrap / wheel.filename).samefile(wheel.path)


@pytest.mark.e2e
def test_full_pool_needs_no_network() -> None:
    # Fills the real pool first if need be; then the same in a namespace that has no interface (A2).
    command = [str(Path(sys.executable).with_name("routeiq")), "vendor", "fetch", "--for", "all", "--json"]
    filled = subprocess.run(command, check=True, capture_output=True, text=True)
    sealed = subprocess.run(
        ["unshare", "--map-root-user", "--net", *command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OFFLINE": "1"},
    )
    assert sealed.stdout == filled.stdout
    assert sealed.stderr == ""


def test_pool_of_another_place_is_used_when_set(tmp_path: Path) -> None:
    workspace = Workspace.find({"ROUTEIQ_POOL": str(tmp_path / "elsewhere")}, tmp_path)
    assert isinstance(workspace.pool, Pool)
    assert workspace.pool.root == tmp_path / "elsewhere"
    assert Workspace.find({}, tmp_path).pool.root == tmp_path / "build" / "pool"
