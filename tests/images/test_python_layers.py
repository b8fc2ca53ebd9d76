"""A2: wheels are installed by hash, without network, and leave nothing of the builder behind."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from routeiq_images.errors import ImagesError
from routeiq_images.python_layers import build_own_wheels, entry_script, install_wheels, prune

ROOT = Path(__file__).resolve().parents[2]


def make_wheel(folder: Path, name: str = "tool") -> str:
    """Write a wheel with a console script; return its pip line."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", "def main(): pass\n")
        wheel.writestr(f"{name}/extra.txt", "x")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def test_an_installed_wheel_names_nothing_of_the_builder(tmp_path: Path) -> None:
    line = make_wheel(tmp_path / "wheels")
    install_wheels([line], tmp_path / "wheels", tmp_path / "into")
    assert not (tmp_path / "into" / "bin").exists()
    record = (tmp_path / "into" / "tool-1.0.dist-info" / "RECORD").read_text()
    assert "tool/__init__.py," in record
    assert "bin/" not in record
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "into").rglob("*") if p.is_file())


def test_a_wheel_with_another_hash_stops_the_build(tmp_path: Path) -> None:
    line = make_wheel(tmp_path / "wheels").replace("sha256:", "sha256:0")[:-1]
    with pytest.raises(ImagesError, match="install wheels"):
        install_wheels([line], tmp_path / "wheels", tmp_path / "into")


def test_a_missing_wheel_stops_the_build(tmp_path: Path) -> None:
    make_wheel(tmp_path / "wheels")
    with pytest.raises(ImagesError, match="install wheels: .*other"):
        install_wheels([f"other==1.0 --hash=sha256:{'0' * 64}"], tmp_path / "wheels", tmp_path / "into")


def test_pruned_files_leave_the_record_too(tmp_path: Path) -> None:
    install_wheels([make_wheel(tmp_path / "wheels")], tmp_path / "wheels", tmp_path / "into")
    prune(tmp_path / "into", ["tool/*"], ["tool/__init__.py"])
    assert not (tmp_path / "into" / "tool" / "extra.txt").exists()
    assert (tmp_path / "into" / "tool" / "__init__.py").exists()
    assert "extra.txt" not in (tmp_path / "into" / "tool-1.0.dist-info" / "RECORD").read_text()


def test_our_own_wheels_are_the_same_each_time(tmp_path: Path) -> None:
    packages = [ROOT / "signing", ROOT / "router"]
    assert build_own_wheels(packages, tmp_path / "one") == build_own_wheels(packages, tmp_path / "two")


def test_the_entry_script_runs_isolated() -> None:
    assert entry_script("a.b:c").startswith(b"#!/usr/bin/python3.11 -I\n")
    compile(entry_script("a.b:c"), "script", "exec")
