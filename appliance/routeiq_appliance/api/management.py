"""The management API (FastAPI): makes keys. `server` has checked that the caller is an admin before it is reached.

LiteLLM's field names. A field whose meaning is not enforced yet is refused: a budget that nobody checks is worse
than none.
"""

import asyncio
import difflib
import re
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException

from routeiq_appliance.api.http import error_body
from routeiq_appliance.errors import CallError, StateError
from routeiq_appliance.pipeline.types import AUTO
from routeiq_appliance.state.keys import AliasTakenError, KeyStore

__all__ = ["NOT_ENFORCED", "build_management", "parse_duration"]

NOT_ENFORCED = frozenset({
    "allowed_cache_controls", "allowed_routes", "aliases", "blocked", "budget_duration", "budget_id", "config",
    "duration_budget", "enforced_params", "guardrails", "key", "key_type", "max_budget", "max_parallel_requests",
    "model_max_budget", "model_rpm_limit", "model_tpm_limit", "object_permission", "organization_id", "permissions",
    "policies", "project_id", "prompts", "rpm_limit", "rpm_limit_type", "send_invite_email", "soft_budget", "spend",
    "tags", "team_id", "tpm_limit", "tpm_limit_type", "user_id",
})  # fmt: skip
"""Fields of LiteLLM's `/key/generate` that this release knows by name and refuses."""

_DURATION = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d|w|mo)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "mo": 30 * 86400}
_MAX_SECONDS = 100 * 365 * 86400


class GenerateKey(BaseModel):
    """The body of `POST /key/generate`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key_alias: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    duration: Annotated[
        str | None, Field(description="Validity: 30s, 30m, 30h, 30d, 4w or 1mo; none: no end")
    ] = None
    models: Annotated[
        list[str] | None, Field(max_length=1000, description="Groups the key may use; none: all")
    ] = None
    metadata: Annotated[dict[str, Any] | None, Field(description="Kept with the key")] = None

    @model_validator(mode="before")
    @classmethod
    def _unset_is_absent(cls, body: Any) -> Any:
        """Take a field that is not enforced for absent when it is null: clients send the whole form."""
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if value is not None or name not in NOT_ENFORCED}


class KeyAnswer(BaseModel):
    """The answer: `key` is shown this once."""

    key: str
    key_name: str
    token_id: str
    key_alias: str | None
    models: list[str]
    metadata: dict[str, Any]
    expires: datetime | None
    created_at: datetime


def parse_duration(text: str) -> timedelta:
    """Parse LiteLLM's form of a duration; raises `CallError` 400."""
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= _MAX_SECONDS:
        raise CallError(
            400,
            "`duration` must look like 30s, 30m, 30h, 30d, 4w or 1mo",
            code="invalid_value",
            param="duration",
        )
    return timedelta(seconds=seconds)


def build_management(
    store: KeyStore, executor: Executor, groups: frozenset[str], request_id: Callable[[], str]
) -> FastAPI:
    """Return the application; its own documentation pages are off, they load scripts from the internet."""
    app = FastAPI(title="RouteIQ Appliance", docs_url=None, redoc_url=None, openapi_url="/openapi.json")

    @app.post("/key/generate")
    async def generate(body: GenerateKey) -> KeyAnswer:
        models = tuple(dict.fromkeys(body.models or ()))
        for name in models:
            _require_group(name, groups)
        now = datetime.now(UTC)
        expires = now + parse_duration(body.duration) if body.duration else None

        def create() -> KeyAnswer:
            key, record = store.create(
                now=now, expires_at=expires, models=models, metadata=body.metadata or {}, alias=body.key_alias
            )
            return KeyAnswer(
                key=key,
                key_name=record.hint,
                token_id=record.id,
                key_alias=record.alias,
                models=list(models),
                metadata=record.metadata,
                expires=expires,
                created_at=now,
            )

        try:
            return await asyncio.get_running_loop().run_in_executor(executor, create)
        except AliasTakenError as error:
            raise CallError(400, str(error), code="alias_taken", param="key_alias") from None
        except StateError as error:
            raise CallError(
                503, str(error), kind="server_error", code="key_store_unavailable", retry_after=1
            ) from error

    def render(error: CallError) -> JSONResponse:
        headers = {"retry-after": str(error.retry_after)} if error.retry_after else None
        return JSONResponse(error_body(error, request_id()), error.status, headers)

    async def on_call_error(_request: Request, error: Exception) -> JSONResponse:
        return render(
            error if isinstance(error, CallError) else CallError(500, "internal error", kind="server_error")
        )

    async def on_invalid(_request: Request, error: Exception) -> JSONResponse:
        return render(_explain(error.errors()[0] if isinstance(error, RequestValidationError) else {}))

    async def on_http(_request: Request, error: Exception) -> JSONResponse:
        status = error.status_code if isinstance(error, HTTPException) else 500
        what = {404: "there is no such path", 405: "the path does not take this method"}.get(
            status, "the request failed"
        )
        return render(CallError(status, what, code="not_found" if status == 404 else None))

    app.add_exception_handler(CallError, on_call_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    return app


def _require_group(name: str, groups: frozenset[str]) -> None:
    if name == AUTO or name in groups:
        return
    near = difflib.get_close_matches(name[:128], sorted(groups), n=1)
    advice = f"; did you mean `{near[0]}`?" if near else ""
    raise CallError(
        400, f"`models`: there is no group `{name[:128]}`{advice}", code="invalid_value", param="models"
    )


def _explain(item: Any) -> CallError:
    path = [str(step) for step in item.get("loc", ())[1:]]
    name = ".".join(path)[:128]
    if item.get("type") == "extra_forbidden" and name in NOT_ENFORCED:
        return CallError(
            400, f"`{name}` is not enforced by this release: leave it out", code="not_enforced", param=name
        )
    if item.get("type") == "extra_forbidden":
        near = difflib.get_close_matches(name, sorted(GenerateKey.model_fields), n=1)
        return CallError(
            400,
            f"unknown field `{name}`" + (f"; did you mean `{near[0]}`?" if near else ""),
            code="unknown_parameter",
            param=name,
        )
    if item.get("type") == "json_invalid":
        return CallError(400, "the request body is not JSON", code="invalid_json")
    message = str(item.get("msg", "is not valid"))
    return CallError(
        400,
        f"`{name or 'body'}`: {message[:1].lower()}{message[1:]}",
        code="invalid_value",
        param=name or None,
    )
