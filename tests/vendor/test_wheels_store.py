"""Wheels come from a fake index through the real pip (A2)."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routeiq_vendor.errors import DownloadError, LockError, PoolError
from routeiq_vendor.pool import Pool, digest_of
from routeiq_vendor.wheels.lock import Pin
from routeiq_vendor.wheels.store import WheelStore, load_lock

Maker = Callable[..., Path]


@pytest.fixture
def store(pool: Pool) -> WheelStore:
    return WheelStore(pool, torch_index="file:///nowhere")


def pin(wheel: Path) -> Pin:
    name, version, *_rest = wheel.name.split("-")
    return Pin(name, version, frozenset({digest_of(wheel)}))


def test_wheel_is_fetched_once(store: WheelStore, index: Path, wheel_maker: Maker, progress: Any) -> None:
    wheel = wheel_maker(index, "demo", "1.0")
    pins = [pin(wheel)]
    (found,) = store.fetch(pins, "demo.txt", progress, offline=False)
    assert (found.filename, found.sha256, found.size) == (wheel.name, digest_of(wheel), wheel.stat().st_size)
    shutil.rmtree(index)  # nobody to ask any more
    assert store.fetch(pins, "demo.txt", progress, offline=False) == [found]
    assert store.fetch(pins, "demo.txt", progress, offline=True) == [found]


def test_wheel_with_another_hash_is_refused(
    store: WheelStore, pool: Pool, index: Path, wheel_maker: Maker, progress: Any
) -> None:
    wheel_maker(index, "demo", "1.0", files={"demo.py": b"evil"})
    good = Pin("demo", "1.0", frozenset({"a" * 64}))
    with pytest.raises(DownloadError, match=r"demo 1\.0"):
        store.fetch([good], "demo.txt", progress, offline=False)
    assert not list((pool.root / "sha256").glob("*")) if (pool.root / "sha256").exists() else True


def test_offline_names_everything_that_is_missing(store: WheelStore, progress: Any) -> None:
    pins = [Pin("b", "2", frozenset({"b" * 64})), Pin("a", "1", frozenset({"a" * 64}))]
    with pytest.raises(
        PoolError, match=r"^demo.txt: not in the pool, and OFFLINE=1 forbids to fetch: b 2, a 1$"
    ):
        store.fetch(pins, "demo.txt", progress, offline=True)


def test_what_arrived_before_a_failure_is_kept(
    store: WheelStore, index: Path, wheel_maker: Maker, progress: Any
) -> None:
    first = wheel_maker(index, "first", "1.0")
    torch = Pin("torch", "2.0+cpu", frozenset({"a" * 64}))
    with pytest.raises(DownloadError, match=r"torch 2\.0\+cpu"):
        store.fetch([pin(first), torch], "export.txt", progress, offline=False)
    found, missing = store.find([pin(first), torch])
    assert [wheel.name for wheel in found] == ["first"]
    assert missing == [torch]
    assert not list(store.find([])[0])


def test_local_version_comes_from_the_fallback_index_when_the_configured_places_lack_it(
    pool: Pool,
    index: Path,
    wheel_maker: Maker,
    progress: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    simple = tmp_path / "pytorch" / "torch"
    simple.mkdir(parents=True)
    wheel = wheel_maker(simple, "torch", "2.0+cpu")
    (simple / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>', encoding="ascii")
    # pip ignores every index under PIP_NO_INDEX; an empty one in its place gives the same isolation.
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "empty").as_uri())
    store = WheelStore(pool, torch_index=(tmp_path / "pytorch").as_uri())
    (found,) = store.fetch(
        [Pin("torch", "2.0+cpu", frozenset({digest_of(wheel)}))], "x", progress, offline=False
    )
    assert found.filename == "torch-2.0+cpu-py3-none-any.whl"


def test_lost_index_costs_a_download_and_nothing_else(
    store: WheelStore, pool: Pool, index: Path, wheel_maker: Maker, progress: Any
) -> None:
    pins = [pin(wheel_maker(index, "demo", "1.0"))]
    store.fetch(pins, "demo.txt", progress, offline=False)
    for damage in (b"", b"[]", b'{"demo-1.0-py3-none-any.whl": "../../etc/passwd"}'):
        (pool.root / "index" / "wheels.json").write_bytes(damage)
        assert store.find(pins) == ([], pins)
        assert len(store.fetch(pins, "demo.txt", progress, offline=False)) == 1


def test_index_cannot_pass_another_wheel_off_as_the_locked_one(
    store: WheelStore, pool: Pool, wheel_maker: Maker, tmp_path: Path
) -> None:
    evil = wheel_maker(tmp_path, "demo", "1.0", files={"demo.py": b"evil"})
    store.adopt([evil])
    wanted = Pin("demo", "1.0", frozenset({"a" * 64}))
    assert store.find([wanted]) == ([], [wanted])


def test_wheels_of_the_inputs_are_adopted_under_their_names(
    store: WheelStore, wheel_maker: Maker, tmp_path: Path, progress: Any
) -> None:
    wheel = wheel_maker(tmp_path, "demo", "1.0")
    store.adopt([wheel])
    assert store.fetch([pin(wheel)], "demo.txt", progress, offline=True)[0].filename == wheel.name


def test_absent_lock_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(LockError, match=r"^gateway.txt: no such lock$") as caught:
        load_lock(tmp_path / "gateway.txt")
    assert caught.value.hint == "run `make lock`"


def test_lock_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gateway.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(LockError, match=r"^gateway.txt: not UTF-8 text$"):
        load_lock(tmp_path / "gateway.txt")
