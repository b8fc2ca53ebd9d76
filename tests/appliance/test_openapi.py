"""The API's own description: all routes and no others, valid OpenAPI, readable by who may, and nothing from outside."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema

from routeiq_appliance.api.reference.dataplane import OPERATIONS
from routeiq_appliance.api.reference.listing import listed
from routeiq_appliance.api.reference.markdown import render_api
from routeiq_appliance.api.reference.whole import whole_document
from routeiq_appliance.api.server import Access

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"
_WHO = {
    Access.OPEN: {"anyone"}, Access.KEY: {"any key"}, Access.BROWSER: {"any key"}, Access.ADMIN: {"admin"},
}  # fmt: skip


def test_docs_api_md_is_what_the_routes_are() -> None:  # C16
    assert DOCUMENT.read_text(encoding="utf-8") == render_api(listed(whole_document())), (
        "docs/api.md: out of date; run `python -m routeiq_appliance.api.reference.markdown > docs/api.md`"
    )


async def test_the_document_describes_every_route_and_who_may(running: Any) -> None:  # C16, I1
    document = (await running.client.get("/openapi.json", headers=running.auth)).json()
    assert document == whole_document()
    described = {
        (method.upper(), re.sub(r"\{\w+\}$", "", path)): operation["x-routeiq-access"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if not operation.get("x-routeiq-management")
    }
    routes = {
        (method, route.path): route.access for route in running.gateway.app.routes for method in route.methods
    }
    assert described.keys() == routes.keys()
    assert all(described[key] in _WHO[access] for key, access in routes.items())
    assert len({(item.method, item.path) for item in OPERATIONS}) == len(OPERATIONS)


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    document = whole_document()
    assert document["openapi"].startswith("3.1")

    def look(value: Any) -> None:
        if isinstance(value, list):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            if "$ref" in value:
                name = value["$ref"].removeprefix("#/components/schemas/")
                assert name in document["components"]["schemas"]
            if isinstance(value.get("schema"), dict):
                jsonschema.Draft202012Validator.check_schema(value["schema"])
            for item in value.values():
                look(item)

    look(document["paths"])
    look(document["components"])
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    identities = [item["operationId"] for methods in document["paths"].values() for item in methods.values()]
    assert len(set(identities)) == len(identities)


class _Loads(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses |= {
            value or "" for name, value in attrs if name in {"src", "href", "action", "srcset"}
        }


async def test_the_page_loads_nothing_and_lists_every_operation(running: Any) -> None:
    # A browser has no way to send a bearer token: the key is the password of HTTP Basic.
    key = running.auth["authorization"].removeprefix("Bearer ")
    basic = {"authorization": "Basic " + base64.b64encode(f"me:{key}".encode()).decode()}
    asked = await running.client.get("/docs")
    assert (asked.status_code, asked.headers["www-authenticate"]) == (401, 'Basic realm="routeiq"')
    page = await running.client.get("/docs", headers=basic)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    loads = _Loads()
    loads.feed(page.text)
    assert "script" not in loads.tags
    assert "img" not in loads.tags
    assert loads.addresses == {"data:,", "/openapi.json"}
    for item in listed(whole_document()):
        assert f"{item.path}</code>" in page.text
    # Basic is for the page alone.
    assert (await running.client.get("/openapi.json", headers=basic)).status_code == 401
    plain = {"authorization": f"Bearer {await running.generate_key()}"}
    assert (await running.client.get("/docs", headers=plain)).status_code == 403
