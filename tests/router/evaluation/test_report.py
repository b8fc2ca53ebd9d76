import numpy as np

from routeiq_router.evaluation.report import MIN_POOL, quality_report
from routeiq_router.evaluation.text import report_text

COSTS = {"a": 1.0, "b": 5.0, "c": 9.0}


def report(scores: np.ndarray) -> dict:
    draw = np.random.default_rng(0)
    prompts = [f"prompt {index}" for index in range(len(scores))]
    return quality_report(
        draw.random(scores.shape).astype(np.float32), scores, prompts, ["a", "b", "c"], COSTS, seed=0
    )


def test_prompts_are_pooled_by_the_models_measured_on_them():
    scores = np.random.default_rng(1).random((130, 3)).astype(np.float32)
    scores[:90, 2] = np.nan
    found = report(scores)
    assert [(pool["models"], pool["prompts"]) for pool in found["pools"]] == [
        (["a", "b"], 90),
        (["a", "b", "c"], 40),
    ]
    assert {name: fit["prompts"] for name, fit in found["models"].items()} == {"a": 130, "b": 130, "c": 40}


def test_a_pool_too_small_or_of_one_model_says_nothing():
    scores = np.random.default_rng(1).random((MIN_POOL + 50, 3)).astype(np.float32)
    scores[: MIN_POOL - 1, 2] = np.nan
    scores[MIN_POOL - 1 :, 1:] = np.nan
    assert report(scores)["pools"] == []


def test_the_text_shows_every_model_and_figure():
    found = report(np.random.default_rng(1).random((60, 3)).astype(np.float32))
    result = {
        "artifact": {"name": "tiny", "strategy": "knn", "digest": "sha256:" + "0" * 64},
        "prompts_used": 60,
        "prompts_given": 61,
        "pools": found["pools"],
        "per_model": found["models"],
    }
    text = report_text(result)
    assert "60 of 61 prompts used" in text
    assert f"{found['pools'][0]['aiq']:.4f}" in text
    assert all(f"\n{model} " in text for model in "abc")
