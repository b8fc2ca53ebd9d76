import numpy as np

from routeiq_router.strategies import knn
from routeiq_router.strategies.interface import Inputs, predict_blocks
from routeiq_router.strategies.knn import KnnStrategy

PARAMS = {
    "components": 4,
    "neighbours": 20,
    "surface_weight": 0.5,
    "temperature": 0.2,
    "temperature_between": 0.2,
}


def test_the_index_stays_within_its_budget_and_the_draw_is_seeded(small_training, monkeypatch):
    inputs, scores = small_training
    monkeypatch.setattr(knn, "_BUDGET", 4 * 8 * 5 + 100 * (4 + inputs.surface.shape[1] + 3))
    made = [KnnStrategy().fit(inputs, scores, PARAMS, seed=seed) for seed in (0, 0, 1)]
    assert made[0]["index"].shape == (100, 4 + inputs.surface.shape[1])
    assert np.array_equal(made[0]["index"], made[1]["index"])
    assert not np.array_equal(made[0]["index"], made[2]["index"])


def test_the_index_is_small_integers_without_text(small_training):
    made = KnnStrategy().fit(*small_training, PARAMS, seed=0)
    assert (made["index"].dtype, made["scores"].dtype) == (np.int8, np.uint8)
    assert set(made) == {
        "centre", "index", "prior", "projection", "scores", "step", "surface_mean", "surface_scale",
    }  # fmt: skip


def test_level_and_differences_have_temperatures_of_their_own(small_training):
    inputs, scores = small_training
    made = KnnStrategy().fit(inputs, scores, PARAMS, seed=0)

    def predict(**changes):
        load = KnnStrategy().load(
            {**PARAMS, **changes}, made, models=3, dimension=8, surface=inputs.surface.shape[1]
        )
        return load.predict(inputs)

    base, level, between = predict(), predict(temperature=0.01), predict(temperature_between=0.01)
    np.testing.assert_allclose(
        base - base.mean(1, keepdims=True), level - level.mean(1, keepdims=True), atol=1e-5
    )
    np.testing.assert_allclose(base.mean(1), between.mean(1), atol=1e-5)
    assert not np.allclose(base, level)
    assert not np.allclose(base, between)


def test_more_neighbours_than_prompts_are_all_of_them(small_training):
    inputs, scores = small_training
    few = Inputs(inputs.embeddings[:5], inputs.surface[:5])
    params = {**PARAMS, "neighbours": 1000, "temperature": 1e3, "temperature_between": 1e3}
    made = KnnStrategy().fit(few, scores[:5], params, seed=0)
    loaded = KnnStrategy().load(params, made, models=3, dimension=8, surface=inputs.surface.shape[1])
    np.testing.assert_allclose(
        loaded.predict(inputs), np.tile(scores[:5].mean(0), (len(inputs), 1)), atol=0.01
    )


def test_blocks_give_what_one_call_gives(small_training):
    inputs, scores = small_training
    made = KnnStrategy().fit(inputs, scores, PARAMS, seed=0)
    loaded = KnnStrategy().load(PARAMS, made, models=3, dimension=8, surface=inputs.surface.shape[1])
    np.testing.assert_allclose(
        predict_blocks(loaded, inputs, block=7), predict_blocks(loaded, inputs), atol=1e-6
    )
