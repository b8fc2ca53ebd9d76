import json
import os
import subprocess
import sys

import pytest

from routeiq_router.training.pinned import ENVIRONMENT

SCRIPT = """
import sys
from pathlib import Path
from routeiq_router.artifact import dump_artifact
from routeiq_router.data.dataset import read_data
from routeiq_router.embedder import Embedder
from routeiq_router.errors import RouterError
from routeiq_router.folder import read_unsigned, write_artifact
from routeiq_router.training.train import TrainRequest, train
from routeiq_signing.progress import QuietProgress

data, folder, out, strategy, seed, holdout = sys.argv[1:]
request = TrainRequest(name="small", strategy=strategy, costs={}, seed=int(seed), holdout=float(holdout))
embedder = Embedder.load(read_unsigned(Path(folder)), cache_size=0)
try:
    artifact = train(request, read_data([Path(data)], scored=True), embedder, embedder_name="tiny", cache=None,
                     progress=QuietProgress())
except RouterError as error:
    sys.exit(f"refused: {error}")
write_artifact(Path(out), dump_artifact(artifact))
"""


@pytest.fixture
def train(small_file, embedder_folder, tmp_path):
    def train(out, *, strategy="ensemble", seed=0, holdout=0.2, data=small_file, **environment):
        command = [
            sys.executable,
            "-c",
            SCRIPT,
            data,
            embedder_folder,
            tmp_path / out,
            strategy,
            str(seed),
            str(holdout),
        ]
        done = subprocess.run(
            command,
            env={**os.environ, **ENVIRONMENT, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return done.stderr
        return {path.name: path.read_bytes() for path in (tmp_path / out).iterdir()}

    return train


def test_the_same_data_and_seed_give_the_same_bytes(train):
    one, two = (
        train("one", strategy="guarded"),
        train("two", strategy="guarded", TZ="Asia/Tokyo", PYTHONHASHSEED="5"),
    )
    assert isinstance(one, dict)
    assert one == two


def test_exponentials_are_those_of_an_older_cpu_whatever_this_one_has():
    """numpy's AVX-512 kernels give other last digits; pinned, they are not used (on this CPU, if it has them)."""
    code = (
        "import hashlib, numpy as np; from numpy._core._multiarray_umath import __cpu_features__ as has;"
        "x = np.linspace(-20, 20, 100_001);"
        "print(has.get('X86_V4', False) or has.get('AVX512_SKX', False), hashlib.sha256(np.exp(x)).hexdigest())"
    )
    said = subprocess.check_output(
        [sys.executable, "-c", code], env={**os.environ, **ENVIRONMENT}, text=True
    ).split()
    assert said[0] == "False"


def test_what_is_held_out_is_not_among_the_fingerprints_and_is_judged(train, small_set):
    import numpy as np
    import safetensors.numpy

    from routeiq_router.data.split import held_out, prompt_fingerprints

    files = train("one", strategy="ridge")
    prompts = [row["prompt"] for row in small_set]
    outside = held_out(prompts, 0.2)
    seen = safetensors.numpy.load(files["weights.safetensors"])["trained_prompts"]
    assert np.array_equal(np.isin(prompt_fingerprints(prompts), seen), ~outside)
    manifest = json.loads(files["router.json"])
    assert manifest["training"]["held_out"] == {
        "fraction": 0.2, "prompts": int(outside.sum()), "rule": "sha256-normal-form/v1"
    }  # fmt: skip
    assert manifest["metrics"]["pools"][0]["prompts"] == outside.sum()
    assert manifest["metrics"]["pools"][0]["aiq_gain"] > 0


def test_nothing_held_out_gives_no_figures_rather_than_dishonest_ones(train):
    assert json.loads(train("one", strategy="ridge", holdout=0)["router.json"])["metrics"] == {}


def test_an_unpinned_process_is_refused(train):
    assert "refused: training: the process was not started with pinned" in train("one", OPENBLAS_CORETYPE="")


def test_too_few_prompts_are_refused(train, tmp_path, small_file):
    few = tmp_path / "few.jsonl"
    few.write_text("".join(small_file.read_text().splitlines(keepends=True)[:10]))
    assert "prompts to train on, want at least 20" in train("one", data=few)
    assert not (tmp_path / "one").exists()


def test_one_prompt_many_times_is_one_prompt(train, small_file, tmp_path):
    first = json.loads(small_file.read_text().splitlines()[0])
    copies = tmp_path / "copies.jsonl"
    copies.write_text("".join(json.dumps({**first, "id": f"c{n}"}) + "\n" for n in range(60)))
    said = train("one", data=copies)
    assert "different prompts to train on, want at least 20" in said
    assert "Traceback" not in said
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("holdout", [-0.1, 0.9])
def test_a_holdout_that_leaves_nothing_to_learn_is_refused(train, holdout):
    assert "is not a share from 0 to 0.5" in train("one", holdout=holdout)
