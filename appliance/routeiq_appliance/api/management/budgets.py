"""`/budget/*`: named budgets. What they say holds at once for all that refer to them."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer, budget_info
from routeiq_appliance.api.management.base_schemas import Limits
from routeiq_appliance.api.management.changes import allowance_of, limit_changes
from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.management.fields import Name
from routeiq_appliance.api.management.group_schemas import BudgetsAsked, DeleteBudget, NewBudget, UpdateBudget
from routeiq_appliance.api.management.shapes import BudgetInfo
from routeiq_appliance.errors import CallError
from routeiq_appliance.state.records import BudgetRecord

__all__ = ["budget_routes"]

_TYPES = {
    "max_parallel_requests": "Integer",
    "tpm_limit": "Integer",
    "rpm_limit": "Integer",
    "budget_duration": "String",
    "max_budget": "Float",
}


class Setting(BaseModel):
    """One field of a budget, for a form."""

    field_name: str
    field_type: str
    field_description: str
    field_value: Any
    stored_in_db: bool
    field_default_value: Any


def budget_routes(context: Context) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["budgets"], dependencies=[Depends(context.admins_only)])

    @router.post("/budget/new", response_model=BudgetInfo)
    async def new(body: NewBudget) -> Response:
        now = context.now()
        budget = BudgetRecord(body.budget_id or str(uuid.uuid4()), now, now, allowance_of(body, now))
        await context.run(lambda: context.budgets.create(budget))
        # It may have been referred to before it was made.
        context.changed(f"budget:{budget.id}")
        return answer(budget_info(budget, now=now))

    @router.post("/budget/update", response_model=BudgetInfo)
    async def update(body: UpdateBudget) -> Response:
        now = context.now()
        changes = limit_changes(body)
        budget = await context.run(lambda: context.budgets.update(body.budget_id, changes, now=now))
        if budget is None:
            raise _unknown("budget_id")
        context.changed(f"budget:{budget.id}")
        return answer(budget_info(budget, now=now))

    @router.post("/budget/info", response_model=list[BudgetInfo])
    async def info(body: BudgetsAsked) -> Response:
        now = context.now()
        found = await context.run(lambda: context.budgets.some(body.budgets))
        here = {budget.id for budget in found}
        if any(identity not in here for identity in body.budgets):
            raise _unknown("budgets")
        return answer([budget_info(budget, now=now) for budget in found])

    @router.get("/budget/list", response_model=list[BudgetInfo])
    async def everything() -> Response:
        now = context.now()
        found = await context.run(context.budgets.some)
        return answer([budget_info(budget, now=now) for budget in found])

    @router.get("/budget/settings", response_model=list[Setting])
    async def settings(budget_id: Annotated[Name, Query()]) -> Response:
        budget = await context.run(lambda: context.budgets.get(budget_id))
        if budget is None:
            raise _unknown("budget_id")
        values = budget_info(budget, now=context.now())
        fields = Limits.model_fields
        return answer([
            {
                "field_name": name,
                "field_type": kind,
                "field_description": fields[name].description or "",
                "field_value": values[name],
                "stored_in_db": True,
                "field_default_value": None,
            }
            for name, kind in _TYPES.items()
        ])  # fmt: skip

    @router.post("/budget/delete", response_model=BudgetInfo)
    async def delete(body: DeleteBudget) -> Response:
        budget = await context.run(lambda: context.budgets.delete(body.id))
        if budget is None:
            raise _unknown("id")
        return answer(budget_info(budget, now=context.now()))

    return router


def _unknown(param: str) -> CallError:
    return CallError(404, f"`{param}`: there is no such budget", code="budget_not_found", param=param)
