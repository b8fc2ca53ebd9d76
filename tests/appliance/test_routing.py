"""`auto` by a signed artifact: a real router, made here and signed with a throw-away key."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from routeiq_appliance.config.models import AutoSection
from routeiq_appliance.routing import artifact
from routeiq_appliance.routing.artifact import load_router
from routeiq_appliance.routing.board import Board
from routeiq_appliance.routing.interface import Terms
from routeiq_appliance.routing.learned import Learned
from routeiq_appliance.routing.load import load_strategies
from routeiq_router.objective import Objective
from routeiq_signing.errors import RouteIQError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.model_trust import sign_model_folder


class _Ranked:
    def __init__(self, group: str, score: float) -> None:
        self.group, self.score = group, score


class _Decision:
    ranking = (_Ranked("large", 0.75), _Ranked("small", 0.5))
    group, score, reason, artifact_digest = "large", 0.75, "highest quality minus weighted cost", "sha256:00"
    cached = False


class _Remembered(_Decision):
    cached = True


class _Router:
    """Has the parts of `routeiq_router.router.Router` that the strategy uses."""

    strategy, digest = "knn", "sha256:00"

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.known: set[str] = set()

    models = ("m", "m1", "m2", "m3", "named")

    def check_models(self, model_map: Any) -> None:
        assert model_map is not None

    def recall(self, prompt: str, candidates: dict[str, str], **terms: Any) -> _Decision | None:
        assert candidates
        assert set(terms) == {"costs", "latencies", "objective", "seed"}
        return _Remembered() if prompt in self.known else None

    def rank(self, prompt: str, candidates: dict[str, str], **terms: Any) -> _Decision:
        self.asked.append((prompt, candidates, terms))
        return _Decision()


async def test_the_artifact_ranks_only_the_candidates() -> None:
    router = _Router()
    strategy = Learned(router, {"small": "m1", "large": "m2", "other": "m3"})  # type: ignore[arg-type]
    objective = Objective(1, 0.25)
    choice = await strategy.choose(
        "why?", ("small", "large"), Terms(objective, 7, {"small": 1.0, "large": 2.0})
    )
    terms = {"costs": {"small": 1.0, "large": 2.0}, "latencies": None, "objective": objective, "seed": 7}
    assert router.asked == [("why?", {"small": "m1", "large": "m2"}, terms)]
    assert (choice.group, choice.score, choice.strategy) == ("large", 0.75, "ml-knn")
    assert choice.ranking == (("large", 0.75), ("small", 0.5))
    assert choice.artifact == "sha256:00"


async def test_a_remembered_prompt_is_decided_without_the_executor() -> None:  # D6
    router = _Router()
    strategy = Learned(router, {"a": "m"})  # type: ignore[arg-type]
    assert not (await strategy.choose("why?", ("a",), Terms())).cached
    router.known |= {"why?", "x" * 100_000}
    choice = await strategy.choose("why?", ("a",), Terms())
    assert (choice.group, choice.score, choice.cached) == ("large", 0.75, True)
    assert len(router.asked) == 1
    await strategy.choose("x" * 100_000, ("a",), Terms())  # too long to be hashed on the event loop
    assert len(router.asked) == 2


async def test_what_is_remembered_is_decided_however_many_wait() -> None:
    router = _Router()
    router.known.add("known")
    strategy = Learned(router, {"a": "m"})  # type: ignore[arg-type]
    choices = await asyncio.gather(
        *(strategy.choose("x", ("a",), Terms()) for _ in range(300)),
        strategy.choose("known", ("a",), Terms()),
    )
    assert choices[-1].cached


async def test_a_group_stands_for_itself_where_the_artifact_has_its_name() -> None:
    router = _Router()
    strategy = Learned(router, {"small": "m1"})  # type: ignore[arg-type]
    await strategy.choose("why?", ("new", "small", "named"), Terms())
    assert router.asked[0][1] == {"new": None, "small": "m1", "named": "named"}


async def test_candidates_that_no_prediction_knows_follow_the_declared_order() -> None:
    router = _Router()
    strategy = Learned(router, {"small": "m1"})  # type: ignore[arg-type]
    choice = await strategy.choose("why?", ("new", "newer"), Terms())
    assert (choice.group, choice.score, router.asked) == ("new", None, [])
    assert choice.reason == "declared order: no candidate is calibrated"


async def test_too_many_waiting_prompts_take_the_declared_order() -> None:
    strategy = Learned(_Router(), {"a": "m"})  # type: ignore[arg-type]
    choices = await asyncio.gather(*(strategy.choose("x", ("a",), Terms()) for _ in range(400)))
    declared = [c for c in choices if c.reason.startswith("declared order: too many")]
    assert len(declared) == 400 - 256


@pytest.fixture
def models(tmp_path: Path) -> Path:
    root = tmp_path / "models"
    for name in ("routers/a", "sentence-transformers/all-MiniLM-L6-v2"):
        (root / name).mkdir(parents=True)
        (root / name / "README.md").write_text("a model\n")
    return root


def _load(models: Path, key: Path | None) -> Any:
    auto = AutoSection(artifact="routers/a", model_map={"a": "m"})
    return load_router(auto, models_path=models, trust_key=key, bundle_json=models / "none.json")


def test_an_unsigned_foreign_or_pickled_artifact_is_never_loaded(
    models: Path, tmp_path: Path
) -> None:  # A7, I5
    key, other = PrivateKey.generate(), PrivateKey.generate()
    pem = tmp_path / "key.pub"
    pem.write_bytes(key.public.pem)
    with pytest.raises(RouteIQError, match="not signed"):
        _load(models, pem)
    sign_model_folder(models / "routers/a", other)
    with pytest.raises(RouteIQError, match=r"model\.sig"):
        _load(models, pem)
    sign_model_folder(models / "routers/a", key)
    (models / "routers/a" / "README.md").write_text("changed\n")
    with pytest.raises(RouteIQError, match=r"README\.md"):
        _load(models, pem)
    with pytest.raises(RouteIQError, match="no key is trusted"):
        _load(models, None)


def test_the_time_that_a_strategy_took_to_load_is_told(monkeypatch: pytest.MonkeyPatch) -> None:  # K5
    told: list[tuple[str, float]] = []
    monkeypatch.setattr(artifact, "load_router", lambda *_args, **_names: _Router())
    auto = AutoSection(artifact="routers/a", model_map={"small": "m"})
    config: Any = SimpleNamespace(routeiq=SimpleNamespace(auto=auto, unsafe_artifacts=[]))
    settings: Any = SimpleNamespace(models_path=Path(), trust_key=None, bundle_json=Path(), strategy="ml")
    found = load_strategies(settings, config, {"small": ()}, Board(), lambda *each: told.append(each))
    assert found["ml"].name == "ml-knn"
    assert [name for name, seconds in told if seconds >= 0] == ["ml"]
