"""`GET /openapi.json` and `GET /docs`: the document and the page, made once, when first asked for."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Depends
from pydantic_core import to_json
from starlette.responses import HTMLResponse, Response

from routeiq_appliance.api.management.context import Context
from routeiq_appliance.api.reference.document import describe
from routeiq_appliance.api.reference.listing import listed
from routeiq_appliance.api.reference.page import page_headers, render_page

__all__ = ["reference_routes"]


def reference_routes(context: Context, *, management: Callable[[], dict[str, Any]]) -> APIRouter:
    """Return the routes; `management` makes FastAPI's document, when all of its routes are known."""
    router = APIRouter(tags=["gateway"], dependencies=[Depends(context.admins_only)])
    release = version("routeiq-appliance")

    @cache
    def document() -> dict[str, Any]:
        return describe(management(), version=release)

    @cache
    def text() -> bytes:
        return to_json(document())

    @cache
    def page() -> str:
        return render_page(listed(document()), version=release)

    @router.get("/openapi.json", response_model=dict[str, Any], summary="This API, as OpenAPI 3.1")
    async def openapi() -> Response:
        return Response(
            await context.run(text), headers={"cache-control": "no-store"}, media_type="application/json"
        )

    @router.get("/docs", response_class=HTMLResponse, summary="This API, as a page for browsers")
    async def docs() -> Response:
        return HTMLResponse(await context.run(page), headers=page_headers())

    return router
