"""Calls through a composed gateway with a policy: what is answered, told and kept. The upstream is in memory."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.appliance.redis_server import running_redis
from tests.appliance.test_tracing import Collector

from routeiq_appliance.errors import ConfigError, UpstreamError
from routeiq_appliance.policy.redis import RULES_KEY, SIGNATURE_KEY
from routeiq_signing.keys import generate_key_files
from routeiq_signing.sigstore_bundle import message_bundle

Gateways = Callable[..., AsyncGenerator[Any, None]]


def _entry(group: str, number: int = 1, more: str = "", info: str = "") -> str:
    return (
        f"  - model_name: {group}\n    litellm_params: {{model: openai/{group}{number}, "
        f"api_base: http://127.0.0.1:9/v1{more}}}\n    model_info: {{id: {group}-{number}{info}}}\n"
    )


_CONFIG = (
    "model_list:\n"
    + _entry("local")
    + _entry("cloud")
    + _entry("region", 1, ", tags: [eu]")
    + _entry("region", 2, ", tags: [us]")
    + "router_settings:\n  num_retries: 0\n  enable_tag_filtering: true\n"
    + "  fallbacks: [{local: [cloud]}, {region: [cloud]}]\n  model_group_alias: {gpt-4: cloud}\n"
    + "routeiq:\n  egress: open\n  auto: {candidates: [cloud, local], strategy: declared-order}\n  policy:\n"
)


def _policy(text: str) -> str:
    return _CONFIG + "\n".join(f"    {line}" for line in text.strip("\n").splitlines()) + "\n"


async def _ask(running: Any, key: str | None = None, headers: Any = None, **body: Any) -> Any:
    full = {"model": "local", "messages": [{"role": "user", "content": "hello"}], **body}
    headers = {**(running.auth if key is None else {"authorization": f"Bearer {key}"}), **(headers or {})}
    return await running.client.post("/v1/chat/completions", json=full, headers=headers)


async def _rows(running: Any) -> list[dict[str, Any]]:
    pipeline = running.gateway.pipeline
    assert pipeline.room.running == 0
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, lambda: pipeline.ledger.flush(seconds=10))
    rows: list[dict[str, Any]] = running.rows()
    return rows


_NO_CLOUD = """
rules:
  - {name: no-cloud, when: {models: [cloud]}, then: deny, message: this data stays here}
"""


async def test_without_the_switch_rules_are_not_in_force(run_gateway: Gateways) -> None:  # C8
    async for running in run_gateway(_policy(_NO_CLOUD)):
        assert running.gateway.pipeline.policy is None
        answer = await _ask(running, model="cloud")
        assert answer.status_code == 200
        assert "x-routeiq-policy" not in answer.headers
        assert "policy" not in (await _rows(running))[0]["decision"]


@pytest.mark.parametrize("model", ["cloud", "gpt-4"])
async def test_a_denied_call_reaches_no_upstream_and_leaves_a_row(run_gateway: Gateways, model: str) -> None:
    async for running in run_gateway(_policy(_NO_CLOUD), ROUTEIQ_POLICY_ENABLED="true"):  # C8
        answer = await _ask(running, model=model)
        assert answer.status_code == 403
        error = answer.json()["error"]
        assert (error["message"], error["code"], error["type"]) == (
            "this data stays here",
            "policy_denied",
            "permission_error",
        )
        assert answer.headers["x-routeiq-policy"] == "no-cloud"
        assert running.upstream.asked == []
        row = (await _rows(running))[0]
        assert (row["status"], row["outcome"], row["asked"], row["group"]) == (
            403,
            "policy_denied",
            model,
            None,
        )
        assert (row["cost"], row["decision"]["strategy"]) == (0, "policy")
        kept = row["decision"]["policy"]
        assert (kept["action"], kept["rule"], kept["asked"]) == ("deny", "no-cloud", model)


async def test_a_fallback_does_not_lead_where_the_rules_forbid(run_gateway: Gateways) -> None:
    async for running in run_gateway(_policy(_NO_CLOUD), ROUTEIQ_POLICY_ENABLED="true"):
        running.upstream.script = {"local-1": [UpstreamError("unavailable", 502, "gone")]}
        answer = await _ask(running)
        assert answer.status_code == 502
        assert running.upstream.asked == ["local-1"]
        row = (await _rows(running))[0]
        assert row["decision"]["policy"]["refused"] == [{"group": "cloud", "rule": "no-cloud"}]


async def test_auto_chooses_only_among_what_is_allowed(run_gateway: Gateways) -> None:
    async for running in run_gateway(_policy(_NO_CLOUD), ROUTEIQ_POLICY_ENABLED="true"):
        answer = await _ask(running, model="auto")
        assert (answer.status_code, answer.json()["model"]) == (200, "local")
        # A hint is no way around.
        hinted = await _ask(running, model="auto", headers={"x-routeiq-hint": "cloud"})
        assert hinted.json()["model"] == "local"


async def test_auto_is_refused_when_no_candidate_is_allowed(run_gateway: Gateways) -> None:
    rules = "default: deny\nrules:\n  - {name: only, when: {models: [region]}, then: allow}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        answer = await _ask(running, model="auto")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "policy_denied")
        assert (await _ask(running, model="region")).status_code == 200
        assert (await _rows(running))[0]["status"] == 403


_REWRITE = """
rules:
  - {name: down, when: {size: {min_messages: 2}}, then: rewrite, map: {cloud: local, local: cloud}}
"""


async def test_a_rewritten_call_goes_to_the_other_model_and_the_row_tells_both(run_gateway: Gateways) -> None:
    async for running in run_gateway(_policy(_REWRITE), ROUTEIQ_POLICY_ENABLED="true"):
        messages = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
        answer = await _ask(running, model="gpt-4", messages=messages)
        assert (answer.status_code, answer.json()["model"]) == (200, "local")
        assert answer.headers["x-routeiq-policy"] == "down"
        assert (await _ask(running, model="cloud")).json()["model"] == "cloud"
        row = (await _rows(running))[0]
        assert (row["asked"], row["group"]) == ("gpt-4", "local")
        kept = row["decision"]["policy"]
        assert (kept["action"], kept["rule"], kept["asked"], kept["model"]) == (
            "rewrite",
            "down",
            "gpt-4",
            "local",
        )


async def test_a_rewrite_to_auto_is_routed(run_gateway: Gateways) -> None:
    rules = "rules:\n  - {name: a, when: {models: [local]}, then: rewrite, model: auto}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        answer = await _ask(running)
        assert (answer.json()["model"], answer.headers["x-routeiq-strategy"]) == ("cloud", "declared-order")
        # What the strategy read is the users' text.
        assert running.upstream.calls[0].prompt == "hello"


@pytest.mark.parametrize(("beyond", "status"), [("false", 403), ("true", 200)])
async def test_a_rewrite_escapes_what_the_key_may_use_only_where_the_rule_says_so(
    run_gateway: Gateways, beyond: str, status: int
) -> None:
    rules = f"rules:\n  - {{name: up, when: {{models: [local]}}, then: rewrite, model: cloud, beyond_key: {beyond}}}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        key = await running.generate_key(models=["local"])
        assert (await _ask(running, key)).status_code == status


async def test_a_forced_model_has_no_fallback(run_gateway: Gateways) -> None:
    rules = "rules:\n  - {name: here, when: {text: ['(?i)confidential']}, then: force, model: local}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        running.upstream.script = {"local-1": [UpstreamError("unavailable", 502, "gone")]}
        messages = [{"role": "user", "content": "a CONFIDENTIAL letter"}]
        assert (await _ask(running, model="cloud", messages=messages)).status_code == 502
        assert running.upstream.asked == ["local-1"]
        assert (await _ask(running, model="auto", messages=messages)).json()["model"] == "local"
        rows = await _rows(running)
        assert "letter" not in str(rows)


async def test_a_forced_tag_holds_whatever_tags_the_caller_gives(run_gateway: Gateways) -> None:
    rules = "rules:\n  - {name: eu, when: {teams: [europe]}, then: force, tag: eu}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        key = await running.generate_key(team_id="europe")
        for _ in range(3):
            answer = await _ask(running, key, model="region", headers={"x-routeiq-tags": "us"})
            assert answer.headers["x-routeiq-deployment"] == "region-1"
        # No deployment of this group has the tag.
        assert (await _ask(running, key, model="cloud")).status_code == 403
        assert (await _ask(running, model="region", headers={"x-routeiq-tags": "us"})).headers[
            "x-routeiq-deployment"
        ] == "region-2"
        # Nor is a group without it a fallback.
        running.upstream.script = {"region-1": [UpstreamError("unavailable", 502, "gone")]}
        assert (await _ask(running, key, model="region")).status_code in {403, 502}
        assert "cloud-1" not in running.upstream.asked


async def test_a_forced_deployment_is_the_only_one(run_gateway: Gateways) -> None:
    rules = "rules:\n  - {name: that, when: {models: [cloud]}, then: force, deployment: region-2}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        for _ in range(3):
            answer = await _ask(running, model="cloud")
            assert answer.headers["x-routeiq-deployment"] == "region-2"


async def test_tags_of_the_call_choose_a_rule(run_gateway: Gateways) -> None:
    rules = "rules:\n  - {name: us, when: {tags: [us]}, then: deny}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        assert (await _ask(running, headers={"x-routeiq-tags": "us, x"})).status_code == 403
        assert (await _ask(running, headers={"x-litellm-tags": "us"})).status_code == 403
        assert (await _ask(running, metadata={"tags": ["us"]})).status_code == 403
        assert (await _ask(running)).status_code == 200


async def test_a_text_that_patterns_cannot_read_is_refused(run_gateway: Gateways) -> None:
    rules = "text_chars: 1000\nrules:\n  - {name: secret, when: {text: [geheim]}, then: deny}"
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        long = await _ask(running, messages=[{"role": "user", "content": "x" * 2000}])
        assert (long.status_code, long.json()["error"]["code"]) == (403, "policy_error")
        ids = {"model": "local", "prompt": [1, 2, 3]}
        answer = await running.client.post("/v1/completions", json=ids, headers=running.auth)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "policy_error")
        # In any role, and in any field of the request.
        hidden = await _ask(running, messages=[{"role": "system", "content": "geheim"}])
        assert hidden.status_code == 403
        assert running.upstream.asked == []


@pytest.mark.parametrize("where", ["mode: dry-run\n", ""])
async def test_a_dry_run_changes_no_answer_and_tells_what_it_would(run_gateway: Gateways, where: str) -> None:
    rules = where + "rules:\n  - {name: never, then: deny, dry_run: DRY}\n"
    rules = rules.replace("DRY", "false" if where else "true")
    async for running in run_gateway(_policy(rules), ROUTEIQ_POLICY_ENABLED="true"):
        answer = await _ask(running, model="cloud")
        assert (answer.status_code, answer.json()["model"]) == (200, "cloud")
        assert "x-routeiq-policy" not in answer.headers
        kept = (await _rows(running))[0]["decision"]["policy"]
        if where:
            assert (kept["action"], kept["rule"], kept["mode"]) == ("deny", "never", "dry-run")
        else:
            assert (kept["action"], kept["would"]) == ("allow", [{"rule": "never", "action": "deny"}])


async def test_each_action_is_counted_with_its_time(run_gateway: Gateways) -> None:  # K6
    async for running in run_gateway(_policy(_NO_CLOUD), ROUTEIQ_POLICY_ENABLED="true"):
        await _ask(running)
        await _ask(running, model="cloud")
        registry = running.gateway.metrics.registry
        for action in ("allow", "deny"):
            assert (
                registry.get_sample_value(
                    "routeiq_policy_evaluation_duration_seconds_count", {"action": action}
                )
                == 1
            )


async def test_streams_and_other_dialects_are_judged_alike(run_gateway: Gateways) -> None:
    async for running in run_gateway(
        _policy(_REWRITE + _NO_CLOUD.replace("rules:\n", "")), ROUTEIQ_POLICY_ENABLED="true"
    ):
        messages = [{"role": "user", "content": "one"}, {"role": "user", "content": "two"}]
        answer = await _ask(running, model="cloud", messages=messages, stream=True)
        assert answer.status_code == 200
        assert answer.headers["x-routeiq-policy"] == "down"
        assert (await _ask(running, model="cloud", stream=True)).status_code == 403
        body = {"model": "cloud", "max_tokens": 5, "messages": messages[:1]}
        refused = await running.client.post("/v1/messages", json=body, headers=running.auth)
        assert (refused.status_code, refused.json()["type"]) == (403, "error")
        assert refused.json()["error"]["message"] == "this data stays here"
        assert refused.headers["x-routeiq-policy"] == "no-cloud"
        assert running.upstream.asked == ["local-1"]


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_the_decision_is_a_span_of_the_call(run_gateway: Gateways, collector: Collector) -> None:  # K13
    settings = {"ROUTEIQ_POLICY_ENABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    async for running in run_gateway(_policy(_NO_CLOUD), **settings):
        await _ask(running)
        await _ask(running, model="cloud")
    spans = collector.spans()
    calls = {span.span_id: span for span in spans if span.name == "gateway.request"}
    found = [
        ({item.key: item.value for item in span.attributes}, calls[span.parent_span_id])
        for span in spans
        if span.name == "routeiq.policy.evaluate"
    ]
    assert [(told["action"].string_value, told["rules_evaluated"].int_value) for told, _ in found] == [
        ("allow", 1),
        ("deny", 1),
    ]
    assert found[1][0]["rule"].string_value == "no-cloud"
    assert len(calls) == 2


async def test_rules_in_a_file_are_in_force_and_a_broken_one_keeps_the_gateway_from_starting(
    run_gateway: Gateways, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules:\n  - {name: none, then: deny}\n")
    async for running in run_gateway(_policy(f"file: {file}"), ROUTEIQ_POLICY_ENABLED="true"):
        assert (await _ask(running)).headers["x-routeiq-policy"] == "none"
    file.write_text("rules:\n  - {name: none, then: force, model: lokal}\n")
    with pytest.raises(ConfigError, match=r"rules.yaml:2: rules\[0\].model: no group `lokal`"):
        async for _ in run_gateway(_policy(f"file: {file}"), ROUTEIQ_POLICY_ENABLED="true"):
            pass


@pytest.mark.e2e
async def test_rules_of_redis_come_into_force_and_broken_ones_are_shown_degraded(
    run_gateway: Gateways,
) -> None:
    with running_redis() as server:  # H6
        settings = {"ROUTEIQ_POLICY_ENABLED": "true", "REDIS_URL": server.url}
        server.cli("SET", RULES_KEY, "rules: [{name: by-redis, then: deny}]")
        async for running in run_gateway(_policy(_NO_CLOUD), **settings):
            keeper = running.gateway.app._lifespan.start.__self__._policy
            ready = running.client.get
            assert (await _ask(running)).headers["x-routeiq-policy"] == "by-redis"
            assert (await ready("/health/readiness")).json()["degraded"] == []
            server.cli("SET", RULES_KEY, "rules: [{name: by-redis, then: [}]")
            await keeper.refresh()
            assert (await _ask(running)).headers["x-routeiq-policy"] == "by-redis"
            assert (await ready("/health/readiness")).json()["degraded"] == ["policy"]
            registry = running.gateway.metrics.registry
            assert registry.get_sample_value("gateway_degraded_mode", {"service": "policy"}) == 1
            server.cli("LPUSH", "x", "y")
            server.cli("RENAME", "x", RULES_KEY)  # a list
            await keeper.refresh()
            assert (await _ask(running)).headers["x-routeiq-policy"] == "by-redis"
            assert keeper.degraded
            server.cli("SET", RULES_KEY, "rules: [{name: again, then: deny}]")
            await keeper.refresh()
            assert (await _ask(running)).headers["x-routeiq-policy"] == "again"
            server.cli("DEL", RULES_KEY)
            await keeper.refresh()
            assert (await _ask(running)).status_code == 200
            assert (await ready("/health/readiness")).json()["degraded"] == []


@pytest.mark.e2e
async def test_rules_of_redis_are_signed_where_a_key_is_given(run_gateway: Gateways, tmp_path: Path) -> None:
    file, key = tmp_path / "rules.yaml", tmp_path / "key"
    file.write_text("rules: [{name: by-redis, then: deny}]\n")
    private = generate_key_files(key, b"a passphrase")
    raw = file.read_bytes()
    bundle = message_bundle(private.public.keyid, raw, private.sign(raw)).decode()
    with running_redis() as server:
        settings = {
            "ROUTEIQ_POLICY_ENABLED": "true",
            "REDIS_URL": server.url,
            "ROUTEIQ_POLICY_KEY": f"{key}.pub",
        }
        server.cli("SET", RULES_KEY, raw.decode())
        async for running in run_gateway(_policy(_NO_CLOUD), **settings):
            keeper = running.gateway.app._lifespan.start.__self__._policy
            assert (await _ask(running)).status_code == 200
            assert keeper.degraded
            server.cli("MSET", SIGNATURE_KEY, bundle, RULES_KEY, raw.decode())
            await keeper.refresh()
            assert (await _ask(running)).headers["x-routeiq-policy"] == "by-redis"
            assert not keeper.degraded
