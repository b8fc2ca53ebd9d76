"""Anthropic's routes of the data plane: messages and count_tokens."""

from collections.abc import Coroutine
from typing import Any

from routeiq_appliance.api.dataplane import DataPlane
from routeiq_appliance.api.framing import ANTHROPIC
from routeiq_appliance.api.http import Request
from routeiq_appliance.pipeline.types import Principal

__all__ = ["AnthropicRoutes"]


class AnthropicRoutes:
    """The handlers; each takes a request whose caller is known."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    def messages(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/messages`."""
        return self._plane.answer("messages", request, principal, ANTHROPIC)

    def count_tokens(self, request: Request, principal: Principal) -> Coroutine[Any, Any, None]:
        """`POST /v1/messages/count_tokens`: asked of the model's own server; nobody else knows its tokenizer."""
        return self._plane.answer("count_tokens", request, principal, ANTHROPIC)
