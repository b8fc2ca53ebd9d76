"""Debian packages come from a fake mirror through the real apt: fetched once, refused or moved when vanished."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from routeiq_vendor.debs.apt import Apt
from routeiq_vendor.debs.lock import DebsLock, DebsRequests, ImageRequest
from routeiq_vendor.debs.renew import resolve
from routeiq_vendor.debs.store import DebStore
from routeiq_vendor.documents import read_document, write_document
from routeiq_vendor.errors import DownloadError, PoolError
from routeiq_vendor.pool import Pool

pytestmark = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt")

REQUESTS = DebsRequests(
    suite="bookworm",
    arch="amd64",
    images={"gateway": ImageRequest(roots=["stdlib"], drop=["debconf"], unused=["usr/lib/x.*.so"])},
)


@pytest.fixture
def store(tmp_path: Path, pool: Pool, mirror: Any, progress: Any) -> DebStore:
    """A mirror with four packages, a lock made from it, and an empty pool."""
    mirror.publish("debconf", "1")
    mirror.publish("libc6", "1")
    mirror.publish("minimal", "1", source="python3.11", depends="libc6")
    mirror.publish("stdlib", "1", source="python3.11", depends="minimal (= 1), debconf")
    apt = Apt(tmp_path / "apt", suite="bookworm", arch="amd64", sources=mirror.sources)
    apt.update(progress)
    write_document(tmp_path / "debs.lock.json", resolve(REQUESTS, apt).lock)
    progress.tasks.clear()
    return DebStore(
        pool=pool,
        committed=tmp_path / "debs.lock.json",
        used=tmp_path / "used" / "debs.lock.json",
        apt=apt,
        resolve=lambda: resolve(REQUESTS, apt),
    )


def update_python(mirror: Any) -> None:
    """A security update: the old files are gone from the mirror."""
    mirror.publish("minimal", "2", source="python3.11", depends="libc6")
    mirror.publish("stdlib", "2", source="python3.11", depends="minimal (= 2), debconf")


def versions(lock: DebsLock) -> dict[str, str]:
    return {name: deb.version for name, deb in lock.packages.items()}


def test_lock_names_paths_hashes_and_no_host(store: DebStore, mirror: Any) -> None:
    lock = json.loads(store.committed.read_text(encoding="utf-8"))
    assert lock["images"] == {"gateway": ["libc6", "minimal", "stdlib"]}
    assert lock["unused"] == {"gateway": ["usr/lib/x.*.so"]}
    assert lock["packages"]["minimal"]["filename"] == "pool/minimal_1_amd64.deb"
    assert lock["packages"]["minimal"]["source"] == "python3.11"
    assert str(mirror.root) not in store.committed.read_text(encoding="utf-8")


def test_packages_are_fetched_once(store: DebStore, mirror: Any, progress: Any) -> None:
    found = store.fetch(progress, offline=False, release=True)
    assert found.drift == ()
    assert found.path == store.committed
    assert progress.names == ["Debian package lists (bookworm)", "3 Debian packages"]
    shutil.rmtree(mirror.root)
    progress.tasks.clear()
    assert store.fetch(progress, offline=True, release=True).lock == found.lock
    assert progress.names == []


def test_progress_counts_every_byte(store: DebStore, progress: Any) -> None:
    lock = store.fetch(progress, offline=False, release=True).lock
    total = sum(deb.size for deb in lock.packages.values())
    assert progress.tasks[-1] == ["3 Debian packages", total, total]


def test_offline_names_what_is_missing(store: DebStore, progress: Any) -> None:
    with pytest.raises(PoolError, match="OFFLINE=1 forbids to fetch: libc6 1, minimal 1, stdlib 1"):
        store.fetch(progress, offline=True, release=False)


def test_release_refuses_a_vanished_package_and_names_the_command(
    store: DebStore, mirror: Any, progress: Any
) -> None:
    update_python(mirror)
    with pytest.raises(
        DownloadError, match="^minimal 1, stdlib 1: in none of the pool and the mirror$"
    ) as caught:
        store.fetch(progress, offline=False, release=True)
    assert "make lock" in (caught.value.hint or "")
    assert not store.used.exists()


def test_development_build_moves_the_source_package_only_and_says_so(
    store: DebStore, mirror: Any, progress: Any
) -> None:
    update_python(mirror)
    mirror.publish("libc6", "1")  # still there, still the same bytes
    committed = store.committed.read_bytes()
    found = store.fetch(progress, offline=False, release=False)
    assert versions(found.lock) == {"libc6": "1", "minimal": "2", "stdlib": "2"}
    assert [(move.name, move.source, move.locked, move.used) for move in found.drift] == [
        ("minimal", "python3.11", "1", "2"),
        ("stdlib", "python3.11", "1", "2"),
    ]
    assert store.committed.read_bytes() == committed
    assert read_document(store.used, DebsLock) == found.lock
    assert found.path == store.used


def test_build_after_a_move_needs_no_network_and_moves_no_further(
    store: DebStore, mirror: Any, progress: Any
) -> None:
    update_python(mirror)
    first = store.fetch(progress, offline=False, release=False)
    shutil.rmtree(mirror.root)
    assert store.fetch(progress, offline=True, release=False) == first
    # A release never takes what a development build moved to.
    with pytest.raises(PoolError, match="minimal 1, stdlib 1"):
        store.fetch(progress, offline=True, release=True)


def test_used_lock_of_another_committed_lock_is_not_taken(
    store: DebStore, mirror: Any, progress: Any
) -> None:
    update_python(mirror)
    store.fetch(progress, offline=False, release=False)
    lock = read_document(store.committed, DebsLock)
    write_document(store.committed, lock.model_copy(update={"unused": {"gateway": []}}))
    with pytest.raises(PoolError, match="minimal 1, stdlib 1"):
        store.fetch(progress, offline=True, release=False)


def test_archive_mirror_is_asked_for_what_vanished(
    store: DebStore, mirror: Any, progress: Any, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(mirror.root / "pool", archive / "pool")
    update_python(mirror)
    asking = DebStore(store.pool, store.committed, store.used, store.apt, store.resolve, archive.as_uri())
    found = asking.fetch(progress, offline=False, release=True)
    assert versions(found.lock) == {"libc6": "1", "minimal": "1", "stdlib": "1"}
    assert found.drift == ()
    assert {"minimal 1", "stdlib 1"} <= set(progress.names)


def test_archive_with_other_bytes_is_refused(
    store: DebStore, mirror: Any, progress: Any, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    shutil.copytree(mirror.root / "pool", archive / "pool")
    (archive / "pool" / "minimal_1_amd64.deb").write_bytes(b"evil" * 1000)
    update_python(mirror)
    asking = DebStore(store.pool, store.committed, store.used, store.apt, store.resolve, archive.as_uri())
    with pytest.raises(DownloadError, match="^minimal 1: in none of the pool, the mirror and the archive$"):
        asking.fetch(progress, offline=False, release=True)


def test_same_version_with_other_bytes_is_not_the_locked_package(
    store: DebStore, mirror: Any, progress: Any
) -> None:
    mirror.publish("libc6", "1", files={"lib/libc.so.6": b"rebuilt"})
    with pytest.raises(DownloadError, match="^libc6 1: in none of"):
        store.fetch(progress, offline=False, release=True)


def test_interrupted_fetch_asks_only_for_the_rest(store: DebStore, mirror: Any, progress: Any) -> None:
    path = next((mirror.root / "pool").glob("stdlib_*.deb"))
    data = path.read_bytes()
    path.write_bytes(b"truncated on the mirror")
    with pytest.raises(DownloadError):
        store.fetch(progress, offline=False, release=True)
    path.write_bytes(data)
    progress.tasks.clear()
    store.fetch(progress, offline=False, release=True)
    assert progress.names[-1] == "1 Debian packages"


def test_third_party_on_the_host_is_not_preferred(
    mirror: Any, other_mirror: Any, tmp_path: Path, progress: Any
) -> None:
    mirror.publish("libc6", "1")
    other_mirror.publish("libc6", "9")
    both = tmp_path / "both.list"
    both.write_text(
        mirror.sources.read_text(encoding="ascii") + other_mirror.sources.read_text(encoding="ascii"),
        encoding="ascii",
    )
    apt = Apt(tmp_path / "apt", suite="bookworm", arch="amd64", sources=both)
    apt.update(progress)
    assert apt.simulate(["libc6"]) == {"libc6": "1"}


def test_package_that_only_a_third_party_has_is_refused(
    other_mirror: Any, tmp_path: Path, progress: Any
) -> None:
    other_mirror.publish("nodejs", "20")
    apt = Apt(tmp_path / "apt", suite="bookworm", arch="amd64", sources=other_mirror.sources)
    apt.update(progress)
    with pytest.raises(DownloadError, match="not from Debian"):
        apt.simulate(["nodejs"])


def test_unknown_package_is_one_clear_error(mirror: Any, tmp_path: Path, progress: Any) -> None:
    mirror.publish("libc6", "1")
    apt = Apt(tmp_path / "apt", suite="bookworm", arch="amd64", sources=mirror.sources)
    apt.update(progress)
    with pytest.raises(DownloadError, match="^apt-get --simulate: Unable to locate package nothing$"):
        apt.simulate(["nothing"])
