import json

import pytest

from routeiq_router.data.dataset import read_data
from routeiq_router.data.split import prompt_fingerprints
from routeiq_router.errors import RouterError
from routeiq_router.evaluation.evaluate import evaluate
from routeiq_router.router import Router
from routeiq_signing.progress import QuietProgress


@pytest.fixture
def run(make_artifact, embedder, small_file, small_set):
    def run(trained: int, path=small_file, **named):
        seen = prompt_fingerprints([row["prompt"] for row in small_set[:trained]])
        seen.sort()
        router = Router(make_artifact("knn", trained_prompts=seen), embedder)
        return evaluate(router, read_data([path], scored=True), cache=None, progress=QuietProgress(), **named)

    return run


def test_prompts_that_were_trained_on_are_left_out(run):
    result = run(200)
    assert (result["prompts_given"], result["prompts_used"], result["prompts_left_out_as_trained_on"]) == (
        300,
        100,
        200,
    )
    assert result["pools"][0]["prompts"] == 100
    assert result["warnings"] == ["200 prompts were trained on and are left out; the other 100 are used"]


def test_when_all_were_trained_on_the_report_says_that_it_is_worth_nothing(run):
    result = run(300)
    assert result["prompts_used"] == 300
    assert result["warnings"][0].startswith("every prompt was trained on")


def test_the_largest_pool_is_the_headline(run):
    result = run(0)
    assert result["warnings"] == []
    for name in ("aiq", "aiq_hull", "aiq_gain", "aiq_gain_interval", "cost_at_95", "mean_quality"):
        assert result[name] == result["pools"][0][name]
    assert result["aiq_gain"] > 0
    assert json.loads(json.dumps(result)) == result


def test_costs_of_the_caller_go_before_those_of_the_artifact(run):
    assert run(0, costs={"all-70b": 1.0})["costs"] == {"all-70b": 1.0, "code-13b": 13.0, "maths-7b": 7.0}


def test_models_that_the_artifact_does_not_know_are_named(run, tmp_path, small_set):
    path = tmp_path / "data"
    rows = [{**row, "scores": {**row["scores"], "new": 1}} for row in small_set]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(0, path)["warnings"] == ["models unknown to the artifact are ignored: new"]


def test_data_without_any_of_its_models_is_refused(run, tmp_path):
    path = tmp_path / "data"
    path.write_text('{"id": "1", "prompt": "p", "scores": {"new": 1}}\n')
    with pytest.raises(
        RouterError, match=r"measures none of the artifact's models \(all-70b, code-13b, maths-7b\)"
    ):
        run(0, path)


def test_too_few_prompts_give_no_routing_figures_and_say_so(run, tmp_path, small_set):
    path = tmp_path / "data"
    path.write_text("".join(json.dumps(row) + "\n" for row in small_set[:10]))
    result = run(0, path)
    assert result["pools"] == []
    assert "aiq" not in result
    assert result["warnings"] == ["too few prompts with two or more models measured: no routing figures"]
