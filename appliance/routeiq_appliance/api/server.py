"""The one ASGI application: finds the route, lets nobody in without a key, renders every error with a request id.

A route that is not in the table is refused without a key too (401 before 404): the table of paths is not public.
"""

import contextvars
import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from routeiq_appliance.api.http import CallerLeftError, Headers, Receive, Request, Scope, Send, error_body
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.authenticate import Authenticator
from routeiq_appliance.pipeline.roles import admin_only, may_call, may_manage
from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.telemetry.metrics import Metrics

__all__ = ["Access", "Handler", "Lifespan", "Route", "Server", "current_principal", "current_request_id"]

_LOG = logging.getLogger(__name__)
_CURRENT: contextvars.ContextVar[tuple[str, Principal] | None] = contextvars.ContextVar(
    "request", default=None
)

_PAGE = "/docs"
"""A management path that browsers show."""

Handler = Callable[[Request, Principal], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]


def current_request_id() -> str:
    """Return the id of the management request that this task serves."""
    current = _CURRENT.get()
    return current[0] if current else ""


def current_principal() -> Principal | None:
    """Return who makes the management request that this task serves."""
    current = _CURRENT.get()
    return current[1] if current else None


class Access(Enum):
    """Who may use a route."""

    OPEN = "anyone"
    KEY = "any valid key"
    BROWSER = "any valid key, also as the password of HTTP Basic"
    ADMIN = "an admin's key"


@dataclass(frozen=True, slots=True)
class Route:
    """One path of the data plane. A path that ends in `/` stands for all below it."""

    path: str
    methods: tuple[str, ...]
    access: Access
    handler: Handler
    errors: Callable[[CallError, str], dict[str, Any]] = error_body
    """Renders an error in the route's dialect, with the request id."""


@dataclass(frozen=True, slots=True)
class Lifespan:
    """What is done before the first request and after the last."""

    start: Callable[[], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]


class Server:
    """Routes that are not in `routes` go to `management`, for whom `pipeline.roles` lets in."""

    def __init__(
        self,
        routes: list[Route],
        management: ASGI,
        authenticator: Authenticator,
        metrics: Metrics,
        lifespan: Lifespan,
        *,
        management_body: int,
    ) -> None:
        self.routes = tuple(routes)
        self._exact: Mapping[str, Route] = {route.path: route for route in routes}
        self._prefixes = tuple(route for route in routes if route.path.endswith("/"))
        self._management = management
        self._authenticator = authenticator
        self._metrics = metrics
        self._lifespan = lifespan
        self._management_body = management_body
        # Ids begin with the time (as RFC 9562's version 7), so the ledger's index grows at one end. They are unique,
        # not secret: the kernel's generator would cost a system call per request.
        self._draw = random.Random(secrets.randbits(256)).getrandbits  # noqa: S311

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._lifespan.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._lifespan.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send, f"{time.time_ns() // 1_000_000:012x}{self._draw(80):020x}")
        try:
            await self._dispatch(request, send)
        except CallerLeftError:
            return
        except CallError as error:
            self._metrics.refused(error.status, error.code or "")
            await self._render(request, error)
        except Exception:  # noqa: BLE001 - see below
            # The last net: whatever we did not foresee becomes one log line and one answer without a trace.
            _LOG.exception("unexpected error", extra={"request_id": request.id, "path": request.path[:256]})
            self._metrics.refused(500)
            await self._render(
                request,
                CallError(500, "internal error; the log has it under this request id", kind="server_error"),
            )

    async def _dispatch(self, request: Request, send: Send) -> None:
        route = self._find(request.path)
        if route is not None and route.access is Access.OPEN:
            _check_method(route, request.method)
            await route.handler(request, Principal("anyone"))
            return
        browser = request.path == _PAGE if route is None else route.access is Access.BROWSER
        key = request.credential(basic=browser)
        principal = (
            self._authenticator.cached(key) if key else None
        ) or await self._authenticator.authenticate(key)
        if route is not None:
            _check_method(route, request.method)
            if route.access is Access.ADMIN and not principal.is_admin:
                raise admin_only()
            if not principal.calls and not may_call(principal, request.method):
                raise CallError(
                    403, "the API key may not call models", kind="permission_error", code="key_type_refused"
                )
            await route.handler(request, principal)
            return
        if not may_manage(principal, request.method, request.path):
            raise admin_only()
        _CURRENT.set((request.id, principal))
        body = await request.body(self._management_body)
        await self._management(
            _as_json(request), _replay(body, request.receive), _with_request_id(send, request.id)
        )

    def _find(self, path: str) -> Route | None:
        route = self._exact.get(path)
        return route or next((route for route in self._prefixes if path.startswith(route.path)), None)

    async def _render(self, request: Request, error: CallError) -> None:
        if request.started:
            return  # a stream tells its own errors; here nothing can be said any more
        headers: Headers = [*error.headers]
        if error.retry_after is not None:
            headers.append((b"retry-after", str(error.retry_after).encode()))
        if error.status == 401:
            basic = b"Basic" if request.path.startswith(("/ui", _PAGE)) else b"Bearer"
            headers.append((b"www-authenticate", basic + b' realm="routeiq"'))
        if error.status == 413:
            # What is left of the body is not read.
            headers.append((b"connection", b"close"))
        route = self._find(request.path)
        errors = error_body if route is None else route.errors
        await request.reply(error.status, errors(error, request.id), headers)


def _check_method(route: Route, method: str) -> None:
    if method not in route.methods:
        allowed = ", ".join(route.methods)
        error = CallError(405, f"this path takes {allowed}", code="method_not_allowed")
        error.headers = ((b"allow", allowed.encode()),)
        raise error


def _as_json(request: Request) -> Scope:
    """Return the scope of a management request; its body is JSON, whatever curl calls it."""
    given = request.header(b"content-type") or ""
    if given and not given.lower().startswith("application/x-www-form-urlencoded"):
        return request.scope
    headers = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
    return {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read already, then what the connection says."""
    pending = [body]

    async def replay() -> MutableMapping[str, Any]:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay


def _with_request_id(send: Send, request_id: str) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
        await send(message)

    return wrapped
