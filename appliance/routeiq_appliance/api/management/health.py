"""`/health`, `/health/services`, `/health/config-sync`: how deployments, backends and stored models are (C4, F4)."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from routeiq_appliance.api.management.answers import answer
from routeiq_appliance.api.management.context import Context, near
from routeiq_appliance.api.management.health_checks import Checked, HealthChecks
from routeiq_appliance.api.management.model_schemas import shown_params
from routeiq_appliance.errors import CallError
from routeiq_appliance.stored.live import LiveModels

__all__ = ["health_routes"]


class Endpoints(BaseModel):
    """The answer to `GET /health`; `unchecked_endpoints` are those whose check would cost real work."""

    healthy_endpoints: list[dict[str, Any]]
    unhealthy_endpoints: list[dict[str, Any]]
    unchecked_endpoints: list[dict[str, Any]]
    healthy_count: int
    unhealthy_count: int


class Service(BaseModel):
    """The answer to `GET /health/services`."""

    status: str
    message: str


class ConfigSync(BaseModel):
    """The answer to `GET /health/config-sync`: of the worker that answers."""

    model_config = ConfigDict(protected_namespaces=())
    status: Annotated[
        str, Field(description="`synced`, `failed` (the last try; what was known stays), `off`")
    ]
    version: Annotated[str | None, Field(description="Generation of the stored models in use")]
    last_success: str | None
    last_failure: str | None
    error: str | None
    configured: Annotated[int, Field(description="Deployments of `config.yaml`, read at start")]
    stored: Annotated[int, Field(description="Stored deployments that are served")]
    refused: Annotated[int, Field(description="Stored deployments that are not served")]
    workers: Annotated[int, Field(description="Processes of this gateway that answer calls")]


def health_routes(
    context: Context,
    *,
    live: LiveModels,
    checks: HealthChecks,
    ask_database: Callable[[], None],
    database: str,
    redis: Callable[[], bool] | None,
    workers: int = 1,
) -> APIRouter:
    """Return the routes.

    `ask_database` blocks, and raises `StateError`; `database` is `postgres` or `sqlite`; `redis` tells whether Redis is
    away, None where there is none.
    """
    router = APIRouter(tags=["health"], dependencies=[Depends(context.admins_only)])

    @router.get("/health", response_model=Endpoints)
    async def health(
        model: Annotated[str | None, Query(max_length=128, description="Only this group")] = None,
        model_id: Annotated[str | None, Query(max_length=128, description="Only this deployment")] = None,
    ) -> Response:
        wanted = [
            item
            for members in live.models.groups.values()
            for item in members
            if model in {None, item.group} and model_id in {None, item.id}
        ]
        if not wanted and (model is not None or model_id is not None):
            field = "model" if model is not None else "model_id"
            raise CallError(404, f"`{field}`: there is no such model", code="model_not_found", param=field)
        return answer(_endpoints(await checks.check(wanted)))

    @router.get("/health/services", response_model=Service)
    async def services(service: Annotated[str, Query(min_length=1, max_length=64)]) -> Response:
        if service in {"postgres", "postgresql", "sqlite"}:
            if service.removesuffix("ql") != database:
                raise _not_configured(service)
            await context.run(ask_database)
            return answer({"status": "success", "message": f"{database} answers"})
        if service == "redis":
            if redis is None:
                raise _not_configured(service)
            if redis():
                raise CallError(
                    503,
                    "redis does not answer",
                    kind="server_error",
                    code="service_unavailable",
                    retry_after=2,
                )
            return answer({"status": "success", "message": "redis answers"})
        known = frozenset({"postgres", "redis", "sqlite"})
        raise CallError(
            400, f"`service`: is none of {', '.join(sorted(known))}{near(service, known)}", code="invalid_value",
            param="service",
        )  # fmt: skip

    @router.get("/health/config-sync", response_model=ConfigSync)
    async def config_sync() -> Response:
        models, status = live.models, live.status
        stored = len(models.entries)
        return answer({
            "status": "off" if not live.enabled else "synced" if status.error is None else "failed",
            "version": models.generation or None, "last_success": status.succeeded_at,
            "last_failure": status.failed_at, "error": status.error,
            "configured": len(models.config.model_list) - stored, "stored": stored, "refused": len(models.refused),
            "workers": workers,
        })  # fmt: skip

    return router


def _endpoints(checked: list[Checked]) -> dict[str, Any]:
    healthy = [_endpoint(item) for item in checked if item.error is None and item.seconds is not None]
    unhealthy = [{**_endpoint(item), "error": item.error} for item in checked if item.error is not None]
    return {
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
        "unchecked_endpoints": [_endpoint(item) for item in checked if item.seconds is None],
        "healthy_count": len(healthy),
        "unhealthy_count": len(unhealthy),
    }


def _endpoint(checked: Checked) -> dict[str, Any]:
    deployment = checked.deployment
    shown = shown_params(deployment.params)
    return {
        "model": shown.get("model", deployment.model),
        "api_base": shown.get("api_base"),
        "model_id": deployment.id,
        "model_name": deployment.group,
        "mode": deployment.mode,
        "seconds": checked.seconds,
    }


def _not_configured(service: str) -> CallError:
    return CallError(
        400, f"`service`: {service} is not configured here", code="service_not_configured", param="service"
    )
