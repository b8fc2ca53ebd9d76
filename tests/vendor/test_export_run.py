"""When the exporter runs, and what it must make (A3)."""

import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from routeiq_vendor.documents import read_document
from routeiq_vendor.errors import LockError, PoolError
from routeiq_vendor.export import exporter as script
from routeiq_vendor.export.run import OUTPUTS, Exporter, inputs_digest
from routeiq_vendor.pool import Pool, digest_of
from routeiq_vendor.weights.lock import Export, Member, Weights, WeightsLock
from routeiq_vendor.wheels.store import WheelStore
from routeiq_vendor.workspace import Workspace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def exporter(pool: Pool, tmp_path: Path) -> Exporter:
    lock = tmp_path / "export.txt"
    lock.write_text(f"torch==2.0+cpu --hash=sha256:{'a' * 64}\n", encoding="ascii")
    return Exporter(pool, WheelStore(pool, "file:///nowhere"), lock, tmp_path)


@pytest.fixture
def weights(exporter: Exporter) -> Weights:
    data = b"graph"
    weights = Weights(
        distribution="tiny",
        version="1",
        licence="MIT",
        wheel_filename="tiny.whl",
        wheel_sha256="c" * 64,
        wheel_size=1,
        files={"model.safetensors": Member(member="m", sha256="d" * 64, size=1)},
        exports={"onnx/model.onnx": Export(sha256=hashlib.sha256(data).hexdigest(), size=len(data))},
    )
    return weights.model_copy(update={"export_inputs": exporter.inputs(weights)})


def test_every_input_changes_the_digest() -> None:
    base = inputs_digest(b"lock", b"script", {"a": "1", "b": "2"})
    assert base == inputs_digest(b"lock", b"script", {"b": "2", "a": "1"})
    others = [
        inputs_digest(b"lock2", b"script", {"a": "1", "b": "2"}),
        inputs_digest(b"lock", b"script2", {"a": "1", "b": "2"}),
        inputs_digest(b"lock", b"script", {"a": "2", "b": "1"}),
        inputs_digest(b"lock", b"script", {"a": "1"}),
        inputs_digest(b"locks", b"cript", {"a": "1", "b": "2"}),
        inputs_digest(b"lock", b"script", {"a": "1", "b": "2"}, 5),
        inputs_digest(b"lock", b"script", {"a": "1", "b": "2"}, 6),
    ]
    assert len({base, *others}) == 8


def test_nothing_runs_while_the_pool_holds_the_outputs(
    exporter: Exporter, weights: Weights, pool: Pool, progress: Any
) -> None:
    pool.add_stream([b"graph"], hashlib.sha256(b"graph").hexdigest())
    exporter.ensure("tiny", weights, progress, offline=True)
    assert progress.names == []


def test_lock_made_from_other_inputs_is_refused(exporter: Exporter, weights: Weights, progress: Any) -> None:
    exporter.lock.write_text(f"torch==2.1+cpu --hash=sha256:{'a' * 64}\n", encoding="ascii")
    with pytest.raises(LockError, match="^weights.lock.json: tiny was exported from other inputs") as caught:
        exporter.ensure("tiny", weights, progress, offline=True)
    assert "routeiq vendor lock --what weights" in (caught.value.hint or "")


def test_offline_says_that_the_export_is_missing_and_why_it_cannot_run(
    exporter: Exporter, weights: Weights, progress: Any
) -> None:
    with pytest.raises(
        PoolError, match=r"^tiny: the ONNX export is not in the pool; export\.txt: .*torch 2\.0\+cpu$"
    ):
        exporter.ensure("tiny", weights, progress, offline=True)


def test_committed_lock_is_of_this_checkout() -> None:
    workspace = Workspace.find({}, ROOT)
    lock = read_document(workspace.locks / "weights.lock.json", WeightsLock)
    store = WheelStore(workspace.pool, workspace.torch_index)
    exporter = Exporter(workspace.pool, store, workspace.locks / "export.txt", workspace.build)
    for weights in lock.models.values():
        assert weights.export_inputs == exporter.inputs(weights)
        assert set(weights.exports) == set(OUTPUTS)


def test_exporter_on_wrong_usage_says_how(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["model"], ["model", "out", "five"], ["model", "out", "5", "more"]):
        assert script.main(arguments) == 2
        assert capsys.readouterr().err == "usage: exporter.py MODEL_DIR OUT_DIR [LAYERS]\n"


@pytest.mark.e2e
def test_two_exports_in_different_folders_give_the_locked_bytes(tmp_path: Path, progress: Any) -> None:
    workspace = Workspace.find(os.environ, ROOT)
    lock = read_document(workspace.locks / "weights.lock.json", WeightsLock)
    weights = lock.models["all-MiniLM-L6-v2"]
    store = WheelStore(workspace.pool, workspace.torch_index)
    exporter = Exporter(workspace.pool, store, workspace.locks / "export.txt", workspace.build)
    with workspace.pool.locked():
        first, parity = exporter.run("all-MiniLM-L6-v2", weights, progress, offline=False)
    assert first == weights.exports
    assert parity.fp32_max_abs_diff < 1e-4
    assert parity.int8_mean_cosine >= 0.99
    model = workspace.pool.view(
        tmp_path / "a folder", {path: file.sha256 for path, file in weights.files.items()}
    )
    python = workspace.build / "venvs" / "export" / "bin" / "python"
    command = [str(python), "-I", script.__file__, str(model), str(tmp_path / "out"), str(weights.layers)]
    environment = {**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
    subprocess.run(command, check=True, capture_output=True, env=environment, umask=0o077)
    assert {path: digest_of(tmp_path / "out" / path) for path in OUTPUTS} == {
        path: export.sha256 for path, export in weights.exports.items()
    }
    command[-1] = "7"
    refused = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert refused.returncode == 1
    assert "layers: 7 is not from 1 to 6, which the model has" in refused.stderr
