"""Uses a compiled extension of an installed wheel as a real ELF file."""

import importlib.util
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from routeiq_vendor.errors import LockError
from routeiq_vendor.libraries import (
    Contents,
    deb_contents,
    missing_libraries,
    needed_libraries,
    wheel_contents,
)

Maker = Callable[..., Path]


@pytest.fixture(scope="module")
def elf() -> bytes:
    """A compiled extension of an installed wheel: needs libc.so.6."""
    spec = importlib.util.find_spec("safetensors._safetensors_rust")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_bytes()


def test_needed_names_are_read_from_a_real_file(elf: bytes) -> None:
    assert "libc.so.6" in needed_libraries(elf)


def test_damaged_elf_is_refused() -> None:
    with pytest.raises(LockError, match="not a readable ELF file"):
        needed_libraries(b"\x7fELF" + b"\xff" * 20)


def test_missing_library_is_found_until_a_package_brings_it(
    elf: bytes, deb_maker: Maker, tmp_path: Path
) -> None:
    app = deb_contents(deb_maker(tmp_path, "app", "1", files={"usr/lib/app.so": elf, "etc/app.conf": b"x"}))
    libc = deb_contents(
        deb_maker(tmp_path, "libc6", "1", files={"lib/x86_64-linux-gnu/libc.so.6": b"not looked at"})
    )
    others = Contents(frozenset(needed_libraries(elf)) - {"libc.so.6"}, {})
    assert missing_libraries([app, others]) == {"usr/lib/app.so": ["libc.so.6"]}
    assert missing_libraries([app, others, libc]) == {}


def test_unused_file_may_lack_its_library(elf: bytes, deb_maker: Maker, tmp_path: Path) -> None:
    app = deb_contents(deb_maker(tmp_path, "app", "1", files={"usr/lib/jit.so": elf, "usr/lib/core.so": elf}))
    assert list(missing_libraries([app], ["usr/lib/jit.so"])) == ["usr/lib/core.so"]


def test_wheels_are_looked_into(elf: bytes, wheel_maker: Maker, tmp_path: Path) -> None:
    wheel = wheel_maker(tmp_path, "demo", "1", files={"demo/_native.so": elf, "demo/readme.so.txt": b"no"})
    assert "libc.so.6" in missing_libraries([wheel_contents(wheel)])["demo/_native.so"]


@pytest.mark.parametrize("name", ["x.deb", "x.whl"])
def test_what_is_no_package_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"neither")
    with pytest.raises(LockError, match=f"^{name}: not a"):
        (deb_contents if name.endswith("deb") else wheel_contents)(path)


def test_empty_wheel_needs_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "e.whl", "w"):
        pass
    assert missing_libraries([wheel_contents(tmp_path / "e.whl")]) == {}
