import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from routeiq_router.artifact import dump_artifact
from routeiq_router.errors import RouterError
from routeiq_router.limits import Limits
from routeiq_router.objective import read_objective
from routeiq_router.router import Router

CANDIDATES = {"cheap": "maths-7b", "dear": "all-70b"}
SUM, CODE = "add the number 12 plus 30", "write code function that sorts the list"


@pytest.fixture(params=["knn", "ridge", "ensemble"])
def router(request, make_artifact, embedder_files) -> Router:
    return Router.load(dump_artifact(make_artifact(request.param)), embedder_files)


def test_a_loaded_artifact_predicts_what_it_learnt(router):
    on_sum, on_code = router.predict(SUM), router.predict(CODE)
    assert set(on_sum) == {"maths-7b", "code-13b", "all-70b"}
    assert all(0 <= quality <= 1 for quality in (*on_sum.values(), *on_code.values()))
    assert on_sum["maths-7b"] - on_sum["code-13b"] > 0.2
    assert on_code["code-13b"] - on_code["maths-7b"] > 0.2


def test_a_decision_carries_all_that_it_was_made_of(router):
    decision = router.rank(SUM, CANDIDATES, cost_weight=0.3)
    assert decision.group == "cheap"
    assert decision.score == decision.ranking[0].score
    assert [entry.group for entry in decision.ranking] == ["cheap", "dear"]
    assert decision.ranking[1].normalised_cost == 1
    assert decision.artifact_digest == router.digest
    assert decision.strategy == router.strategy
    assert decision.reason == "highest quality minus weighted cost"
    assert decision.duration_seconds > 0


@pytest.mark.parametrize(
    ("objective", "reason"),
    [
        ("quality=1", "highest quality minus weighted cost"),
        ("quality=1,latency=0.1", "highest quality minus weighted cost and latency"),
        ("floor=10%", "cheapest that reaches floor=10%"),
        ("floor=1", "highest quality: none reaches floor=1"),
    ],
)
def test_the_reason_is_that_of_the_objective(router, objective, reason):  # D9
    for ask in (router.rank, router.recall):
        assert ask(SUM, CANDIDATES, objective=read_objective(objective)).reason == reason


def test_candidates_that_the_artifact_does_not_know_keep_their_order_and_the_reason_says_so(router):
    decision = router.rank(SUM, {"b": None, "a": None}, objective=read_objective("floor=0.5"))
    assert (decision.group, decision.score) == ("b", None)
    assert decision.reason == "declared order: the artifact knows none of the candidates"


def test_the_choice_follows_the_prompt(router):
    candidates = {"maths": "maths-7b", "code": "code-13b"}
    assert router.rank(SUM, candidates).group == "maths"
    assert router.rank(CODE, candidates).group == "code"


def test_costs_of_the_site_go_before_those_of_the_artifact(router):
    free = router.rank(SUM, CANDIDATES, cost_weight=10, costs={"dear": 0.0})
    assert free.group == "dear"


@pytest.mark.parametrize("prompt", ["", " \n ", "!!! …", "\x00\x01"])
def test_a_prompt_without_text_leaves_the_declared_order(router, prompt):
    decision = router.rank(prompt, {"b": "all-70b", "a": "maths-7b"}, cost_weight=1)
    assert (decision.group, decision.score) == ("b", None)
    assert decision.reason == "declared order: the prompt has no text to judge"


@pytest.mark.parametrize("prompt", ["x" * 1_000_000, "\ud800a", "日本語で答えて", "\x1b[31m" * 1000, "🙂 a"])
def test_no_prompt_fails_a_decision(router, prompt):
    assert router.rank(prompt, CANDIDATES).group in CANDIDATES


def test_a_prompt_is_judged_once_while_it_is_remembered(router):
    assert router.recall(SUM, CANDIDATES, 0.3) is None
    first = router.rank(SUM, CANDIDATES, 0.3)
    again, recalled = router.rank(SUM, CANDIDATES, 0.3), router.recall(SUM, CANDIDATES, 0.3)
    assert (first.cached, again.cached, recalled.cached) == (False, True, True)
    assert first.ranking == again.ranking == recalled.ranking
    assert (recalled.reason, recalled.artifact_digest) == (first.reason, first.artifact_digest)


def test_what_is_remembered_serves_other_candidates_weights_and_costs(router, embedder_files):
    router.rank(SUM, CANDIDATES)
    other, costs = {"code": "code-13b", "dear": "all-70b"}, {"dear": 0.0}
    fresh = Router.load(dump_artifact(router.artifact), embedder_files)
    recalled = router.recall(SUM, other, 5.0, costs=costs)
    assert recalled.ranking == fresh.rank(SUM, other, 5.0, costs=costs).ranking
    with pytest.raises(RouterError, match="knows no model"):
        router.recall(SUM, {"dear": "gpt4"})


def test_memory_of_prompts_is_bounded_by_entries_and_bytes(make_artifact, embedder):
    for limits in (Limits(cache_entries=3), Limits(cache_bytes=3 * (400 + 32 * 3) + 1)):
        router = Router(make_artifact(), embedder, limits=limits)
        for number in range(5):
            router.rank(f"add number {number}", CANDIDATES)
        kept = [n for n in range(5) if router.recall(f"add number {n}", CANDIDATES)]
        assert kept == [2, 3, 4]


def test_warming_up_changes_no_decision_and_is_not_remembered(make_artifact, embedder):
    cold, warm = Router(make_artifact("knn"), embedder), Router(make_artifact("knn"), embedder)
    warm.warm_up()
    assert len(warm._known) == 0
    assert warm.rank(SUM, CANDIDATES, 0.3).ranking == cold.rank(SUM, CANDIDATES, 0.3).ranking


def test_what_could_not_be_judged_is_not_remembered(make_artifact, embedder):
    router = Router(make_artifact(), embedder)
    encoder = embedder._encoder

    class Broken:
        def encode(self, token_ids):
            raise RouterError("m.onnx: cannot embed: out of memory")

    embedder._encoder = Broken()
    assert router.rank("never seen before", CANDIDATES).score is None
    embedder._encoder = encoder
    assert router.recall("never seen before", CANDIDATES) is None
    assert router.rank("never seen before", CANDIDATES).score is not None
    assert router.rank(" ", CANDIDATES).cached is False
    assert router.recall(" ", CANDIDATES) is None


def test_an_embedder_that_fails_leaves_the_declared_order(make_artifact, embedder):
    router = Router(make_artifact(), embedder)

    class Broken:
        def encode(self, token_ids):
            raise RouterError("m.onnx: cannot embed: out of memory")

    embedder._encoder = Broken()
    decision = router.rank("never seen before", {"b": "all-70b", "a": "maths-7b"})
    assert (decision.group, decision.reason) == ("b", "declared order: m.onnx: cannot embed: out of memory")


def test_a_group_mapped_to_an_unknown_model_is_refused(router):
    with pytest.raises(RouterError, match=r"^dear: artifact 'tiny' knows no model 'gpt4'") as caught:
        router.rank(SUM, {"dear": "gpt4"})
    assert "maths-7b" in (caught.value.hint or "")


def test_many_threads_get_the_same_decisions(router):
    prompts = [f"{text} {index}" for index in range(20) for text in (SUM, CODE)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda prompt: router.rank(prompt, CANDIDATES).ranking, prompts))
    assert together == [router.rank(prompt, CANDIDATES).ranking for prompt in prompts]


def test_another_embedder_is_refused(make_artifact, embedder_files, make_onnx, tiny_table):
    other = {**embedder_files, "onnx/model_int8.onnx": make_onnx(tiny_table + 1)}
    with pytest.raises(RouterError, match=r"^router\.json: was trained with embedder sha256:"):
        Router.load(dump_artifact(make_artifact()), other)


def test_other_text_rules_are_refused(make_artifact, embedder_files):
    with pytest.raises(RouterError, match="text rules head-tail/v2, surface/v0"):
        Router.load(dump_artifact(make_artifact(surface="surface/v0")), embedder_files)


def test_an_artifact_of_an_older_release_is_refused_with_advice(make_artifact, embedder_files):
    # Trained on the first and last 128 tokens: other vectors for long prompts.
    made = make_artifact()
    older = dataclasses.replace(made, embedder=dataclasses.replace(made.embedder, truncation="head-tail/v1"))
    with pytest.raises(RouterError, match=r"text rules head-tail/v1, .* has head-tail/v2") as caught:
        Router.load(dump_artifact(older), embedder_files)
    assert "train the artifact again" in caught.value.hint


def test_an_unknown_strategy_is_refused(make_artifact, embedder_files):
    artifact = dataclasses.replace(make_artifact(), strategy="../os")
    with pytest.raises(RouterError, match=r"^\.\./os: no such strategy"):
        Router.load(dump_artifact(artifact), embedder_files)


@pytest.mark.parametrize("fault", ["nan", "shape", "type", "missing"])
@pytest.mark.parametrize(
    ("name", "tensor"), [("ridge", "intercept"), ("knn", "centre"), ("ensemble", "knn.prior")]
)
def test_a_spoilt_tensor_is_refused_by_name(make_artifact, embedder_files, name, tensor, fault):
    artifact = make_artifact(name)
    weights = dict(artifact.weights)
    spoilt = {
        "nan": np.full_like(weights[tensor], np.nan),
        "shape": weights[tensor][:-1],
        "type": weights[tensor].astype(np.float64),
    }
    if fault == "missing":
        del weights[tensor]
    else:
        weights[tensor] = spoilt[fault]
    with pytest.raises(RouterError, match=f"tensor '{tensor.split('.')[-1]}' is"):
        Router.load(dump_artifact(dataclasses.replace(artifact, weights=weights)), embedder_files)


@pytest.mark.parametrize("value", [None, "3", True, -1, 1e9])
def test_a_wrong_parameter_is_refused_by_name(make_artifact, embedder_files, value):
    artifact = dataclasses.replace(make_artifact("ridge"), params={"alpha": value})
    with pytest.raises(RouterError, match=r"^router\.json: parameter 'alpha' is"):
        Router.load(dump_artifact(artifact), embedder_files)


def test_an_ensemble_without_its_members_parameters_is_refused(make_artifact, embedder_files):
    artifact = dataclasses.replace(make_artifact("ensemble"), params={"knn_share": 0.5})
    with pytest.raises(RouterError, match="parameters of 'knn' are missing"):
        Router.load(dump_artifact(artifact), embedder_files)
