"""The LiteLLM plug-in without LiteLLM: its file, its choices, and that it never fails a request."""

import types
from pathlib import Path

import pytest
import yaml
from tests.appliance.routed import ADDS, CODES, signed_models

from routeiq_router import litellm_plugin
from routeiq_router.errors import RouterError
from routeiq_router.litellm_config import read_config
from routeiq_router.litellm_plugin import load_plugin, users_text
from routeiq_signing.errors import RouteIQError
from routeiq_signing.keys import PrivateKey

MODELS = {"first": "adds", "second": "codes"}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plugin")
    signed_models(folder)
    return folder


def _file(place: Path, name: str = "plugin.yaml", **changes) -> dict[str, str]:
    given = {
        "artifact": "models/routers/tiny", "embedder": "models/embedders/tiny", "trust_key": "models.pub",
        "models": MODELS,
    }  # fmt: skip
    path = place / name
    path.write_text(yaml.safe_dump({**given, **changes}, sort_keys=False), encoding="utf-8")
    return {"ROUTEIQ_PLUGIN_CONFIG": str(path)}


def _says(text: str) -> list[dict]:
    return [{"role": "system", "content": CODES}, {"role": "user", "content": text}]


async def test_the_users_turns_decide(place):
    plugin = load_plugin(_file(place))
    assert (await plugin.choose(_says(ADDS))).name == "first"
    chosen = await plugin.choose(_says(CODES))
    assert (chosen.name, chosen.ranking) == ("second", ("second", "first"))
    assert chosen.score == pytest.approx(0.9, abs=0.01)
    assert chosen.told()["artifact"].startswith("sha256:")


async def test_costs_and_objective_come_from_the_file(place):
    environ = _file(place, "dear.yaml", objective={"quality": 0, "cost": 1}, costs={"first": 5, "second": 1})
    assert (await load_plugin(environ).choose(_says(ADDS))).name == "second"


async def test_a_routing_plugin_leaves_the_chosen_model_only(place):
    plugin = load_plugin(_file(place, "narrow.yaml", deployments={"openai/a": "adds", "openai/c": "codes"}))

    def context(*models):
        return types.SimpleNamespace(
            structured_messages=_says(CODES), candidate_models=list(models), signals={}, metadata={}
        )

    narrowed = await plugin.run(context("openai/a", "openai/c", "openai/other"))
    assert narrowed.candidate_models == ["openai/c"]
    assert narrowed.signals["routeiq"]["model"] == "openai/c"
    for models in (["openai/a"], ["openai/x", "openai/y"]):  # nothing to choose, nothing known: left alone
        assert (await plugin.run(context(*models))).candidate_models == models


@pytest.mark.parametrize(
    "messages", [None, [], "", 5, [{"role": "user"}], [{"role": "user", "content": [{"text": 1}]}]]
)
async def test_what_cannot_be_judged_follows_the_declared_order_and_says_so(place, messages):
    chosen = await load_plugin(_file(place)).choose(messages)
    assert (chosen.name, chosen.score) == ("first", None)
    assert chosen.reason.startswith("declared order: ")


async def test_no_failure_of_the_router_fails_a_request(place, monkeypatch, caplog):
    plugin = load_plugin(_file(place))
    monkeypatch.setattr(plugin._router, "rank", lambda *_, **__: 1 / 0)
    chosen = await plugin.choose(_says(ADDS))
    assert (chosen.name, chosen.reason) == ("first", "declared order: ZeroDivisionError")
    assert "no decision (ZeroDivisionError)" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"artifact": "models/none"}, "models/none"),
        ({"trust_key": "none.pub"}, "none.pub"),
        ({"models": {}}, "'models' does not map"),
        ({"models": {"a": 1}}, "'models' does not map"),
        ({"models": {"a": "unknown"}}, "knows no model 'unknown'"),
        ({"deployments": {"a": "unknown"}}, "knows no model 'unknown'"),
        ({"costs": {"first": 1}}, "'costs' does not map every"),
        ({"costs": {"first": 1, "second": -1}}, "'costs' does not map every"),
        ({"objective": "cost=nan"}, "objective: cost='nan'"),
        ({"artefact": "x"}, "unknown name 'artefact'"),
        ({"model": 5}, "'model' is not a text"),
    ],
)
def test_a_wrong_file_is_refused_at_load(place, changes, message):
    with pytest.raises(RouteIQError) as caught:
        load_plugin(_file(place, "wrong.yaml", **changes))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "data", [b"", b"- a", b"{", b"\xff", b"a: [", b"!!python/object:os.system {}", b" " * (2 << 20)]
)
def test_a_file_that_is_none_is_refused(tmp_path, data):
    (tmp_path / "f.yaml").write_bytes(data)
    with pytest.raises(RouterError, match=r"f\.yaml"):
        read_config(tmp_path / "f.yaml")


def test_an_unset_or_missing_file_is_named(tmp_path):
    with pytest.raises(RouterError, match="ROUTEIQ_PLUGIN_CONFIG: is not set"):
        load_plugin({})
    with pytest.raises(RouterError, match=r"none\.yaml: No such file"):
        load_plugin({"ROUTEIQ_PLUGIN_CONFIG": str(tmp_path / "none.yaml")})


def test_an_artifact_that_was_changed_or_is_signed_by_another_is_refused(tmp_path):  # A7
    signed_models(tmp_path)
    (tmp_path / "other.pub").write_bytes(PrivateKey.generate().public.pem)
    with pytest.raises(RouteIQError, match=r"model\.sig"):
        load_plugin(_file(tmp_path, trust_key="other.pub"))
    weights = tmp_path / "models/routers/tiny/weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RouteIQError, match=r"weights\.safetensors"):
        load_plugin(_file(tmp_path))
    (tmp_path / "models/routers/tiny/model.sig").unlink()
    with pytest.raises(RouteIQError, match="not signed"):
        load_plugin(_file(tmp_path))


def test_the_names_that_litellm_looks_up_are_made_once(place, monkeypatch):
    monkeypatch.setenv("ROUTEIQ_PLUGIN_CONFIG", _file(place)["ROUTEIQ_PLUGIN_CONFIG"])
    litellm_plugin._shared_plugin.cache_clear()
    try:
        assert litellm_plugin.plugin is litellm_plugin.plugin
    finally:
        litellm_plugin._shared_plugin.cache_clear()
    with pytest.raises(AttributeError, match="other"):
        _ = litellm_plugin.other


def test_of_messages_only_the_users_words_are_read():
    parts = [{"type": "text", "text": "b"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    messages = [
        {"role": "system", "content": "s"}, {"role": "user", "content": "a"}, {"role": "assistant", "content": "x"},
        {"role": "user", "content": parts}, {"role": "tool", "content": "t"},
    ]  # fmt: skip
    assert users_text(messages) == "a\nb"
    assert users_text("plain") == "plain"
    assert users_text(["one", "two"]) == "one\ntwo"
    assert len(users_text([{"role": "user", "content": "x" * 10**6}])) == 200_000
