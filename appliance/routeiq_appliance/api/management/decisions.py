"""`GET /router/decisions/{decision_id}`: why a call went where it went; `x-routeiq-decision-id` of its answer names it.

For who may read everything: a record names all candidates, also those that its own key may not use.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.shapes import Money
from routeiq_appliance.errors import CallError
from routeiq_appliance.routing.explain import explain

__all__ = ["decision_routes"]


class Candidate(BaseModel):
    """One group that could have answered."""

    place: Annotated[int, Field(description="1: the first choice")]
    group: str
    model: Annotated[str | None, Field(description="The artifact's model that stands for it")]
    score: float | None
    quality: Annotated[float | None, Field(description="Predicted, 0 to 1; null: not predicted")]
    cost: Annotated[float | None, Field(description="Share of the dearest candidate's")]
    latency: Annotated[float | None, Field(description="Share of the slowest candidate's")]
    spend: Annotated[
        Money | None, Field(description="Dollars, at this call's tokens; null: the group has no price")
    ]


class RunnerUp(BaseModel):
    """The best candidate that did not answer."""

    group: str
    score: float | None
    behind: Annotated[float | None, Field(description="Score of the group that answered, minus its own")]
    spend: Money | None
    difference: Annotated[Money | None, Field(description="Dollars more than was spent; negative: less")]


class DecisionInfo(BaseModel):
    """A decision explained."""

    id: str
    started_at: datetime
    asked: str
    group: Annotated[str | None, Field(description="The group that answered, or was decided for")]
    deployment: str | None
    status: int
    outcome: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    spend: Money | None
    strategy: str | None
    score: float | None
    reason: str | None
    artifact: Annotated[str | None, Field(description="Digest of the artifact that predicted")]
    objective: str | None
    objective_from: Annotated[str | None, Field(description="Who said the objective")]
    seed: Annotated[int | None, Field(description="Ordered equals")]
    balancing: str | None
    ms: float | None
    needs: list[str]
    filtered: Annotated[list[dict[str, Any]], Field(description="Groups that could not answer, and why")]
    undeclared: Annotated[
        list[dict[str, Any]], Field(description="Needs that groups do not speak of; allowed")
    ]
    put_last: Annotated[
        list[dict[str, Any]], Field(description="Groups that could take no call then, and why")
    ]
    passed_over: list[dict[str, Any]]
    attempts: list[dict[str, Any]]
    policy: dict[str, Any] | None
    cached: dict[str, Any] | None
    candidates: list[Candidate]
    runner_up: RunnerUp | None


def decision_routes(context: Context) -> APIRouter:
    """Return the route."""
    router = APIRouter(tags=["routing"], dependencies=[Depends(context.admins_only)])

    @router.get("/router/decisions/{decision_id}", response_model=DecisionInfo)
    async def decision(
        decision_id: Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")],
    ) -> Response:
        def read() -> Mapping[str, Any] | None:
            context.settled()
            rows = context.spend_logs(request_id=decision_id, limit=1, offset=0)
            return rows[0] if rows else None

        row = await context.run(read)
        if row is None:
            raise CallError(
                404, f"there is no decision `{decision_id}`", code="not_found", param="decision_id"
            )
        return answer(explain(row))

    return router
