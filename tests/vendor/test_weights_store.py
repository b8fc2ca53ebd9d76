"""Weights come out of a wheel of the fake index (A3, A5)."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from routeiq_vendor.documents import write_document
from routeiq_vendor.errors import DownloadError, LockError, PoolError
from routeiq_vendor.export.run import Exporter
from routeiq_vendor.lay_out import layout_models
from routeiq_vendor.pool import Pool
from routeiq_vendor.weights.lock import Weights, WeightsLock, WeightsRequest, WeightsRequests
from routeiq_vendor.weights.renew import renew_weights
from routeiq_vendor.weights.store import fetch_weights, layout_model
from routeiq_vendor.wheels.store import WheelStore
from routeiq_vendor.workspace import Workspace

FILES = {"tiny/model/config.json": b"{}", "tiny/model/model.safetensors": b"tensors"}
REQUEST = WeightsRequest(
    distribution="tiny",
    version="1.0",
    licence="Apache-2.0",
    files={"config.json": "tiny/model/config.json", "model.safetensors": "tiny/model/model.safetensors"},
    official={"model.safetensors": hashlib.sha256(b"tensors").hexdigest()},
)


@pytest.fixture
def store(pool: Pool) -> WheelStore:
    pool.root.mkdir()
    return WheelStore(pool, torch_index="file:///nowhere")


@pytest.fixture
def renewed(
    store: WheelStore,
    pool: Pool,
    index: Path,
    wheel_maker: Callable[..., Path],
    progress: Any,
    tmp_path: Path,
) -> Callable[[WeightsRequest], WeightsLock]:
    wheel_maker(index, "tiny", "1.0", files=FILES)
    exporter = Exporter(pool, store, tmp_path / "export.txt", tmp_path)

    def renew(request: WeightsRequest) -> WeightsLock:
        requests = WeightsRequests(models={"tiny": request}, demo={})
        return renew_weights(requests, wheels=store, pool=pool, exporter=exporter, progress=progress)

    return renew


@pytest.fixture
def weights(renewed: Callable[[WeightsRequest], WeightsLock]) -> Weights:
    return renewed(REQUEST).models["tiny"]


def test_lock_names_wheel_members_and_digests(weights: Weights, index: Path) -> None:
    assert weights.wheel_filename == "tiny-1.0-py3-none-any.whl"
    assert weights.wheel_sha256 == hashlib.sha256((index / weights.wheel_filename).read_bytes()).hexdigest()
    assert weights.files["model.safetensors"].model_dump() == {
        "sha256": hashlib.sha256(b"tensors").hexdigest(),
        "size": 7,
        "member": "tiny/model/model.safetensors",
    }


def test_wheel_with_other_weights_than_the_publishers_is_refused(
    renewed: Callable[[WeightsRequest], WeightsLock],
) -> None:
    request = REQUEST.model_copy(update={"official": {"model.safetensors": "a" * 64}})
    with pytest.raises(LockError, match=f"is not the publisher's {'a' * 64}"):
        renewed(request)


def test_member_that_the_wheel_lacks_is_named(renewed: Callable[[WeightsRequest], WeightsLock]) -> None:
    request = REQUEST.model_copy(update={"files": {"vocab.txt": "tiny/model/vocab.txt"}})
    with pytest.raises(DownloadError, match=r"^tiny/model/vocab\.txt: not in the wheel$"):
        renewed(request)


def test_members_are_in_the_pool_and_laid_out(
    weights: Weights, pool: Pool, store: WheelStore, progress: Any, tmp_path: Path
) -> None:
    for file in weights.files.values():
        pool.path(file.sha256).unlink()
    fetch_weights("tiny", weights, pool=pool, wheels=store, progress=progress, offline=True)
    folder = layout_model(pool, weights, tmp_path / "tiny", files=("config.json", "model.safetensors"))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "config.json": b"{}",
        "model.safetensors": b"tensors",
    }


def test_a_second_model_is_an_entry_in_the_request_and_nothing_more(
    pool: Pool,
    store: WheelStore,
    index: Path,
    wheel_maker: Callable[..., Path],
    progress: Any,
    tmp_path: Path,
) -> None:
    workspace = Workspace(tmp_path, pool)
    workspace.locks.mkdir(parents=True)
    found = {"tiny-v1": b"tensors", "another-MiniLM": b"other tensors"}
    wheels = {"tiny-v1": "tiny", "another-MiniLM": "another"}
    for name, tensors in found.items():
        wheel_maker(index, wheels[name], "1.0", files={f"{wheels[name]}/model.safetensors": tensors})
    # As weights.toml has it; what it does not name is not asked for anywhere else.
    requests = WeightsRequests.model_validate(
        {
            "models": {
                name: {
                    "distribution": wheels[name],
                    "version": "1.0",
                    "licence": "MIT",
                    "files": {"model.safetensors": f"{wheels[name]}/model.safetensors"},
                }
                for name in found
            },
            "demo": {},
        }
    )
    exporter = Exporter(pool, store, tmp_path / "export.txt", tmp_path)
    lock = renew_weights(requests, wheels=store, pool=pool, exporter=exporter, progress=progress)
    write_document(workspace.locks / "weights.lock.json", lock)
    folders = layout_models(workspace, tmp_path / "models", files=("model.safetensors",))
    assert {folder.name: (folder / "model.safetensors").read_bytes() for folder in folders} == found
    assert {folder.parent for folder in folders} == {tmp_path / "models/sentence-transformers"}


def test_member_with_another_digest_than_the_lock_is_refused(
    weights: Weights, pool: Pool, store: WheelStore, progress: Any
) -> None:
    config = weights.files["config.json"].model_copy(update={"sha256": "b" * 64})
    other = weights.model_copy(update={"files": {"config.json": config}})
    with pytest.raises(
        PoolError, match=r"^tiny: tiny/model/config\.json: sha256 is .*, the lock says b{64}$"
    ):
        fetch_weights("tiny", other, pool=pool, wheels=store, progress=progress, offline=True)
