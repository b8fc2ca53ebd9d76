"""`auto` through the whole gateway with a signed artifact: objectives, filters, groups put last, explained."""

import json
from collections.abc import AsyncGenerator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from tests.appliance.routed import ADDS, CODES, signed_models

from routeiq_appliance.cli.main import main
from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.state.tables import embeddings

CHAT = "/v1/chat/completions"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}


def _entry(group: str, price: str, info: str = "") -> str:
    return f"""
  - model_name: {group}
    litellm_params: {{model: openai/{group}, api_base: "http://127.0.0.1:9/v1", max_retries: 0,
                      input_cost_per_token: {price}, output_cost_per_token: {price}}}
    model_info: {{id: {group}-1{info}}}"""


CONFIG = (
    "model_list:"
    + _entry("adds", "1e-6", ", supports_vision: false, max_input_tokens: 500")
    + _entry("codes", "2e-6", ", supports_function_calling: false, supports_vision: false")
    + _entry("both", "1e-5", ", supports_response_schema: true, supports_vision: true")
    + """
routeiq:
  egress: open
  auto: {candidates: [adds, codes, both], artifact: routers/tiny, embedder: embedders/tiny}
"""
)


@pytest.fixture
async def gateway(
    run_gateway: Callable[..., AsyncGenerator[Any, None]], tmp_path: Path
) -> AsyncGenerator[Any, None]:
    async for running in run_gateway(CONFIG, **_settings(tmp_path)):
        yield running


def _settings(folder: Path) -> dict[str, Any]:
    return {"ROUTEIQ_TRUST_KEY": signed_models(folder), "ROUTEIQ_MODELS_PATH": folder / "models"}


async def _ask(
    gateway: Any, prompt: Any = ADDS, *, headers: dict[str, str] | None = None, key: str = "", **body: Any
) -> Any:
    auth = {"authorization": f"Bearer {key}"} if key else gateway.auth
    message = {"role": "user", "content": prompt}
    return await gateway.client.post(
        CHAT, json={"model": "auto", "messages": [message], **body}, headers={**auth, **(headers or {})}
    )


async def _explained(gateway: Any, answer: Any) -> dict[str, Any]:
    decision = answer.headers["x-routeiq-decision-id"]
    found = await gateway.client.get(f"/router/decisions/{decision}", headers=gateway.auth)
    assert found.status_code == 200, found.text
    explained: dict[str, Any] = json.loads(found.text, parse_float=Decimal)
    return explained


async def test_the_artifact_calls_the_groups_by_their_names_and_the_prompt_decides(gateway: Any) -> None:
    assert (await _ask(gateway, ADDS)).headers["x-routeiq-model"] == "adds"
    assert (await _ask(gateway, CODES)).headers["x-routeiq-model"] == "codes"


NOT_TO_BE_JUDGED: dict[str, list[dict[str, Any]]] = {
    "empty": [{"role": "user", "content": ""}],
    "control characters": [{"role": "user", "content": "\x00\x01\x1b\x7f" * 100}],
    "1 MB of brackets": [{"role": "user", "content": "[" * 1_000_000}],
    "1 MB of emoji": [{"role": "user", "content": "🙂" * 250_000}],
    "images only": [{"role": "user", "content": [IMAGE]}],
    "no user": [{"role": "system", "content": ADDS}, {"role": "assistant", "content": ADDS}],
    "200 messages of nobody": [{"role": "tool", "tool_call_id": "x", "content": ADDS}] * 200,
}


async def test_a_prompt_that_cannot_be_judged_is_answered_in_declared_order_and_the_record_says_so(
    gateway: Any,
) -> None:
    for name, messages in NOT_TO_BE_JUDGED.items():
        answer = await gateway.client.post(
            CHAT, json={"model": "auto", "messages": messages}, headers=gateway.auth
        )
        assert answer.status_code == 200, name
        found = await _explained(gateway, answer)
        assert found["reason"] == "declared order: the prompt has no text to judge", name
        left = [g for g in ("adds", "codes", "both") if g not in {f["group"] for f in found["filtered"]}]
        assert (answer.headers["x-routeiq-model"], "x-routeiq-score" in answer.headers) == (left[0], False)


async def test_a_header_weighs_cost_by_the_sites_own_prices(gateway: Any) -> None:
    dear = await _ask(gateway, CODES, headers={"x-routeiq-objective": "floor=0.75"})
    assert dear.headers["x-routeiq-model"] == "codes"  # 0.9, a fifth of the price of `both`
    cheap = await _ask(gateway, CODES, headers={"x-routeiq-objective": "quality=0,cost=1"})
    assert cheap.headers["x-routeiq-model"] == "adds"


async def test_an_explanation_has_all_that_decided_and_what_the_runner_up_would_have_cost(
    gateway: Any,
) -> None:
    answer = await _ask(gateway, CODES, headers={"x-routeiq-objective": "quality=1,cost=0.1"})
    found = await _explained(gateway, answer)
    assert (found["group"], found["deployment"], found["strategy"]) == ("codes", "codes-1", "ml-ridge")
    assert (found["objective"], found["objective_from"]) == ("quality=1,cost=0.1", "x-routeiq-objective")
    assert found["artifact"].startswith("sha256:")
    assert isinstance(found["seed"], int)
    assert [item["group"] for item in found["candidates"]] == ["codes", "both", "adds"]
    assert [float(item["cost"]) for item in found["candidates"]] == [0.2, 1.0, 0.1]
    first = found["candidates"][0]
    assert float(first["score"]) == pytest.approx(0.9 - 0.1 * 0.2, abs=0.01)
    assert (first["model"], float(first["quality"])) == ("codes", pytest.approx(0.9, abs=0.01))
    # 3 + 2 tokens, as the upstream counted them
    assert found["spend"] == Decimal("0.00001")
    other = found["runner_up"]
    assert (other["group"], other["spend"], other["difference"]) == (
        "both",
        Decimal("0.00005"),
        Decimal("0.00004"),
    )
    assert float(other["behind"]) == pytest.approx(
        float(first["score"]) - float(found["candidates"][1]["score"])
    )


async def test_a_prompt_is_in_no_record(gateway: Any) -> None:
    secret = "add the number 7391846"
    answer = await _ask(gateway, secret)
    assert "7391846" not in json.dumps(await _explained(gateway, answer), default=str)
    gateway.rows()
    assert not any(b"7391846" in path.read_bytes() for path in gateway.data_dir.rglob("*") if path.is_file())


async def test_the_key_goes_before_its_team_and_the_header_before_both(gateway: Any) -> None:
    team = {"metadata": {"routeiq": {"objective": {"quality": 0, "cost": 1}}}, "team_id": "t"}
    assert (await gateway.client.post("/team/new", json=team, headers=gateway.auth)).status_code == 200
    plain = await gateway.generate_key(team_id="t")
    own = await gateway.generate_key(team_id="t", metadata={"routeiq": {"objective": "floor=95%"}})
    for key, header, model, objective, source in (
        (plain, None, "adds", "quality=0,cost=1", "the key"),
        (own, None, "codes", "floor=95%", "the key"),
        (own, "quality=0,cost=1", "adds", "quality=0,cost=1", "x-routeiq-objective"),
        ("", None, "codes", "quality=1", "the default"),
    ):
        answer = await _ask(
            gateway, CODES, key=key, headers={"x-routeiq-objective": header} if header else None
        )
        assert answer.headers["x-routeiq-model"] == model
        found = await _explained(gateway, answer)
        assert (found["objective"], found["objective_from"]) == (objective, source)


@pytest.mark.parametrize(
    ("auto", "environment", "objective", "source"),
    [
        ("cost_weight: 0.25", "floor=0.5", "quality=1,cost=0.25", "config.yaml"),
        ("cost_weight: 0.0", "floor=0.5", "quality=1", "config.yaml"),
        ("objective: {floor: 0.9}", "floor=0.5", "floor=0.9", "config.yaml"),
        ("strategy: ml", "floor=50%", "floor=50%", "ROUTEIQ_OBJECTIVE"),
    ],
)
async def test_the_configuration_goes_before_the_environment(
    run_gateway: Any, tmp_path: Path, auto: str, environment: str, objective: str, source: str
) -> None:
    config = CONFIG.replace("embedder: embedders/tiny", f"embedder: embedders/tiny, {auto}")
    async for gateway in run_gateway(config, ROUTEIQ_OBJECTIVE=environment, **_settings(tmp_path)):
        found = await _explained(gateway, await _ask(gateway))
        assert (found["objective"], found["objective_from"]) == (objective, source)


@pytest.mark.parametrize(
    "value",
    ["", "cost", "cost=nan", "cost=1e999", "floor=2", "a" * 5000, "cost=1,cost=2", "cost=1\x7f", "quality=0"],
)
async def test_a_hostile_objective_is_refused_with_the_reason(gateway: Any, value: str) -> None:
    for model in ("auto", "adds"):
        answer = await _ask(gateway, headers={"x-routeiq-objective": value}, model=model)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["param"] == "x-routeiq-objective"
        assert error["message"].startswith("`x-routeiq-objective`: ")
        assert "floor=0.8" in error["message"]
    assert gateway.upstream.asked == []


@pytest.mark.parametrize("value", ["cost=nan", {"speed": 1}, 5, [], {"floor": "x"}, {"cost": {"a": 1}}])
async def test_a_wrong_objective_is_refused_when_a_key_or_team_is_made(gateway: Any, value: Any) -> None:
    for path in ("/key/generate", "/team/new"):
        body = {"metadata": {"routeiq": {"objective": value}}}
        answer = await gateway.client.post(path, json=body, headers=gateway.auth)
        assert answer.status_code in {400, 422}
        assert "metadata.routeiq.objective" in answer.text


@pytest.mark.parametrize(
    ("body", "left_out", "needs"),
    [
        ({"tools": TOOLS}, {"codes": "tools"}, ["tools"]),
        ({"response_format": SCHEMA}, {}, ["json_schema"]),
        (
            {"prompt": [{"type": "text", "text": CODES}, IMAGE]},
            {"adds": "vision", "codes": "vision"},
            ["vision"],
        ),
        ({"prompt": CODES + " x" * 1200}, {"adds": "context_window"}, []),
        ({"max_tokens": 490}, {"adds": "context_window"}, []),
    ],
)
async def test_a_group_that_cannot_answer_is_left_out_with_the_reason(
    gateway: Any, body: dict[str, Any], left_out: dict[str, str], needs: list[str]
) -> None:
    answer = await _ask(gateway, **{"prompt": CODES, **body})
    assert answer.headers["x-routeiq-model"] not in left_out
    found = await _explained(gateway, answer)
    assert {item["group"]: item["filter"] for item in found["filtered"]} == left_out
    assert all(item["reason"] for item in found["filtered"])
    assert found["needs"] == needs
    assert not {item["group"] for item in found["candidates"]} & set(left_out)


async def test_what_a_group_does_not_declare_is_allowed_and_noted(gateway: Any) -> None:
    found = await _explained(gateway, await _ask(gateway, tools=TOOLS))
    assert found["undeclared"] == [{"group": "adds", "need": "tools"}, {"group": "both", "need": "tools"}]


async def test_a_hint_does_not_bring_back_what_was_left_out(gateway: Any) -> None:
    answer = await _ask(gateway, CODES, headers={"x-routeiq-hint": "codes"}, tools=TOOLS)
    assert answer.headers["x-routeiq-model"] != "codes"


async def test_a_call_that_no_candidate_can_answer_is_refused_with_each_reason(gateway: Any) -> None:
    key = await gateway.generate_key(models=["adds", "codes"])
    answer = await _ask(gateway, [{"type": "text", "text": CODES}, IMAGE], key=key)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["code"] == "no_capable_candidate"
    assert error["message"] == (
        "no candidate of `auto` can answer this call (vision): `adds`: supports_vision is false; "
        "`codes`: supports_vision is false"
    )
    only = await gateway.generate_key(models=["adds"])
    error = (await _ask(gateway, "x " * 1100, key=only)).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")
    assert "max_input_tokens is 500" in error["message"]
    assert gateway.upstream.asked == []


async def test_a_group_that_can_take_no_call_comes_last_and_is_not_dropped(
    run_gateway: Any, tmp_path: Path
) -> None:
    settings = {"ROUTEIQ_CB_FAILURE_THRESHOLD": 1, **_settings(tmp_path)}
    async for gateway in run_gateway(CONFIG, **settings):
        down = UpstreamError("unavailable", 503, "down")
        gateway.upstream.script["codes-1"] = [down]
        first = await _ask(gateway, CODES)
        assert first.headers["x-routeiq-model"] == "both"  # the next in the ranking answered
        found = await _explained(gateway, first)
        assert (found["group"], found["runner_up"]["group"]) == ("both", "codes")
        then = await _explained(gateway, await _ask(gateway, CODES))
        assert [item["group"] for item in then["candidates"]] == ["both", "adds", "codes"]
        assert then["put_last"] == [{"group": "codes", "reason": "breaker open"}]
        assert then["reason"].endswith("; `codes` is put last: breaker open")


async def test_explaining_is_for_who_may_read_everything(gateway: Any) -> None:
    decision = (await _ask(gateway)).headers["x-routeiq-decision-id"]
    plain, viewer = await gateway.generate_key(), await gateway.generate_key(role="viewer")
    for key, status in ((plain, 403), (viewer, 200), ("sk-none", 401)):
        auth = {"authorization": f"Bearer {key}"}
        assert (await gateway.client.get(f"/router/decisions/{decision}", headers=auth)).status_code == status
    for name, status in (("0" * 32, 404), ("x" * 65, 422), ("a;b", 422)):
        answer = await gateway.client.get(f"/router/decisions/{name}", headers=gateway.auth)
        assert answer.status_code in {status, 400}


async def test_an_explicit_group_is_explained_too(gateway: Any) -> None:
    found = await _explained(gateway, await _ask(gateway, model="both"))
    assert (found["strategy"], found["runner_up"], found["objective"]) == ("explicit", None, None)


async def test_the_command_reads_the_database(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = await _ask(gateway, CODES)
    decision = answer.headers["x-routeiq-decision-id"]
    await _explained(gateway, answer)  # then it is in the database
    monkeypatch.setenv("ROUTEIQ_DATA_DIR", str(gateway.data_dir))
    shown = CliRunner().invoke(main, ["router", "explain", decision])
    assert shown.exit_code == 0, shown.output
    assert "answered   codes (codes-1): 200 answered, 3 + 2 tokens, $0.000010000" in shown.output
    assert "runner-up  both" in shown.output
    as_json = json.loads(CliRunner().invoke(main, ["router", "explain", decision, "--json"]).stdout)
    assert as_json["runner_up"]["spend"] == 5e-05
    missing = CliRunner().invoke(main, ["router", "explain", "none"])
    assert missing.exit_code == 1
    assert "error: none: no such decision here" in missing.output


# Replay


KEEPING = CONFIG.replace("embedder: embedders/tiny", "embedder: embedders/tiny, keep_embeddings: true")


async def test_recorded_decisions_are_replayed_by_another_artifact(
    run_gateway: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async for gateway in run_gateway(KEEPING, **_settings(tmp_path)):
        for prompt in (ADDS, ADDS, CODES):
            answer = await _ask(gateway, prompt)
            shown = (await gateway.client.get("/spend/logs", headers=gateway.auth)).text
            assert "embedding" not in shown  # it is in no record and no log
        await _explained(gateway, answer)
        await _ask(gateway, ADDS, model="both")  # nothing was weighed, nothing is kept
    monkeypatch.setenv("ROUTEIQ_DATA_DIR", str(gateway.data_dir))
    key = tmp_path / "models.pub"

    def run(artifact: Path, *options: str) -> Any:
        command = ["router", "replay", "--artifact", str(artifact), "--key", str(key), *options]
        return CliRunner().invoke(main, command)

    same = run(tmp_path / "models/routers/tiny", "--json")
    assert same.exit_code == 0, same.output
    report = json.loads(same.stdout)
    assert (report["decisions"], report["replayed"], report["agreement"], report["moved"]) == (3, 3, 1.0, [])
    assert report["quality"]["change"] == report["spend"]["change"] == 0
    assert report["spend"]["before"] == pytest.approx((2 * 5e-6 + 1e-5) / 3)
    # An artifact that has the two skills the other way round
    other = tmp_path / "other"
    key = signed_models(other, models=("codes", "adds", "both"))
    report = json.loads(run(other / "models/routers/tiny", "--json").stdout)
    assert report["agreement"] == 0
    assert report["quality"]["change"] == pytest.approx(0.7, abs=0.01)
    assert report["spend"]["after"] == pytest.approx((2 * 1e-5 + 5e-6) / 3)
    assert {(item["from"], item["to"]): item["decisions"] for item in report["moved"]} == {
        ("adds", "codes"): 2, ("codes", "adds"): 1,
    }  # fmt: skip
    mapped = json.loads(
        run(other / "models/routers/tiny", "--json", "--map", "adds=codes", "--map", "codes=adds").stdout
    )
    assert mapped["agreement"] == 1
    text = run(other / "models/routers/tiny", "--limit", "2").stdout
    assert "2 of 2 replayed" in text
    assert "as this artifact predicts it" in text
    for options, said in (
        (("--map", "adds"), "is not GROUP=MODEL"),
        (("--map", "adds=none"), "knows no model 'none'"),
        (("--since", "2100-01-01"), "nothing is kept of them"),
    ):
        refused = run(other / "models/routers/tiny", *options)
        assert refused.exit_code in {1, 2}
        assert said in refused.output


async def test_nothing_of_prompts_is_kept_unless_it_is_asked_for(gateway: Any) -> None:
    await _explained(gateway, await _ask(gateway))
    engine = sa.create_engine(f"sqlite:///{gateway.data_dir / 'routeiq.sqlite3'}")
    with engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(embeddings)).scalar_one() == 0
    engine.dispose()
