"""The artifact that the repository carries is what its card says."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from routeiq_router.artifact import parse_artifact
from routeiq_router.embedder import EMBEDDER_FILES, TRUNCATION
from routeiq_router.folder import read_unsigned
from routeiq_router.strategies.registry import strategy
from routeiq_router.text import SURFACE, SURFACE_SIZE

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "router/pretrained/minilm-llmrouter-v3"
EMBEDDER = ROOT / "build/dev/models/sentence-transformers/all-MiniLM-L6-v2"
DATA = (
    Path(os.environ.get("ROUTEIQ_ROUTING_DATA", ROOT.parent / "shared/data/routing"))
    / "llmrouter-train.jsonl.gz"
)


@pytest.fixture(scope="module")
def artifact():
    return parse_artifact(read_unsigned(FOLDER))


def test_it_loads_and_is_small(artifact):
    loaded = strategy(artifact.strategy).load(
        artifact.params, artifact.weights, models=9, dimension=384, surface=SURFACE_SIZE
    )
    assert loaded is not None
    assert (artifact.name, artifact.surface) == (FOLDER.name, SURFACE)
    assert (FOLDER / "weights.safetensors").stat().st_size < 3_000_000


def test_it_was_trained_with_the_embedder_that_the_lock_names(artifact):
    locked = json.loads((ROOT / "vendor/locks/weights.lock.json").read_text())["models"]["all-MiniLM-L6-v2"]
    contents = {**locked["files"], **locked["exports"]}
    identity = {"truncation": TRUNCATION, **{name: contents[name]["sha256"] for name in EMBEDDER_FILES}}
    canonical = json.dumps(identity, sort_keys=True, separators=(",", ":")).encode()
    assert artifact.embedder.digest == f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def test_the_card_shows_the_artifacts_own_figures(artifact):
    card = (FOLDER / "README.md").read_text()
    (pool,) = artifact.metrics["pools"]
    assert f"{pool['aiq_gain']:+.4f}" in card
    assert artifact.training["data"][0]["sha256"] in card
    assert artifact.embedder.digest in card


@pytest.mark.skipif(not EMBEDDER.is_dir(), reason="no embedder in build/dev/models: `make fetch`")
@pytest.mark.skipif(not DATA.is_file(), reason="no routing data: set ROUTEIQ_ROUTING_DATA")
def test_its_figures_are_reproduced_on_its_held_out_prompts(artifact, tmp_path):
    from routeiq_router.data.dataset import read_data
    from routeiq_router.data.split import held_out
    from routeiq_router.evaluation.evaluate import evaluate
    from routeiq_router.router import Router
    from routeiq_signing.progress import QuietProgress

    router = Router.load(read_unsigned(FOLDER), read_unsigned(EMBEDDER))
    data = read_data([DATA], scored=True)
    assert data.sources[0].sha256 == artifact.training["data"][0]["sha256"]
    result = evaluate(router, data, cache=None, progress=QuietProgress())
    assert result["prompts_used"] == held_out(data.prompts, artifact.training["held_out"]["fraction"]).sum()
    (want,), (got,) = artifact.metrics["pools"], result["pools"]
    # Another CPU's int8 kernels move a vector in its last digits; the figures must not notice.
    for name in ("aiq", "aiq_hull", "aiq_gain", "mean_quality", "cost_at_95"):
        assert got[name] == pytest.approx(want[name], abs=0.003)
    assert got["aiq_gain_interval"][0] > 0
    assert got["cost_at_95"] <= 0.18
