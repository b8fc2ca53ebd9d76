"""Derives the key of an entry: who may have it, and everything that makes the answer what it is. Pure.

A key is HMAC-SHA256 over the JSON of, in this order:

1. the form's version;
2. the scope: the key, the team, or everybody; and the caller's namespace within it;
3. the kind, and whether it is a stream: an entry of one form is never an answer in the other;
4. the group decided on, and what it is made of: its deployments' models, addresses and parameters;
5. the tags, which choose among its deployments;
6. every field that goes to the upstream, by name: so no list of fields that matter can be too short.

Within a field nothing is sorted: the order of a schema's properties changes what a model writes. It is keyed by a
secret of the site, so that a name in Redis tells nothing to who guesses prompts.
"""

import hmac
from collections.abc import Sequence

from pydantic_core import to_json

from routeiq_appliance.cache.rules import Scope
from routeiq_appliance.pipeline.types import Call, Deployment, Principal

__all__ = ["Group", "Keys", "is_cold"]

_VERSION = 1
_Held = tuple[str, str]


class Group:
    """A group as the key sees it; `cold`: its deployments set temperature 0 for calls that name none."""

    __slots__ = ("cold", "digest", "members")

    def __init__(self, members: Sequence[Deployment]) -> None:
        self.members = members
        self.cold = bool(members) and all(_is_zero(member.params.get("temperature")) for member in members)
        told = [
            (m.id, m.provider, m.model, m.upstream, m.mode, sorted(m.tags), sorted(m.params.items()))
            for m in members
        ]
        self.digest = hmac.digest(b"group", to_json(told, fallback=str), "sha256").hex()


class Keys:
    """Derives keys for one configured scope. `secret`: 32 bytes that all replicas have, and nobody else."""

    def __init__(self, secret: bytes, scope: Scope) -> None:
        self._secret = secret
        self._scope = scope
        self._groups: dict[str, Group] = {}

    def group(self, name: str, members: Sequence[Deployment]) -> Group:
        """Return the group; it is looked at again only when its deployments are others."""
        known = self._groups.get(name)
        if known is None or known.members is not members:
            known = self._groups[name] = Group(members)
        return known

    def key(self, call: Call, principal: Principal, name: str, group: Group, namespace: str) -> bytes | None:
        """Return 32 bytes; None for a call that cannot be told exactly."""
        if call.file is not None:
            return None
        told = (
            _VERSION,
            *_holder(self._scope, principal),
            namespace,
            call.kind,
            call.stream,
            call.include_usage,
            name,
            group.digest,
            sorted(call.wishes.tags),
            sorted(call.params.items()),
            sorted(call.extra.items()),
        )
        try:
            return hmac.digest(self._secret, to_json(told), "sha256")
        except ValueError:  # no JSON: a lone surrogate
            return None


def is_cold(call: Call, group: Group) -> bool:
    """Whether the call asks for the likeliest answer rather than a drawn one."""
    temperature = call.params.get("temperature")
    return group.cold if temperature is None else _is_zero(temperature)


def _is_zero(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _holder(scope: Scope, principal: Principal) -> _Held:
    if scope == "global":
        return ("global", "")
    # A key without a team has nobody to share with.
    if scope == "team" and principal.team_id is not None:
        return ("team", principal.team_id)
    return ("key", principal.key_id)
