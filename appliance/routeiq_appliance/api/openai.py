"""OpenAI's routes of the data plane: chat completions, completions, embeddings, responses, models."""

from collections.abc import Coroutine
from typing import Any

from routeiq_appliance.api.dataplane import DataPlane
from routeiq_appliance.api.framing import OPENAI, RESPONSES
from routeiq_appliance.api.http import Request
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Principal

__all__ = ["OpenAIRoutes"]

_CREATED = 1_700_000_000  # `created` of a model is required by OpenAI's schema; groups have no birthday


class OpenAIRoutes:
    """The handlers; each takes a request whose caller is known."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def chat(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/chat/completions`."""
        return self._plane.answer("chat", request, principal, OPENAI)

    def completions(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/completions`."""
        return self._plane.answer("text", request, principal, OPENAI)

    def embeddings(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/embeddings`."""
        return self._plane.answer("embedding", request, principal, OPENAI)

    def responses(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/responses`."""
        return self._plane.answer("responses", request, principal, RESPONSES)

    async def models(self, request: Request, principal: Principal) -> None:
        """`GET /v1/models`: what this key may ask for; `auto` says how it is routed."""
        await request.reply(200, {"object": "list", "data": self._visible(principal)})

    async def model(self, request: Request, principal: Principal) -> None:
        """`GET /v1/models/NAME`; raises `CallError` 404."""
        name = request.path.partition("/models/")[2]
        for entry in self._visible(principal):
            if entry["id"] == name:
                return await request.reply(200, entry)
        raise CallError(
            404, f"no model `{name[:128]}` that this key may use", code="model_not_found", param="model"
        )

    def _visible(self, principal: Principal) -> list[dict[str, Any]]:
        route = self._plane.pipeline.route
        data: list[dict[str, Any]] = [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": "routeiq"}
            for name in route.visible(principal)
        ]
        for entry in data:
            if entry["id"] == "auto":
                entry["routeiq"] = {"strategy": route.strategies.default}
        return data
