import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from routeiq_signing.files import write_atomic
from routeiq_vendor.errors import PoolError
from routeiq_vendor.pool import Pool

DATA = b"weights"
DIGEST = hashlib.sha256(DATA).hexdigest()
OTHER = hashlib.sha256(b"other").hexdigest()


def leftovers(pool: Pool) -> list[str]:
    return [path.name for path in pool.root.rglob("*") if path.is_file()]


def test_file_is_found_by_its_digest_and_cannot_be_written(pool: Pool, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    assert pool.add_file(source) == DIGEST
    assert pool.has(DIGEST)
    assert pool.path(DIGEST).read_bytes() == DATA
    assert pool.path(DIGEST).stat().st_mode & 0o777 == 0o444
    assert pool.size(DIGEST) == len(DATA)


def test_other_content_than_expected_is_refused_and_leaves_nothing(pool: Pool) -> None:
    with pytest.raises(PoolError, match=f"wheel: sha256 is {OTHER}, the lock says {DIGEST}"):
        pool.add_stream([b"other"], DIGEST, what="wheel")
    assert leftovers(pool) == []


def test_interrupted_stream_leaves_nothing(pool: Pool) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"wei"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        pool.add_stream(chunks(), DIGEST)
    assert leftovers(pool) == []


def test_missing_content_names_the_next_step(pool: Pool) -> None:
    with pytest.raises(PoolError, match="not in the pool") as caught:
        pool.path(DIGEST)
    assert caught.value.hint == "run `make fetch`"


@pytest.mark.parametrize("name", ["", "../../etc/passwd", DIGEST.upper(), DIGEST[:-1], DIGEST + "0"])
def test_what_is_no_digest_is_refused(pool: Pool, name: str) -> None:
    with pytest.raises(PoolError, match="not a SHA-256 digest"):
        pool.has(name)


def test_changed_content_is_refused_and_removed(pool: Pool) -> None:
    pool.add_stream([DATA], DIGEST)
    path = pool.path(DIGEST)
    path.chmod(0o644)
    path.write_bytes(b"tampered")
    with pytest.raises(PoolError, match="the pool's file has changed"):
        pool.check(DIGEST)
    assert not pool.has(DIGEST)


def test_view_names_contents_and_replaces_old_names(pool: Pool, tmp_path: Path) -> None:
    pool.add_stream([DATA], DIGEST)
    view = tmp_path / "view"
    (view / "onnx").mkdir(parents=True)
    (view / "onnx" / "model.onnx").write_bytes(b"old")
    pool.view(view, {"onnx/model.onnx": DIGEST})
    assert (view / "onnx" / "model.onnx").read_bytes() == DATA


@pytest.mark.parametrize("name", ["../escape", "/etc/escape", "a/../../escape"])
def test_view_never_leaves_its_folder(pool: Pool, tmp_path: Path, name: str) -> None:
    pool.add_stream([DATA], DIGEST)
    with pytest.raises(PoolError, match="leaves the folder"):
        pool.view(tmp_path / "view", {name: DIGEST})
    assert not (tmp_path / "escape").exists()


def test_files_are_readable_by_all_under_any_umask(pool: Pool, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        pool.add_stream([DATA], DIGEST)
        write_atomic(tmp_path / "lock", DATA)
    finally:
        os.umask(before)
    assert pool.path(DIGEST).stat().st_mode & 0o777 == 0o444
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o644
