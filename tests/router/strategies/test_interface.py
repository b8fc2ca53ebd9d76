import numpy as np

from routeiq_router.strategies.interface import best_of, squared_error


def test_squared_error_leaves_missing_scores_out_and_weighs_models_alike():
    scores = np.asarray([[1, np.nan], [0, np.nan], [1, 1]], dtype=np.float32)
    predicted = np.asarray([[0, 0.3], [0, 0.9], [1, 0.5]], dtype=np.float32)
    assert squared_error(predicted, scores) == (1 / 3 + 0.25) / 2


def test_best_of_takes_the_first_among_equals():
    scores = np.zeros((2, 1), dtype=np.float32)
    errors = {"a": 0.5, "b": 0.1, "c": 0.1}
    grid = [{"at": name} for name in errors]
    chosen = best_of(None, grid, lambda _, params: np.full((2, 1), errors[params["at"]], np.float32), scores)
    assert chosen == {"at": "b"}
