"""Names that a database cannot keep, or that are none: refused by name or found nowhere, never a server error."""

import json
from typing import Any
from urllib.parse import unquote

import pytest

pytestmark = pytest.mark.parametrize(
    "managed", ["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)], indirect=True
)

QUERIES = [
    "/key/list?user_id=", "/key/list?key_hash=", "/key/list?key_alias=", "/key/info?key=", "/team/info?team_id=",
    "/team/list?user_id=", "/user/list?user_ids=", "/user/list?user_email=", "/user/info?user_id=",
    "/organization/list?org_alias=", "/organization/info?organization_id=", "/budget/settings?budget_id=",
]  # fmt: skip


@pytest.mark.parametrize("name", ["%00", "%ED%A0%80", "a%0Ab", "%F0%9F%98%80", "x" * 600, "%25", "'"])
async def test_an_odd_name_is_refused_or_found_nowhere(managed: Any, name: str) -> None:
    # A lone surrogate, which JSON can say and UTF-8 cannot, and NUL, which PostgreSQL does not keep, among them.
    for path in QUERIES:
        assert (await managed.client.get(path + name)).status_code in {200, 400, 404}, path
    text = unquote(name, errors="surrogatepass")
    bodies: dict[str, Any] = {
        "/key/block": {"key": text},
        "/key/delete": {"keys": [text], "key_aliases": [text]},
        "/key/regenerate": {"key": text},
        f"/key/{name}/regenerate": {},
        "/team/delete": {"team_ids": [text]},
        "/user/delete": {"user_ids": [text]},
        "/budget/delete": {"id": text},
        "/budget/info": {"budgets": [text]},
        "/organization/info": {"organizations": [text]},
        "/team/member_add": {"team_id": text, "member": {"user_email": text, "role": "user"}},
    }
    for path, body in bodies.items():
        headers = {"content-type": "application/json"}
        answer = await managed.client.post(path, content=json.dumps(body), headers=headers)
        assert answer.status_code in {400, 404}, path
        assert answer.json()["error"]["message"]
