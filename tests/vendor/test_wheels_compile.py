"""Locks are renewed by the real pip-compile over the fake index."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routeiq_vendor.errors import LockError
from routeiq_vendor.pool import Pool, digest_of
from routeiq_vendor.wheels.compile import LOCKS, LockCompiler
from routeiq_vendor.wheels.lock import TARGET_PYTHON
from routeiq_vendor.wheels.store import WheelStore


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
    path.chmod(0o755)
    return path


@pytest.fixture
def compiler(tmp_path: Path, pool: Pool, index: Path, wheel_maker: Callable[..., Path]) -> LockCompiler:
    """One requirement per lock, `gateway.txt` at 1.0, and an index that has 2.0."""
    locks, build = tmp_path / "locks", tmp_path / "build"
    locks.mkdir()
    for name in LOCKS:
        (locks / f"{name}.in").write_text(f"{name}-lib\n", encoding="ascii")
        wheel = wheel_maker(index, f"{name}-lib", "1.0")
        wheel_maker(index, f"{name}-lib", "2.0")
        pin = f"{name}-lib==1.0 --hash=sha256:{digest_of(wheel)}\n"
        (locks / f"{name}.txt").write_text(pin, encoding="ascii")
    # The environment of pip-compile as if made before: the one that runs the tests.
    home = build / "venvs" / "lock"
    script(home / "bin" / "pip-compile", f'exec {sys.executable} -m piptools compile "$@"')
    (home / "routeiq-lock").write_text(digest_of(locks / "build.txt"), encoding="ascii")
    python = script(tmp_path / "python3", f"echo {TARGET_PYTHON}")
    return LockCompiler(locks, build, WheelStore(pool, "file:///nowhere"), "file:///nowhere", str(python))


def test_renewal_upgrades_every_lock_and_says_what_moved(compiler: LockCompiler, progress: Any) -> None:
    changes = compiler.renew(progress)
    assert changes == {name: [(f"{name}-lib", "1.0", "2.0")] for name in LOCKS}
    text = (compiler.locks / "gateway.txt").read_text(encoding="ascii")
    assert "gateway-lib==2.0" in text
    assert "--hash=sha256:" in text
    assert "file:" not in text


def test_one_distribution_can_be_renewed_alone(compiler: LockCompiler, progress: Any) -> None:
    changes = compiler.renew(progress, only=["gateway-lib"])
    assert changes["gateway"] == [("gateway-lib", "1.0", "2.0")]
    assert changes["build"] == []


def test_failure_in_the_last_lock_leaves_all_as_they_were(compiler: LockCompiler, progress: Any) -> None:
    (compiler.locks / "export.in").write_text("not-on-the-index\n", encoding="ascii")
    before = {path.name: path.read_bytes() for path in compiler.locks.iterdir()}
    with pytest.raises(LockError, match=r"^export\.in: "):
        compiler.renew(progress)
    assert {path.name: path.read_bytes() for path in compiler.locks.iterdir()} == before


def test_other_python_than_the_images_is_refused(
    compiler: LockCompiler, progress: Any, tmp_path: Path
) -> None:
    script(tmp_path / "python3", "echo 3.11.9")
    with pytest.raises(LockError, match=r"is Python 3\.11\.9, the images carry 3\.11\.2$"):
        compiler.renew(progress)
