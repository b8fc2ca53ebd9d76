"""A comparison of strategies on a small set: its shape, that it repeats, what data it refuses."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from routeiq_router.data.dataset import read_data
from routeiq_router.data.subset import subset
from routeiq_router.errors import RouterError
from routeiq_router.evaluation.compare import Comparison, compare
from routeiq_router.evaluation.plot import plot_pool
from routeiq_router.evaluation.table import comparison_text
from routeiq_router.training import pinned
from routeiq_signing.progress import QuietProgress

COSTS = {"all-70b": 70.0, "code-13b": 13.0, "maths-7b": 7.0}


@pytest.fixture(autouse=True)
def _pinned(monkeypatch):
    # Bit-identity is for `test_train.py`; here the process's own kernels will do.
    for name, value in pinned.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def run(embedder):
    def run(data, **named):
        request = Comparison(named.pop("strategies", ("ridge", "best")), COSTS, near=2, **named)
        return compare(request, data, embedder, cache=None, progress=QuietProgress())

    return run


@pytest.fixture
def data(small_file):
    return read_data([small_file], scored=True)


@pytest.fixture
def write(tmp_path):
    def write(rows):
        path = tmp_path / "data.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read_data([path], scored=True)

    return write


def test_the_report_holds_every_part_and_repeats(run, data):
    first = run(data)
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert first["pools"] == run(data, parts=("nested",))["pools"]
    assert set(first) == {
        "schema", "data", "prompts", "models", "tasks", "costs", "embedder", "folds", "seed", "near_duplicates",
        "warnings", "pools", "leave_one_task_out", "leave_models_out",
    }  # fmt: skip
    (pool,) = first["pools"]
    assert list(pool["strategies"]) == ["ridge", "best"], "best gain first"
    ridge, best = pool["strategies"].values()
    assert {
        "aiq",
        "aiq_gain",
        "aiq_gain_interval",
        "cost_at_95",
        "cost_at_100",
        "ece",
        "rmse",
        "frontier",
    } <= set(ridge)
    assert ridge["aiq_gain_interval"][0] > 0
    assert best["aiq_gain"] == pytest.approx(0, abs=0.01)
    assert set(pool["singles"]) == set(COSTS)
    assert pool["oracle"]["aiq"] >= ridge["aiq"] >= pool["aiq_hull"]
    (tasks,) = first["leave_one_task_out"]
    assert set(tasks["strategies"]["ridge"]["tasks"]) == {"add", "code", "facts"}
    assert tasks["strategies"]["best"]["over_constant"] == 0
    left = first["leave_models_out"]["strategies"]["ridge"]
    assert set(left) == {"same_tasks", "other_tasks"}
    assert [group["new"] for group in left["same_tasks"]["groups"]] == [["all-70b", "maths-7b"], ["code-13b"]]
    assert left["same_tasks"]["among_all"]["gain"] > 0
    assert {"gain", "gain_interval"} == set(left["other_tasks"]["all_new"])


def test_another_seed_draws_other_intervals(run, data):
    first, second = (run(data, seed=seed, parts=("nested",)) for seed in (0, 1))
    intervals = [one["pools"][0]["strategies"]["ridge"]["aiq_gain_interval"] for one in (first, second)]
    assert intervals[0] != intervals[1]


def test_a_pair_has_apgr_and_cpt_and_no_unseen_models(run, data):
    result = run(subset(data, models=["all-70b", "maths-7b"]))
    pair = result["pools"][0]["strategies"]["ridge"]["pair"]
    assert (pair["weak"], pair["strong"]) == ("maths-7b", "all-70b")
    assert pair["apgr"] > 0.5
    assert "leave_models_out" not in result
    assert result["warnings"] == [
        "fewer than three models on the same prompts: nothing is said about unseen models"
    ]


def test_one_task_says_nothing_about_others_and_says_so(run, data):
    result = run(subset(data, tasks=["add"]), parts=("nested", "tasks"))
    assert "leave_one_task_out" not in result
    assert result["warnings"] == ["one task only ('task' in the data): nothing is said about unseen tasks"]


def test_missing_scores_make_pools(run, write, small_set):
    rows = [
        {
            **row,
            "scores": {name: score for name, score in row["scores"].items() if at % 3 or name != "code-13b"},
        }
        for at, row in enumerate(small_set)
    ]
    result = run(write(rows), parts=("nested",))
    assert [(len(pool["models"]), pool["prompts"]) for pool in result["pools"]] == [(3, 200), (2, 100)]


def test_copies_with_another_id_are_counted(run, write, small_set):
    copies = [{**row, "id": f"copy-{row['id']}", "prompt": row["prompt"].upper()} for row in small_set[:7]]
    result = run(write([*small_set, *copies]), parts=("nested",))
    assert result["near_duplicates"]["same_text"] == 7
    assert any("stand there again" in warning for warning in result["warnings"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [{"id": f"{n}", "prompt": f"p {n}", "scores": {"a": 1, "b": 0}} for n in range(19)],
            "19 prompts, want at least 20",
        ),
        ([{"id": f"{n}", "prompt": f"p {n}", "scores": {"a": 1}} for n in range(50)], "measures a alone"),
        (
            [{"id": f"{n}", "prompt": f"p {n}", "scores": {"ab"[n % 2]: 1}} for n in range(100)],
            "no two models were measured on the same 30 prompts",
        ),
    ],
)
def test_data_that_cannot_say_anything_is_refused(run, write, rows, message):
    with pytest.raises(RouterError, match=rf"data\.jsonl: .*{message}"):
        run(write(rows))


@pytest.mark.parametrize("folds", [1, 21])
def test_folds_are_bounded(run, data, folds):
    with pytest.raises(RouterError, match=f"folds: {folds} is not from 2 to 20"):
        run(data, folds=folds)


def test_an_unknown_strategy_task_or_model_is_named(run, data):
    with pytest.raises(RouterError, match="magic: no such strategy"):
        run(data, strategies=("magic",))
    with pytest.raises(RouterError, match="no task 'poems'"):
        subset(data, tasks=["poems"])
    with pytest.raises(RouterError, match="measures no model 'gpt4'"):
        subset(data, models=["gpt4"])


def test_a_task_includes_its_parts(write):
    rows = [
        {"id": f"{n}", "task": task, "prompt": f"p {n}", "scores": {"a": 1}}
        for n, task in enumerate(["mmlu:law", "mmlu", "mmlu-pro", "gsm8k"])
    ]
    assert subset(write(rows), tasks=["mmlu"]).ids == ["0", "1"]


def test_the_table_names_every_strategy_and_model(run, data):
    text = comparison_text(run(data))
    for word in ("ridge", "best", *COSTS, "same tasks", "other tasks", "oracle"):
        assert word in text


class TestPlot:
    def test_svg_is_xml_with_every_label_and_repeats(self, run, data, tmp_path):
        (pool,) = run(data, parts=("nested",))["pools"]
        picture = plot_pool(pool, title="small", path=tmp_path / "a.svg")
        assert ET.fromstring(picture).tag.endswith("svg")
        assert picture == plot_pool(pool, title="small", path=tmp_path / "a.svg")
        # Text is drawn as paths; each keeps its words in a comment.
        for label in ("ridge", "hull of single models", "oracle", "all-70b", "mean measured quality"):
            assert label in picture.decode()

    def test_png_has_its_signature_and_size(self, run, data, tmp_path):
        (pool,) = run(data, parts=("nested",))["pools"]
        picture = plot_pool(pool, title="small", path=tmp_path / "a.png")
        assert picture.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(picture) > 10_000

    def test_another_suffix_is_refused(self, tmp_path):
        with pytest.raises(RouterError, match=r"a\.pdf: a plot is \.png or \.svg"):
            plot_pool({}, title="", path=tmp_path / "a.pdf")


def test_left_out_models_predictions_are_of_the_judged_prompts_only(small_training):
    from routeiq_router.evaluation.unseen import left_out_models, model_groups
    from routeiq_router.strategies.registry import strategy
    from routeiq_router.training.selection import Training

    inputs, scores = small_training
    parts = np.arange(len(scores)) % 3
    digests = [str(row).encode() for row in range(len(scores))]
    training = Training(inputs, scores, np.arange(len(scores)) % 5)
    groups = model_groups([70, 13, 7], 1)
    assert groups == [(2,), (1,), (0,)]
    steps = []
    found = left_out_models(strategy("ridge"), training, parts, groups, digests, seed=0, advance=steps.append)
    assert len(steps) == 9
    for left in found:
        judged = ~np.isnan(left.predicted).any(axis=1)
        assert judged.sum() == 225, "a quarter chose the parameters"
        assert (left.predicted[judged] >= 0).all()
        assert (left.predicted[judged] <= 1).all()


def test_a_line_is_straight_in_cost_whatever_the_axis():
    from routeiq_router.evaluation.plot import _curve

    cost, quality = _curve([[0.1, 0.5], [1.0, 1.4]])
    assert len(cost) > 50
    assert (cost[0], cost[-1]) == (0.1, 1.0)
    np.testing.assert_allclose(quality, cost + 0.4)
    assert [values.tolist() for values in _curve([[0.3, 0.5]])] == [[0.3], [0.5]]
