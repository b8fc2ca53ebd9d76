"""A key's own limits on single groups: asked when a group is chosen or fallen back to, settled for who answers.

A call may be admitted to several groups on its way: all count its request, only the one that answered what it used.
"""

from routeiq_appliance.pipeline.types import Principal
from routeiq_appliance.state.shared.interface import (
    Admission,
    Grant,
    Refusal,
    Scope,
    Settlement,
    SharedState,
)

__all__ = ["ModelLimits"]


class ModelLimits:
    """One per call whose key has any."""

    __slots__ = ("_admission", "_grants", "_principal", "_shared")

    def __init__(self, shared: SharedState, principal: Principal, admission: Admission) -> None:
        self._shared = shared
        self._principal = principal
        self._admission = admission
        self._grants: list[tuple[str, Grant]] = []

    async def refusal(self, group: str) -> Refusal | None:
        """Admit the call to the limits on `group`; return what refuses it, None when nothing does."""
        limit = self._principal.model_limits.get(group)
        if limit is None:
            return None
        scope = Scope(f"key:{self._principal.key_id}/model:{group}", limit.rpm, limit.tpm, None, limit.budget)
        asked = self._admission
        verdict = await self._shared.admit(
            Admission(asked.call_id, (scope,), asked.tokens, asked.cost, asked.lease_seconds)
        )
        if verdict.grant is not None:
            self._grants.append((group, verdict.grant))
        return verdict.refusal

    def settle(self, group: str | None, tokens: int, cost: int) -> None:
        """Give every grant back, and add what was used to the limits on `group`."""
        for name, grant in self._grants:
            used = name == group
            self._shared.settle(Settlement(grant, tokens if used else 0, cost if used else 0))
