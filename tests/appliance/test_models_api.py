"""`/model/*` and `/health*` of a composed gateway: what is stored, shown, refused, called (C4, C6, H11, I4)."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routeiq_appliance.errors import StateError, UpstreamError
from routeiq_appliance.state.tables import models

CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: openai/tiny, api_base: http://127.0.0.1:9/v1, api_key: sk-upstream-secret, weight: 1}
    model_info: {input_cost_per_token: 1e-6}
  - model_name: vectors
    litellm_params: {model: openai/vec, api_base: "http://user:pw@127.0.0.1:9/v1?x=secret", api_key: sk-upstream-secret}
    model_info: {mode: embedding}
router_settings: {model_group_alias: {tiny: small}}
routeiq: {egress: open, auto: {}}
"""
STORED = {"STORE_MODEL_IN_DB": "true", "ROUTEIQ_STORE_KEY": "store-key-of-the-tests-32-characters"}
KEY = "sk-credential-of-the-user"
_ONE_GATEWAY = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60
)


def body(name: str = "new", **params: Any) -> dict[str, Any]:
    return {
        "model_name": name,
        "litellm_params": {
            "model": "openai/m",
            "api_base": "http://8.8.8.8:8000/v1",
            "api_key": KEY,
            **params,
        },
    }


class Site:
    """Drives one gateway."""

    def __init__(self, running: Any) -> None:
        self.running = running

    async def post(self, path: str, value: Any) -> Any:
        return await self.running.client.post(path, json=value, headers=self.running.auth)

    async def get(self, path: str, **query: Any) -> Any:
        return await self.running.client.get(path, params=query, headers=self.running.auth)

    async def made(self, value: Any) -> dict[str, Any]:
        answer = await self.post("/model/new", value)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def listed(self) -> dict[str, dict[str, Any]]:
        data = (await self.get("/model/info")).json()["data"]
        return {item["model_info"]["id"]: item for item in data}

    async def ask(self, model: str) -> Any:
        return await self.post(
            "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        )

    async def names(self) -> list[str]:
        return [item["id"] for item in (await self.get("/v1/models")).json()["data"]]

    def rows(self) -> list[dict[str, Any]]:
        engine = sa.create_engine(f"sqlite:///{self.running.data_dir / 'routeiq.sqlite3'}")
        with engine.connect() as connection:
            found = [dict(row) for row in connection.execute(sa.select(models)).mappings()]
        engine.dispose()
        return found


Start = Callable[..., Any]


@pytest.fixture
async def site(run_gateway: Start) -> Any:
    async for running in run_gateway(CONFIG, **STORED):
        yield Site(running)


def told(answer: Any) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["message"], error["code"]


async def test_a_new_model_answers_at_once_and_a_deleted_one_does_not(site: Site) -> None:  # C6
    assert told(await site.ask("new"))[0] == 404
    made = await site.made(body())
    assert made["model_info"]["db_model"] is True
    assert made["created_by"] == "master"
    assert (await site.ask("new")).status_code == 200
    assert site.running.upstream.asked == [made["model_id"]]
    assert "new" in await site.names()
    answer = await site.post("/model/delete", {"id": made["model_id"]})
    assert answer.json() == {"message": f"Model: {made['model_id']} deleted successfully"}
    assert told(await site.ask("new"))[0] == 404
    assert told(await site.post("/model/delete", {"id": made["model_id"]}))[0] == 404


async def test_a_restart_keeps_stored_models(run_gateway: Start) -> None:  # H11
    async for running in run_gateway(CONFIG, **STORED):
        await Site(running).made(body())
    async for running in run_gateway(CONFIG, **STORED):
        assert (await Site(running).ask("new")).status_code == 200


async def test_no_answer_row_or_log_holds_a_credential(
    site: Site, capfd: pytest.CaptureFixture[str]
) -> None:  # C6
    made = await site.made(
        body(
            extra_headers={"x-secret": "header-credential"},
            extra_body={"token": "body-credential"},
            timeout=9,
        )
    )
    seen = json.dumps([made, await site.listed()])
    seen += json.dumps((await site.post("/model/update", {"model_info": {"id": made["model_id"]}})).json())
    seen += (await site.get("/health")).text
    seen += str(site.rows()) + capfd.readouterr().err
    for secret in (KEY, "header-credential", "body-credential", "sk-upstream-secret", "user:pw", "x=secret"):
        assert secret not in seen
    assert made["litellm_params"] == {"model": "openai/m", "api_base": "http://8.8.8.8:8000/v1", "timeout": 9}


async def test_configured_models_are_listed_and_cannot_be_changed(site: Site) -> None:
    await site.made(body())
    listed = await site.listed()
    assert listed["small-1"]["model_info"] | {"routeiq": None} == {
        "id": "small-1", "db_model": False, "litellm_provider": "openai", "input_cost_per_token": 1e-6, "routeiq": None,
    }  # fmt: skip
    assert listed["vectors-1"]["litellm_params"]["api_base"] == "http://127.0.0.1:9/v1"
    for path, value in (
        ("/model/delete", {"id": "small-1"}),
        ("/model/update", {"model_info": {"id": "small-1"}, "litellm_params": {"rpm": 1}}),
    ):
        status, message, code = told(await site.post(path, value))
        assert (status, code) == (400, "model_configured")
        assert "config.yaml" in message


async def test_one_model_is_found_by_its_id_and_pages_are_counted(site: Site) -> None:
    made = await site.made(body())
    found = (await site.get("/model/info", litellm_model_id=made["model_id"])).json()["data"]
    assert [item["model_name"] for item in found] == ["new"]
    assert (await site.get("/v1/model/info")).json() == (await site.get("/model/info")).json()
    assert told(await site.get("/model/info", litellm_model_id="other"))[0] == 404
    page = (await site.get("/v2/model/info", page=2, size=2)).json()
    assert (page["total_count"], page["total_pages"], len(page["data"])) == (3, 2, 1)


async def test_without_the_switch_or_the_key_nothing_is_stored_and_the_hint_says_why(
    run_gateway: Start,
) -> None:
    async for running in run_gateway(CONFIG):
        status, message, _ = told(await Site(running).post("/model/new", body()))
        assert (status, "STORE_MODEL_IN_DB=true" in message) == (400, True)
        assert (await Site(running).get("/health/config-sync")).json()["status"] == "off"
    async for running in run_gateway(CONFIG, STORE_MODEL_IN_DB="true"):
        status, message, _ = told(await Site(running).post("/model/new", body()))
        assert (status, "ROUTEIQ_STORE_KEY" in message) == (400, True)
        assert Site(running).rows() == []


async def test_a_gateway_whose_key_does_not_open_the_store_does_not_start(run_gateway: Start) -> None:
    async for running in run_gateway(CONFIG, **STORED):
        await Site(running).made(body())
    for other in (
        STORED | {"ROUTEIQ_STORE_KEY": "another-key-of-32-characters-or-more"},
        {"STORE_MODEL_IN_DB": "true"},
    ):
        with pytest.raises(StateError, match="ROUTEIQ_STORE_KEY"):
            await anext(run_gateway(CONFIG, **other))


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"api_base": "http://169.254.169.254/latest"}, "litellm_params.api_base"),
        ({"api_base": "http://[::ffff:169.254.169.254]/"}, "litellm_params.api_base"),
        ({"api_base": "http://127.0.0.1:9/v1"}, "litellm_params.api_base"),
        ({"api_base": "http://2130706433/"}, "litellm_params.api_base"),
        ({"api_base": "http://localhost./"}, "litellm_params.api_base"),
        ({"api_base": "http://no-such-host.invalid/"}, "litellm_params.api_base"),
        ({"api_base": "file:///etc/passwd"}, "litellm_params.api_base"),
        ({"api_base": "os.environ/LITELLM_MASTER_KEY"}, "litellm_params.api_base"),
        ({"api_base": None, "model": "ollama/m"}, "litellm_params.api_base"),
        ({"api_key": "os.environ/LITELLM_MASTER_KEY"}, "litellm_params.api_key"),
        ({"api_key": "x os.environ/PATH"}, "litellm_params.api_key"),
        ({"extra_body": {"a": ["os.environ/PATH"]}}, "litellm_params.extra_body.a"),
        ({"base_url": "http://8.8.8.8"}, "litellm_params.base_url"),
        ({"aws_web_identity_token": "/etc/passwd"}, "litellm_params.aws_web_identity_token"),
        ({"vertex_credentials": "/etc/passwd"}, "litellm_params.vertex_credentials"),
        ({"custom_llm_provider": "ollama"}, "litellm_params.custom_llm_provider"),
        ({"model": "huggingface/https://127.0.0.1/x"}, "litellm_params.model"),
        ({"model": "openai/../x"}, "litellm_params.model"),
        ({"model": "anthropic/claude", "api_key": None}, "litellm_params.api_key"),
        ({"extra_headers": {"Host": "internal"}}, "litellm_params.extra_headers"),
        ({"extra_headers": {"x": "a\r\nb: c"}}, "litellm_params.extra_headers"),
        ({"rpm": -1}, "litellm_params.rpm"),
        ({"organization": "a/b"}, "litellm_params.organization"),
    ],
)
async def test_what_could_lead_elsewhere_is_refused_and_not_stored(
    site: Site, params: dict[str, Any], param: str
) -> None:  # I4
    answer = await site.post("/model/new", body(**params))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param
    assert KEY not in answer.text
    assert site.rows() == []
    assert site.running.upstream.asked == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"model_name": "auto"}, "reserved"),
        ({"model_name": "tiny"}, "another name of a group"),
        ({"model_name": "a b"}, "pattern"),
        ({"model_info": {"id": "small-1"}}, "a deployment of config.yaml"),
        ({"model_info": {"id": "../x"}}, "pattern"),
        ({"model_info": {"id": 7}}, "must be a string"),
        ({"model_info": {"team_id": "t"}}, "not enforced"),
        ({"model_info": {"mode": "sing"}}, "model_info.mode"),
        ({"litellm_params": {}}, "litellm_params.model"),
        ({"litellm_params": "x"}, "litellm_params"),
        ({"secret": 1}, "unknown field `secret`"),
    ],
)
async def test_what_would_not_fit_beside_the_configuration_is_refused(
    site: Site, change: dict[str, Any], what: str
) -> None:
    answer = await site.post("/model/new", {**body(), **change})
    assert answer.status_code == 400, answer.text
    assert what in answer.json()["error"]["message"]
    assert site.rows() == []


async def test_an_id_that_is_taken_is_refused(site: Site) -> None:
    await site.made({**body(), "model_info": {"id": "mine"}})
    status, message, code = told(await site.post("/model/new", {**body(), "model_info": {"id": "mine"}}))
    assert (status, code) == (409, "id_taken")
    assert "mine" in message


async def test_a_credential_is_not_sent_to_an_address_that_a_change_names(site: Site) -> None:  # I4
    made = await site.made(body())
    moved = {"model_info": {"id": made["model_id"]}, "litellm_params": {"api_base": "http://9.9.9.9/v1"}}
    status, message, _ = told(await site.post("/model/update", moved))
    assert (status, "`litellm_params.api_key` must be given anew" in message) == (400, True)
    moved["litellm_params"]["api_key"] = "sk-other"
    assert (await site.post("/model/update", moved)).json()["litellm_params"][
        "api_base"
    ] == "http://9.9.9.9/v1"


async def test_a_change_keeps_what_it_does_not_name_and_is_in_use_at_once(site: Site) -> None:
    made = await site.made({**body(rpm=100), "model_info": {"id": "m1", "mode": "chat"}})
    change = {"model_name": "renamed", "model_info": {"id": "m1"}, "litellm_params": {"tpm": 5, "rpm": None}}
    changed = (await site.post("/model/update", change)).json()
    assert changed["litellm_params"] == {**made["litellm_params"], "tpm": 5}
    assert changed["model_info"]["mode"] == "chat"
    assert changed["updated_at"] > made["updated_at"]
    assert (await site.ask("renamed")).status_code in {200, 429}
    assert told(await site.ask("new"))[0] == 404
    change["model_info"]["id"] = "m2"
    assert told(await site.post("/model/update", change))[0] == 404


async def test_a_stored_model_joins_a_configured_group_and_the_candidates_of_auto(site: Site) -> None:
    await site.made({**body("small"), "model_info": {"id": "second"}})
    await site.made({**body("other"), "model_info": {"id": "third"}})
    for _ in range(2):
        assert (await site.ask("small")).status_code == 200
    assert sorted(site.running.upstream.asked) == ["second", "small-1"]
    assert site.running.gateway.pipeline.route.candidates == ("small", "other")
    key = await site.post("/key/generate", {"models": ["other"]})
    assert key.status_code == 200, "keys may be restricted to stored groups"


async def test_a_call_under_way_ends_on_the_table_that_it_began_with(site: Site) -> None:
    made = await site.made(body())
    upstream = site.running.upstream
    begun, go_on = asyncio.Event(), asyncio.Event()
    answer = upstream.complete

    async def held(*arguments: Any) -> Any:
        begun.set()
        await go_on.wait()
        return await answer(*arguments)

    upstream.complete = held
    call = asyncio.create_task(site.ask("new"))
    await begun.wait()
    assert (await site.post("/model/delete", {"id": made["model_id"]})).status_code == 200
    go_on.set()
    assert (await call).status_code == 200
    assert told(await site.ask("new"))[0] == 404


async def test_a_failing_deployment_that_is_deleted_meanwhile_ends_its_call_as_any_other(site: Site) -> None:
    made = await site.made({**body(), "model_info": {"id": "gone"}})
    site.running.upstream.script["gone"] = [UpstreamError("unavailable", 502, "down") for _ in range(9)]
    answers = await asyncio.gather(site.ask("new"), site.post("/model/delete", {"id": made["model_id"]}))
    assert answers[0].status_code in {502, 503, 404}
    assert answers[1].status_code == 200


async def test_a_changed_deployment_begins_with_a_closed_breaker(site: Site) -> None:
    await site.made({**body(max_retries=0), "model_info": {"id": "m1"}})
    site.running.upstream.script["m1"] = [UpstreamError("unavailable", 502, "down") for _ in range(5)]
    for _ in range(5):
        await site.ask("new")
    assert (await site.ask("new")).status_code == 503
    await site.post("/model/update", {"model_info": {"id": "m1"}, "litellm_params": {"timeout": 7}})
    assert (await site.ask("new")).status_code == 200


async def test_only_the_master_key_sees_models_and_health(site: Site) -> None:
    key = await site.running.generate_key()
    for method, path in (
        ("GET", "/model/info"), ("GET", "/v2/model/info"), ("POST", "/model/new"), ("POST", "/model/update"),
        ("POST", "/model/delete"), ("GET", "/health"), ("GET", "/health/services"), ("GET", "/health/config-sync"),
    ):  # fmt: skip
        for headers, status in (({}, 401), ({"authorization": f"Bearer {key}"}, 403)):
            answer = await site.running.client.request(method, path, headers=headers)
            assert answer.status_code == status, path


async def test_health_asks_each_deployment_and_keeps_the_answer_a_while(site: Site) -> None:  # C4
    site.running.upstream.script["vectors-1"] = [
        UpstreamError("misconfigured", 502, "refused our credential")
    ]
    found = (await site.get("/health")).json()
    assert (found["healthy_count"], found["unhealthy_count"]) == (1, 1)
    assert found["healthy_endpoints"][0]["model_id"] == "small-1"
    assert found["unhealthy_endpoints"][0]["error"] == "refused our credential"
    asked = [call.kind for call in site.running.upstream.calls]
    assert sorted(asked) == ["chat", "embedding"]
    assert (await site.get("/health", model="small")).json()["healthy_count"] == 1
    assert len(site.running.upstream.calls) == 2, "kept"
    assert told(await site.get("/health", model_id="none"))[0] == 404
    assert site.running.rows() == [], "checks are no calls"


async def test_health_of_backends_is_told_as_it_is(site: Site) -> None:  # C4
    assert (await site.get("/health/services", service="sqlite")).json()["status"] == "success"
    assert told(await site.get("/health/services", service="redis"))[2] == "service_not_configured"
    assert told(await site.get("/health/services", service="postgres"))[2] == "service_not_configured"
    assert "did you mean `redis`" in told(await site.get("/health/services", service="redi"))[1]


async def test_a_failed_synchronisation_is_told_and_the_known_models_stay(site: Site) -> None:  # F4
    await site.made(body())
    before = (await site.get("/health/config-sync")).json()
    assert (before["status"], before["configured"], before["stored"]) == ("synced", 2, 1)
    assert before["workers"] == 1
    assert {item["model_info"]["routeiq"]["breaker"] for item in (await site.listed()).values()} == {
        "closed"
    }  # M5
    engine = sa.create_engine(f"sqlite:///{site.running.data_dir / 'routeiq.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE models RENAME TO away"))
    assert (await site.post("/model/new", body("other"))).status_code == 503
    live = site.running.gateway.models
    with pytest.raises(StateError):
        await live.refresh()
    after = (await site.get("/health/config-sync")).json()
    assert after["status"] == "failed"
    assert after["version"] == before["version"]
    assert after["last_failure"] > after["last_success"]
    assert (await site.ask("new")).status_code == 200
    with engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO models"))
    engine.dispose()
    await live.refresh()
    assert (await site.get("/health/config-sync")).json()["status"] == "synced"


async def test_a_row_whose_address_is_refused_by_now_is_listed_and_not_served(
    run_gateway: Start,
) -> None:  # I4
    allowed = {"ROUTEIQ_SSRF_ALLOW_PRIVATE": "true"}
    async for running in run_gateway(CONFIG, **STORED, **allowed):
        await Site(running).made({**body(api_base="http://10.1.2.3/v1"), "model_info": {"id": "private"}})
        assert (await Site(running).ask("new")).status_code == 200
    async for running in run_gateway(CONFIG, **STORED):
        site = Site(running)
        ours = (await site.listed())["private"]["model_info"]["routeiq"]
        assert (ours["served"], "loopback or private" in ours["reason"]) == (False, True)
        assert told(await site.ask("new"))[0] == 404
        assert (await site.get("/health/config-sync")).json()["refused"] == 1
        assert (await site.post("/model/delete", {"id": "private"})).status_code == 200


async def test_litellms_own_client_names_the_model_beside_its_parameters(site: Site) -> None:
    made = await site.made(body())
    change = {"id": made["model_id"], "litellm_params": {"rpm": 7}}
    assert (await site.post("/model/update", change)).json()["litellm_params"]["rpm"] == 7
    change["model_info"] = {"id": "another"}
    assert told(await site.post("/model/update", change))[:2] == (400, "`id` is another than `model_info.id`")
    assert told(await site.post("/model/update", {"litellm_params": {}}))[1] == "`model_info.id` is missing"


@pytest.mark.parametrize("identity", ["\0", "\ud800", "", "x" * 129, 7, None])
async def test_an_id_that_no_row_can_have_is_400(site: Site, identity: Any) -> None:
    for path, value in (("delete", {"id": identity}), ("update", {"model_info": {"id": identity}})):
        content = json.dumps(value)
        answer = await site.running.client.post(f"/model/{path}", content=content, headers=site.running.auth)
        assert answer.status_code in {400, 404}, answer.text


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = st.sampled_from(
    ["model", "api_base", "api_key", "rpm", "tags", "extra_headers", "extra_body", "weight", "x"]
)


@_ONE_GATEWAY
@given(params=st.dictionaries(_NAMES, _JSON, max_size=5) | _JSON, info=st.dictionaries(
    st.sampled_from(["id", "mode", "upstream", "kinds", "team_id", "x"]), _JSON, max_size=3) | _JSON,
    name=st.text(max_size=8) | _JSON)  # fmt: skip
async def test_any_body_is_stored_or_400(
    run_gateway: Start, site: Site, params: Any, info: Any, name: Any
) -> None:
    del run_gateway
    content = json.dumps({"model_name": name, "litellm_params": params, "model_info": info})
    answer = await site.running.client.post("/model/new", content=content, headers=site.running.auth)
    assert answer.status_code in {200, 400}, answer.text
    assert (await site.get("/model/info")).status_code == 200
