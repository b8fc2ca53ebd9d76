"""Step 3: the group that answers (a routing strategy, for `auto` only), then its deployments in order.

An explicit group is taken as asked: never rewritten. Raises `CallError` 404 for an unknown group, 403 for one that
the key may not use, 503 when nothing is left.
"""

import difflib
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import AUTO, Call, Decision, Deployment, Kind, Principal
from routeiq_appliance.routing.interface import Choice, RoutingStrategy

__all__ = ["Route", "may_use"]

_MODES: Mapping[Kind, frozenset[str | None]] = {
    "chat": frozenset({None, "chat", "completion"}),
    "text": frozenset({None, "chat", "completion"}),
    "embedding": frozenset({None, "embedding"}),
}


def may_use(principal: Principal, group: str) -> bool:
    """Whether the key's allow-list holds `group`; an empty list is no restriction."""
    return not principal.models or group in principal.models


class Route:
    """`groups` in declared order; `candidates` are those of `auto`."""

    def __init__(
        self, groups: Mapping[str, Sequence[Deployment]], candidates: Sequence[str], strategy: RoutingStrategy
    ) -> None:
        self.groups = groups
        self.candidates = tuple(candidates)
        self.strategy = strategy
        self._turns: dict[str, Iterator[int]] = {group: itertools.count() for group in groups}

    async def decide(self, principal: Principal, call: Call) -> Decision:
        """Return the decision for one call."""
        started = time.perf_counter()
        if call.asked == AUTO:
            choice = await self._choose(principal, call)
        else:
            self._check_asked(principal, call)
            choice = Choice(call.asked, "explicit", None, ((call.asked, None),), "the caller named the group")
        return Decision(
            group=choice.group,
            deployments=self._in_turn(choice.group),
            strategy=choice.strategy,
            score=choice.score,
            ranking=choice.ranking,
            reason=choice.reason,
            artifact=choice.artifact,
            seconds=time.perf_counter() - started,
        )

    def visible(self, principal: Principal) -> list[str]:
        """Return what a key may ask for, `auto` first when it has a candidate."""
        groups = [group for group in self.groups if may_use(principal, group)]
        return [AUTO, *groups] if self._allowed(principal) else groups

    async def _choose(self, principal: Principal, call: Call) -> Choice:
        if call.kind == "embedding":
            raise CallError(
                400,
                "`auto` is not for embeddings: vectors of different models cannot be compared; name a model",
                code="model_not_supported",
                param="model",
            )
        candidates = self._allowed(principal)
        if not candidates and self.candidates:
            raise CallError(
                403,
                "the key may use none of the candidates of `auto`",
                kind="permission_error",
                code="model_not_allowed",
                param="model",
            )
        if not candidates:
            raise CallError(
                503, "`auto` has no candidate", kind="server_error", code="no_candidate", param="model"
            )
        return await self.strategy.choose(call.prompt, candidates)

    def _allowed(self, principal: Principal) -> tuple[str, ...]:
        if AUTO in principal.models:
            return self.candidates
        return tuple(group for group in self.candidates if may_use(principal, group))

    def _check_asked(self, principal: Principal, call: Call) -> None:
        group = call.asked
        if group not in self.groups:
            near = difflib.get_close_matches(group[:128], self.visible(principal), n=1)
            advice = f"; did you mean `{near[0]}`?" if near else "; `GET /v1/models` lists what there is"
            raise CallError(
                404, f"there is no model `{group[:128]}`{advice}", code="model_not_found", param="model"
            )
        if not may_use(principal, group):
            raise CallError(
                403,
                f"the key may not use model `{group}`",
                kind="permission_error",
                code="model_not_allowed",
                param="model",
            )
        if not any(deployment.mode in _MODES[call.kind] for deployment in self.groups[group]):
            raise CallError(
                400,
                f"model `{group}` does not answer {call.kind} calls",
                code="model_not_supported",
                param="model",
            )

    def _in_turn(self, group: str) -> tuple[Deployment, ...]:
        deployments = self.groups[group]
        first = next(self._turns[group]) % len(deployments)
        return (*deployments[first:], *deployments[:first])
