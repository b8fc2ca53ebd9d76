"""Who may do what: a key's rights, and whether they open a management path. Pure; the one place that decides it (I1).

Rules; whatever they do not allow is refused:

1. A key's role is its own, else its user's (LiteLLM's `user_role`); the master key's is `admin`. A word that is no
   role is none.
2. `admin` may use every management path, `viewer` those that read. Without a role a key may see itself: what it is,
   and its own calls.
3. LiteLLM's `key_type` only takes away: `llm_api` all of management, `management` the calls, `read_only` the calls and
   whatever a viewer may not. A word that is no type takes away everything.
4. Reading changes nothing: GET, and the few paths that LiteLLM reads by POST.

Which routes the data plane has, and that everybody needs a key, is `api.server`'s; a management endpoint that shows a
key itself shows it nothing else (`api.management.context`).
"""

from dataclasses import dataclass
from typing import Literal

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Principal

__all__ = [
    "KEY_TYPES",
    "OWN_PATHS",
    "READ_BY_POST",
    "USER_ROLES",
    "KeyRole",
    "Rights",
    "admin_only",
    "may_call",
    "may_manage",
    "rights_of",
]

KeyRole = Literal["admin", "viewer"]

USER_ROLES: dict[str, KeyRole | None] = {
    "proxy_admin": "admin",
    "proxy_admin_viewer": "viewer",
    "internal_user": None,
}
"""LiteLLM's words for what a user is, and the role that the user's keys have from it."""
_KEY_ROLES: dict[str, KeyRole] = {"admin": "admin", "viewer": "viewer"}
KEY_TYPES = ("default", "llm_api", "management", "read_only")
OWN_PATHS = frozenset({"/key/info", "/spend/logs"})
"""What a key without a role may GET, of itself."""
READ_BY_POST = frozenset({"/budget/info", "/organization/info"})


@dataclass(frozen=True, slots=True)
class Rights:
    """What a key may do."""

    role: KeyRole | None
    """None: in management, only see itself."""
    calls: bool
    """Whether it may call models."""
    manages: bool
    """Whether it may use any management path."""


def rights_of(role: str | None, key_type: str | None, user_role: str | None) -> Rights:
    """Return the rights of a key; all three as the database has them."""
    own = _KEY_ROLES.get(role) if role is not None else USER_ROLES.get(user_role or "")
    if key_type is None or key_type == "default":
        return Rights(own, calls=True, manages=True)
    if key_type == "llm_api":
        return Rights(None, calls=True, manages=False)
    if key_type == "management":
        return Rights(own, calls=False, manages=True)
    if key_type == "read_only":
        return Rights("viewer" if own is not None else None, calls=False, manages=True)
    return Rights(None, calls=False, manages=False)


def may_call(principal: Principal, method: str) -> bool:
    """Whether a principal may use a path of the data plane; to see which models there are is no call."""
    return principal.calls or method == "GET"


def may_manage(principal: Principal, method: str, path: str) -> bool:
    """Whether a principal may use a management path, which need not exist."""
    if not principal.manages:
        return False
    if principal.is_admin:
        return True
    reads = method == "GET" or (method == "POST" and path in READ_BY_POST)
    return reads and (principal.role == "viewer" or (method == "GET" and path in OWN_PATHS))


def admin_only() -> CallError:
    """Return the 403 of whoever may not: the same for what exists and what does not."""
    return CallError(403, "this path needs an admin's key", kind="permission_error", code="admin_only")
