"""From answers to an artifact: who is better is found, with an interval; who said too little is left out."""

import json

import numpy as np
import pytest

from routeiq_router.artifact import dump_artifact, parse_artifact
from routeiq_router.calibration.ability import fit_ability
from routeiq_router.calibration.calibrate import LEAST_ANSWERS, calibrate, least_answers
from routeiq_router.calibration.card import write_card
from routeiq_router.calibration.item import Item
from routeiq_router.calibration.text import report_text
from routeiq_router.decide import Candidate, rank
from routeiq_router.errors import RouterError
from routeiq_router.router import Router
from routeiq_router.strategies.interface import Guarded, Inputs
from routeiq_router.strategies.registry import strategy, strategy_names
from routeiq_router.text import surface_features

COSTS = {"maths": 1.0, "coder": 1.0, "silent": 1.0}


def _items(count: int = 80) -> list[Item]:
    adds = [f"add the number {n} plus {n + 1}" for n in range(count // 2)]
    codes = [f"write code function that sorts the list number{n}():" for n in range(count // 2)]
    pairs = [
        (text, skill)
        for both in zip(adds, codes, strict=True)
        for text, skill in zip(both, ("add", "code"), strict=True)
    ]
    return [Item(f"i{n}", text, 1, "number", skill, 1) for n, (text, skill) in enumerate(pairs)]


@pytest.fixture
def asked(embedder):
    items = _items()
    texts = [item.prompt for item in items]
    inputs = Inputs(
        np.stack([embedder.embed(t) for t in texts]), np.stack([surface_features(t) for t in texts])
    )
    return items, inputs


def _answers(items: list[Item]) -> dict[str, dict[str, bool]]:
    return {
        "maths": {item.id: item.skill == "add" for item in items},
        "coder": {item.id: item.skill == "code" or n % 4 == 0 for n, item in enumerate(items)},
        "silent": {item.id: True for item in items[:5]},
    }


@pytest.fixture(params=["ridge", "guarded", "irt", "best"])
def made(request, make_artifact, asked):
    items, inputs = asked
    return calibrate(make_artifact(request.param), items, inputs, _answers(items), COSTS, name="site-v1")


def test_a_calibrated_artifact_predicts_for_the_groups_by_name(made, embedder):
    # D3
    router = Router(parse_artifact(dump_artifact(made.artifact)), embedder)
    assert router.models == ("maths", "coder")
    router.check_models({"maths": "maths", "coder": "coder"})
    said = router.predict("add the number 3 plus 9")
    assert all(0 <= value <= 1 for value in said.values())
    # `best` knows no prompt from another; `guarded` has seen nothing like these, and says so.
    if made.artifact.params["strategy"] in {"ridge", "irt"}:
        assert said["maths"] > said["coder"]
        said = router.predict("write code function that sorts the list number7():")
        assert said["coder"] > said["maths"]


def test_a_group_with_too_few_answers_is_left_uncalibrated_and_said(made):
    entry = made.report["groups"]["silent"]
    assert entry["calibrated"] is False
    assert entry["reason"] == "5 answers, want 40"
    assert (entry["answered"], entry["missing"]) == (5, 75)
    assert "silent" not in made.artifact.models
    assert "not calibrated: 5 answers, want 40" in report_text(made.report)


def test_an_uncalibrated_group_comes_last_in_declared_order_whatever_its_size():
    # D3: no size prior.
    candidates = [
        Candidate("huge-70b", None, 70.0),
        Candidate("tiny-1b", None, 1.0),
        Candidate("known", "known", 5.0),
    ]
    assert [one.group for one in rank(candidates, {"known": 0.1})] == ["known", "huge-70b", "tiny-1b"]
    assert [one.group for one in rank(candidates, None)] == ["huge-70b", "tiny-1b", "known"]


def test_the_report_is_json_and_counts_add_up(made):
    report = json.loads(json.dumps(made.report, allow_nan=False))
    entry = report["groups"]["coder"]
    low, high = entry["interval"]
    assert 0 <= low < entry["ability"] < high <= 1
    assert sum(row["correct"] for row in entry["skills"].values()) == entry["correct"] == 60
    assert report["ranking"] == ["coder", "maths"]
    card = write_card(made.artifact, made.report)
    assert made.report["base"]["digest"] in card
    assert "`site-v1`" in card or "# site-v1" in card


def test_the_same_answers_give_the_same_bytes(make_artifact, asked):
    items, inputs = asked
    twice = [
        calibrate(make_artifact(), items, inputs, _answers(items), COSTS, name="x").artifact for _ in range(2)
    ]
    assert dump_artifact(twice[0]) == dump_artifact(twice[1])


def test_prompts_of_the_suite_are_known_again_by_evaluation(made, make_artifact):
    assert len(made.artifact.trained_prompts) == len(make_artifact().trained_prompts) + 80


def test_what_was_asked_in_calibration_is_known_though_the_base_never_saw_its_like(make_artifact, asked):
    items, inputs = asked
    base = make_artifact("guarded")
    never = {**base.weights, "guard.bounds": np.asarray([2, 2, 2], dtype=np.float32)}
    strict = type(base)(
        **{**{name: getattr(base, name) for name in base.__dataclass_fields__}, "weights": never}
    )
    artifact = calibrate(strict, items, inputs, _answers(items), COSTS, name="x").artifact
    predictor = strategy("calibrated").load(
        artifact.params, artifact.weights, models=2, dimension=8, surface=inputs.surface.shape[1]
    )
    assert isinstance(predictor, Guarded)
    assert predictor.known(inputs).all()
    assert not predictor.known(Inputs(-inputs.embeddings, inputs.surface)).all()


def test_nobody_who_answered_enough_is_an_error(make_artifact, asked):
    items, inputs = asked
    with pytest.raises(RouterError, match="no group answered 40 of 80 prompts"):
        calibrate(make_artifact(), items, inputs, {"silent": {}}, COSTS, name="x")


def test_a_calibrated_artifact_is_no_base(make_artifact, asked):
    items, inputs = asked
    artifact = calibrate(make_artifact(), items, inputs, _answers(items), COSTS, name="x").artifact
    with pytest.raises(RouterError, match="calibrated itself"):
        calibrate(artifact, items, inputs, _answers(items), COSTS, name="y")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"abilities": np.zeros((2, 4), dtype=np.float32)}, "abilities"),
        ({"abilities": np.full((2, 5), np.nan, dtype=np.float32)}, "not finite"),
        ({"asked": np.zeros((0, 8), dtype=np.int8)}, "'asked' is empty"),
        ({"asked": np.zeros((3, 9), dtype=np.int8)}, "asked"),
        ({"near": np.zeros(2, dtype=np.float32)}, "near"),
    ],
)
def test_wrong_tensors_are_refused_at_load(make_artifact, asked, change, told):
    items, inputs = asked
    good = calibrate(make_artifact(), items, inputs, _answers(items), COSTS, name="x").artifact
    with pytest.raises(RouterError, match=told):
        strategy("calibrated").load(
            good.params, {**good.weights, **change}, models=2, dimension=8, surface=inputs.surface.shape[1]
        )


@pytest.mark.parametrize("params", [{}, {"known": 3}, {"known": 3, "strategy": "calibrated", "params": {}},
                                    {"known": 3, "strategy": "ridge", "params": 1}, {"known": 0}])  # fmt: skip
def test_wrong_parameters_are_refused_at_load(params):
    with pytest.raises(RouterError, match=r"router\.json"):
        strategy("calibrated").load(params, {}, models=2, dimension=8, surface=27)


def test_it_is_made_not_trained():
    assert "calibrated" not in strategy_names()
    with pytest.raises(RouterError, match="is made from a trained artifact"):
        strategy("calibrated").select(None, None)
    with pytest.raises(RouterError, match="is made from a trained artifact"):
        strategy("calibrated").fit(None, None, {}, seed=0)


def test_more_answers_give_a_narrower_interval():
    draw = np.random.default_rng(0)
    known = draw.random((800, 4))
    answers = (draw.random(800) < known.mean(axis=1) * 0.6 + 0.2).astype(np.float64)
    few, many = fit_ability(known[:50], answers[:50]), fit_ability(known, answers)
    (_, wide), (mean, narrow) = few.mean(known), many.mean(known)
    assert narrow < wide / 2
    assert abs(mean - answers.mean()) < 0.02
    assert abs(few.mean(known)[0] - answers.mean()) < 3 * wide


def test_how_many_answers_are_enough():
    assert least_answers(10) == least_answers(40) == LEAST_ANSWERS
    assert least_answers(432) == 216
