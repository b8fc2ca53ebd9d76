"""The medium gives other bytes at the second reading: what is pushed or written is what was verified (A7, A9)."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.images.test_mirror import _clean_environ, key, manifest_of, run, tar  # noqa: F401  fixtures
from tests.signing.conftest import NOW, make_bundle
from tests.signing.rotting import RottingFile, rot

from routeiq_images.carry import apply
from routeiq_images.carry.apply import apply_delta, verify_delta
from routeiq_images.carry.carried_file import NamedFile
from routeiq_images.carry.delta_write import write_delta
from routeiq_images.errors import ImagesError
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.tar_format import BLOCK


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@pytest.fixture
def carried(tar: Path, tmp_path: Path) -> Path:  # noqa: F811
    return Path(shutil.copy(tar, tmp_path / "carried.tar"))


@pytest.mark.usefixtures("_clean_environ")
def test_toctou_what_mirror_pushes_is_what_it_verified(
    carried: Path,
    registry_server: Any,
    key: PrivateKey,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = manifest_of(carried)
    opened = rot(carried, monkeypatch)
    run(carried, registry_server, key, tmp_path)
    assert opened() == 1
    for (_, reference), raw in (registry_server.manifests | registry_server.blobs).items():
        assert reference in {digest(raw), bundle["version"], bundle["channel"]} or "sha256-" in reference
    assert registry_server.manifests["site/routeiq/routeiq-gateway", bundle["images"][0]["digest"]]
    monkeypatch.undo()
    with pytest.raises(VerificationError):  # the sensor works: on the medium is nothing good any more
        verify_bundle_file(carried, key=key.public, progress=QuietProgress())


@pytest.mark.usefixtures("_clean_environ")
def test_toctou_the_verified_copy_is_private(
    carried: Path,
    registry_server: Any,
    key: PrivateKey,  # noqa: F811
    tmp_path: Path,
) -> None:
    """Who else is on the host cannot change what was verified before it is pushed."""
    seen: list[int] = []

    class Look(QuietProgress):
        def task(self, what: str, total: int | None, unit: str = "B") -> Any:
            seen.extend(stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "work").iterdir())
            return super().task(what, total, unit)

    run(carried, registry_server, key, tmp_path, progress=Look())
    assert seen
    assert set(seen) == {0o700}


class RottingNamed(NamedFile):
    """`RottingFile` for the readers of deltas; headers stay: they are compared with the only one allowed."""

    def read(self, size: int | None = -1, /) -> bytes:
        at = self.tell()
        data = super().read(size)
        self._spoil(data, at)
        return data

    def readinto(self, buffer: Any, /) -> int:
        at = self.tell()
        count = super().readinto(buffer)
        self._spoil(bytes(memoryview(buffer)[:count]), at)
        return count

    def _spoil(self, data: bytes, at: int) -> None:
        if len(data) == BLOCK:
            return
        descriptor = os.open(self.path, os.O_WRONLY)
        os.pwrite(descriptor, bytes(byte ^ 0xFF for byte in data), at)
        os.close(descriptor)


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, Path, Path, PrivateKey]:
    """OLD, NEW and the delta between them."""
    signer = PrivateKey.generate()
    bundle = make_bundle(signer, layer=bytes(5000), program=b"verify\n")
    old = bundle.write(tmp_path / "old.tar")
    newer = make_bundle(signer, layer=bytes(5000), program=b"verify again\n").with_manifest(sequence=8)
    new = newer.write(tmp_path / "new.tar")
    delta = tmp_path / "new.delta"
    write_delta(old, new, delta, QuietProgress())
    return old, new, delta, signer


def rotting_open(path: Path, *, follow: bool = True) -> NamedFile:
    return RottingNamed(os.open(path, os.O_RDONLY), "rb", path)


def test_toctou_what_apply_writes_is_what_it_verified(
    three: tuple[Path, Path, Path, PrivateKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, delta, signer = three
    monkeypatch.setattr(apply, "open_file", rotting_open)
    before = old.read_bytes(), delta.read_bytes()
    content = before[1].index(b"verify again")
    out = tmp_path / "made.tar"
    apply_delta(old, delta, out, key=signer.public, progress=QuietProgress(), now=NOW)
    assert out.read_bytes() == new.read_bytes()
    assert delta.read_bytes()[content] == before[1][content] ^ 0xFF  # the sensor works
    assert old.read_bytes() != before[0]


def test_toctou_a_verdict_on_a_delta_says_nothing_of_later_bytes(
    three: tuple[Path, Path, Path, PrivateKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify DELTA` was good; apply judges again, and leaves nothing behind when it refuses."""
    old, _, delta, signer = three
    verify_delta(delta, old, key=signer.public, progress=QuietProgress(), now=NOW)
    raw = bytearray(delta.read_bytes())
    raw[len(raw) // 2] ^= 1
    delta.write_bytes(bytes(raw))
    out = tmp_path / "made.tar"
    with pytest.raises((VerificationError, ImagesError)):
        apply_delta(old, delta, out, key=signer.public, progress=QuietProgress(), now=NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.delta", "new.tar", "old.tar"]


def test_symlink_swap_of_what_apply_writes(
    three: tuple[Path, Path, Path, PrivateKey], tmp_path: Path
) -> None:
    """A link laid at the output is replaced; what it points to stays as it is."""
    old, new, delta, signer = three
    victim, out = tmp_path / "victim", tmp_path / "made.tar"
    victim.write_text("mine")
    out.symlink_to(victim)
    apply_delta(old, delta, out, key=signer.public, progress=QuietProgress(), now=NOW)
    assert victim.read_text() == "mine"
    assert not out.is_symlink()
    assert out.read_bytes() == new.read_bytes()


def test_a_rotting_file_gives_other_bytes_the_second_time(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    with RottingFile(path) as file:
        assert file.read(2) == b"ab"
        buffer = io.BytesIO(bytes(1)).getbuffer()
        assert file.readinto(buffer) == 1
        assert bytes(buffer) == b"c"
        file.seek(0)
        assert file.read(3) == bytes(byte ^ 0xFF for byte in b"abc")
