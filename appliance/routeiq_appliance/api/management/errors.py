"""Every refusal of the management API in OpenAI's error shape, naming the field at fault and the nearest name."""

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from routeiq_appliance.api.http import error_body
from routeiq_appliance.api.management.base_schemas import Checked
from routeiq_appliance.api.management.context import near
from routeiq_appliance.errors import CallError

__all__ = ["install_errors"]

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def install_errors(app: FastAPI, request_id: Callable[[], str]) -> None:
    """Render the application's errors."""

    def render(error: CallError, allow: str | None = None) -> Response:
        headers = {"cache-control": "no-store"}
        if allow:
            headers["allow"] = allow
        if error.retry_after:
            headers["retry-after"] = str(error.retry_after)
        # A name that the caller made up may hold what UTF-8 cannot say.
        text = json.dumps(error_body(error, request_id()), ensure_ascii=False).encode("utf-8", "replace")
        return Response(text, error.status, headers, "application/json")

    async def on_call_error(_request: Request, error: Exception) -> Response:
        return render(
            error if isinstance(error, CallError) else CallError(500, "internal error", kind="server_error")
        )

    async def on_invalid(request: Request, error: Exception) -> Response:
        items = error.errors() if isinstance(error, RequestValidationError) else []
        # Of a field that may be one of several things, the one that was meant: it has the right type, and a fault.
        meant = (item for item in items if not str(item.get("type")).endswith("_type"))
        item = next(meant, items[0]) if items and "[" in str(items[0].get("loc")) else next(iter(items), {})
        return render(_explain(item, list(_models(request))))

    async def on_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        what = {
            400: "the request body is not JSON",
            404: "there is no such path",
            405: "the path does not take this method",
        }.get(status, "the request failed")
        code = {400: "invalid_json", 404: "not_found"}.get(status)
        allow = _allowed(request) if status == 405 else None
        return render(CallError(status, what, code=code), allow)

    app.add_exception_handler(CallError, on_call_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)


def _allowed(request: Request) -> str:
    """Return the methods that a path takes, over all of its routes."""
    return ", ".join(
        method
        for method in _METHODS
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    )


def _models(request: Request) -> Iterator[type[BaseModel]]:
    """Yield the models that the endpoint of a request takes."""
    endpoint = getattr(request.scope.get("route"), "endpoint", None)
    for hint in getattr(endpoint, "__annotations__", {}).values():
        kind = (get_args(hint) or (hint,))[0]
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind


def _explain(item: Any, models: list[type[BaseModel]]) -> CallError:
    # pydantic names the branches of a union too: `list[Member]`.
    path = [str(step) for step in item.get("loc", ())[1:] if "[" not in str(step)]
    name = ".".join(path)[:128]
    if item.get("type") == "extra_forbidden":
        if any(issubclass(model, Checked) and name in model.refused for model in models):
            return CallError(
                400,
                f"`{name}` is not enforced by this release: leave it out",
                code="not_enforced",
                param=name,
            )
        known = frozenset(field for model in models for field in model.model_fields)
        return CallError(
            400, f"unknown field `{name}`{near(name, known)}", code="unknown_parameter", param=name
        )
    if item.get("type") == "json_invalid":
        return CallError(400, "the request body is not JSON", code="invalid_json")
    if item.get("type") == "missing":
        return CallError(400, f"`{name or 'body'}` is missing", code="missing", param=name or None)
    message = str(item.get("msg", "is not valid"))
    shown = name or "body"
    # Ours begin with the verb, pydantic's with a capital.
    text = (
        f"`{shown}` {message}" if message[:1].islower() else f"`{shown}`: {message[:1].lower()}{message[1:]}"
    )
    code = "not_enforced" if item.get("type") == "not_enforced" else "invalid_value"
    return CallError(400, text, code=code, param=name or None)
