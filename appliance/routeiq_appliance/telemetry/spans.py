"""The attributes of a call's spans, from plain data. Pure; knows no OpenTelemetry.

Values are of the gateway's own making: ids, names out of the configuration, numbers, codes. Never text of a caller's.
An attribute that is not known is left out.
"""

from collections.abc import Mapping
from typing import Any

from routeiq_appliance.pipeline.types import Decision, Deployment
from routeiq_appliance.policy.ruling import Ruling

__all__ = [
    "ANSWERED",
    "ATTEMPT",
    "DECISION",
    "POLICY",
    "REQUEST",
    "ROUTES",
    "attempt",
    "decision",
    "policy",
    "request",
]

REQUEST = "gateway.request"
POLICY = "routeiq.policy.evaluate"
DECISION = "routeiq.routing.decision"
ATTEMPT = "litellm.completion"

ANSWERED = "answered"
ROUTES = {"chat": "/v1/chat/completions", "text": "/v1/completions", "embedding": "/v1/embeddings"}
"""The path of each kind of call in OpenAI's dialect."""
_OPERATIONS = {"chat": "chat", "text": "text_completion", "embedding": "embeddings"}
# OpenTelemetry's names of providers, where they differ from LiteLLM's.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}


def decision(taken: Decision) -> dict[str, Any]:
    """Return the attributes of `routeiq.routing.decision` (K13, K14)."""
    milliseconds = round(taken.seconds * 1000, 3)
    found: dict[str, Any] = {
        "strategy": taken.strategy,
        "model_selected": taken.group,
        "candidates_count": len(taken.ranking),
        "duration_ms": milliseconds,
        "router.strategy": taken.strategy,
        "router.candidates": tuple(group for group, _ in taken.ranking),
        "router.selected_model": taken.group,
        "router.model": taken.group,
        "router.latency_ms": milliseconds,
    }
    if taken.score is not None:
        found["router.score"] = taken.score
    if taken.artifact:
        found["router.artifact"] = taken.artifact
    if taken.balancing:
        found["router.balancing"] = taken.balancing
    return found


def policy(ruling: Ruling) -> dict[str, Any]:
    """Return the attributes of `routeiq.policy.evaluate` (K13)."""
    verdict = ruling.verdict
    found: dict[str, Any] = {
        "action": ruling.action,
        "rules_evaluated": verdict.rules_evaluated,
        "duration_ms": round(ruling.seconds * 1000, 3),
    }
    if verdict.rule is not None:
        found["rule"] = verdict.rule
    return found


def attempt(
    deployment: Deployment,
    row: Mapping[str, Any],
    outcome: str,
    usage: tuple[int, int] | None,
    nanoseconds: int,
) -> dict[str, Any]:
    """Return the attributes of `litellm.completion` (K13, K14). `usage`: tokens in and out; the row's when absent."""
    provider = deployment.provider
    known = _PROVIDERS.get(provider, provider)
    found: dict[str, Any] = {
        "model": deployment.model,
        "provider": provider,
        "duration_ms": round(nanoseconds / 1e6, 3),
        "llm.model": deployment.model,
        "llm.provider": provider,
        "routeiq.deployment": deployment.id,
        "gen_ai.operation.name": _OPERATIONS.get(row["kind"], row["kind"]),
        "gen_ai.request.model": deployment.model,
        "gen_ai.provider.name": known,
        "gen_ai.system": known,
    }
    if deployment.destination is not None:
        found["server.address"] = deployment.destination.host
        found["server.port"] = deployment.destination.port
    if outcome != ANSWERED:
        found["error.type"] = outcome
        return found
    read, written = usage or (row["prompt_tokens"], row["completion_tokens"])
    found["gen_ai.response.model"] = deployment.model
    found["tokens.input"] = found["gen_ai.usage.input_tokens"] = read
    found["tokens.output"] = found["gen_ai.usage.output_tokens"] = written
    return found


def request(row: Mapping[str, Any], call_id: str, route: str, *, retries: int) -> dict[str, Any]:
    """Return the attributes of `gateway.request`. Cost is in dollars; unpriced calls have none."""
    found: dict[str, Any] = {
        "http.request.method": "POST",
        "http.route": route or ROUTES.get(row["kind"], "/"),
        "http.response.status_code": row["status"],
        "routeiq.call.id": call_id,
        "routeiq.key.id": row["key_id"],
        "routeiq.outcome": row["outcome"],
        "routeiq.stream": row["stream"],
        "routeiq.estimated": row["estimated"],
        "routeiq.retries": retries,
    }
    for name, column in (
        ("routeiq.group", "group"),
        ("routeiq.deployment", "deployment"),
        ("routeiq.team.id", "team_id"),
        ("routeiq.first_token_ms", "first_token_ms"),
    ):
        value = row.get(column)
        if value is not None:
            found[name] = value
    cost = row.get("cost")
    if cost is not None:
        found["routeiq.cost"] = cost / 1e12
    if row["status"] >= 400:
        found["error.type"] = row["outcome"]
    return found
