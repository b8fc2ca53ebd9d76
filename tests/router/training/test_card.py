import dataclasses

from routeiq_router.training.card import write_card


def test_the_card_names_data_embedder_parameters_command_and_figures(make_artifact):
    artifact = make_artifact("ensemble")
    pool = {
        "prompts": 30, "aiq": 0.7, "aiq_hull": 0.6, "aiq_gain": 0.1, "aiq_gain_interval": [-0.01, 0.2],
        "cost_at_95": None, "mean_quality": 0.8, "best_model": "all-70b", "best_model_quality": 0.75,
        "oracle_quality": 0.9,
    }  # fmt: skip
    fit = {"prompts": 30, "mean": 0.5, "rmse": 0.4, "baseline_rmse": 0.5, "correlation": 0.3, "ece": 0.0421}
    training = {
        "data": [{"name": "small.jsonl", "rows": 300, "sha256": "ab" * 32}],
        "prompts": 270,
        "held_out": {"prompts": 30, "fraction": 0.1},
        "seed": 4,
        "libraries": {"numpy": "2"},
    }
    artifact = dataclasses.replace(
        artifact, training=training, metrics={"pools": [pool], "models": {"all-70b": fit}}
    )
    card = write_card(artifact, weights_size=1_230_000, command="routeiq router train --seed 4")
    for text in (
        "$ routeiq router train --seed 4", "ab" * 32, artifact.embedder.digest, "1.23 MB", "ridge (alpha 1.0)",
        "+0.1000 [-0.0100, +0.2000]", "not reached", "| all-70b | 70 | 30 |", "Trained on 270 prompts; 30 (10%)",
        "| 0.0421 |", "0.0421 in the mean of the models",
    ):  # fmt: skip
        assert text in card
