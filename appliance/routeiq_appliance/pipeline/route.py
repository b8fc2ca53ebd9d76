"""Step 3: the group that answers (a routing strategy, for `auto` only), then its deployments in order.

An explicit group is taken as asked; if a rule of the site (`policy`) changed it, that was before. `CallError` 404 for
an unknown group, 403 for one that the key may not use, 503 when nothing is left. Which strategy decides is
`routing.precedence`'s, the order `routing.balance`'s.
"""

import difflib
import time
from collections.abc import Mapping, Sequence

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.auto import Auto
from routeiq_appliance.pipeline.types import AUTO, GENERATES, Call, Decision, Deployment, Kind, Principal
from routeiq_appliance.routing.balance import Balancer
from routeiq_appliance.routing.interface import Choice
from routeiq_appliance.routing.precedence import Strategies, follow_hint
from routeiq_appliance.routing.tags import matching
from routeiq_appliance.routing.why import Why

__all__ = ["Route", "may_use"]

_MODES: Mapping[Kind, frozenset[str | None]] = {
    "chat": GENERATES,
    "text": GENERATES,
    "messages": GENERATES,
    "count_tokens": GENERATES,
    "responses": GENERATES,
    "embedding": frozenset({None, "embedding"}),
    "rerank": frozenset({None, "rerank"}),
    "moderation": frozenset({None, "moderation"}),
    "image": frozenset({None, "image_generation"}),
    "speech": frozenset({None, "audio_speech"}),
    "transcription": frozenset({None, "audio_transcription"}),
}


def may_use(principal: Principal, group: str) -> bool:
    """Whether the key's and its team's allow-lists hold `group`; an empty list is no restriction."""
    if principal.models and group not in principal.models:
        return False
    return not principal.team_models or group in principal.team_models


class Route:
    """`groups` in declared order; `candidates` are those of `auto`; `aliases` are other names of groups."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[Deployment]],
        candidates: Sequence[str],
        strategies: Strategies,
        balancer: Balancer,
        *,
        aliases: Mapping[str, str] | None = None,
        tags: bool = False,
        auto: Auto | None = None,
    ) -> None:
        self.groups = groups
        self.candidates = tuple(candidates)
        self.strategies = strategies
        self.aliases = dict(aliases or {})
        self._balancer = balancer
        self._auto = auto or Auto(groups)
        self._kinds: Mapping[Kind, frozenset[str]] = {
            kind: frozenset(name for name, members in groups.items() if any(m.mode in modes for m in members))
            for kind, modes in _MODES.items()
        }
        self._tagged = (
            frozenset()
            if not tags
            else frozenset(name for name, members in groups.items() if any(m.tags for m in members))
        )

    async def decide(
        self, principal: Principal, call: Call, *, kept: str | None, live: str | None
    ) -> Decision:
        """Return the decision for one call.

        `kept`: what the conversation's last answer left (`GROUP\\nDEPLOYMENT`); `live`: the live routing strategy.
        """
        started = time.perf_counter()
        group, _, deployment = (kept or "").partition("\n")
        why = None
        if call.asked == AUTO:
            choice, why = await self._choose(principal, call, kept=group, live=live)
        else:
            choice = self._explicit(principal, call)
        ordered, passed_over = self.deployments(choice.group, call)
        if deployment and choice.group == group:
            ordered = _first(ordered, deployment)
        return Decision(
            group=choice.group,
            deployments=ordered,
            strategy=choice.strategy,
            score=choice.score,
            ranking=choice.ranking,
            reason=choice.reason,
            artifact=choice.artifact,
            seconds=time.perf_counter() - started,
            balancing=self._balancer.name,
            passed_over=passed_over,
            why=why,
        )

    def instead(self, decision: Decision, group: str, call: Call, why: str) -> Decision:
        """Return the decision with another group in place of the first choice, and the reason."""
        ordered, passed_over = self.deployments(group, call)
        return Decision(
            group=group,
            deployments=ordered,
            strategy=decision.strategy,
            score=dict(decision.ranking).get(group),
            ranking=decision.ranking,
            reason=f"{decision.reason}; {why}",
            artifact=decision.artifact,
            seconds=decision.seconds,
            balancing=decision.balancing,
            passed_over=passed_over,
            why=decision.why,
        )

    def deployments(
        self, group: str, call: Call
    ) -> tuple[tuple[Deployment, ...], tuple[tuple[str, str], ...]]:
        """Return a group's deployments in the order to try them, and those passed over with the reason.

        Raises `CallError` 503 when none answers this kind of call, or these tags.
        """
        members = self.groups[group]
        passed_over: tuple[tuple[str, str], ...] = ()
        if len(members) > 1:
            members = [m for m in members if m.mode in _MODES[call.kind]]
        ruling = call.ruling
        if ruling is not None and ruling.binds(group):
            members, passed_over = ruling.within(group, members)  # whatever tags the caller gives
        elif group in self._tagged:
            members, passed_over = matching(members, call.wishes.tags)
        if not members:
            raise _none_tagged(group)
        return self._balancer.order(group, members), passed_over

    def answers(self, principal: Principal, call: Call, group: str) -> bool:
        """Whether `group` may stand in for another one in this call."""
        if call.ruling is not None and not call.ruling.permits(group):
            return False
        return group in self._kinds[call.kind] and may_use(principal, group)

    def visible(self, principal: Principal) -> list[str]:
        """Return what a key may ask for, `auto` first when it has a candidate."""
        groups = [group for group in (*self.groups, *self.aliases) if may_use(principal, group)]
        return [AUTO, *groups] if self._allowed(principal) else groups

    async def _choose(
        self, principal: Principal, call: Call, *, kept: str, live: str | None
    ) -> tuple[Choice, Why]:
        if _MODES[call.kind] is not GENERATES:
            why = "embeddings: vectors of different models cannot be compared"
            raise CallError(
                400,
                f"`auto` is not for {why if call.kind == 'embedding' else f'{call.kind} calls'}; name a model",
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
        if call.ruling is not None:
            candidates = call.ruling.among(candidates)
        if self._tagged and call.wishes.tags:
            candidates = tuple(group for group in candidates if self._has_tags(group, call))
            if not candidates:
                raise _none_tagged(AUTO)
        sifted = self._auto.sift(call, candidates)
        candidates = sifted.candidates
        hinted, why_not = follow_hint(call.wishes.hint, candidates, self.aliases)
        if hinted is not None:
            return _fixed(hinted, "hint", candidates, "the caller's hint"), sifted.why
        if kept in candidates:
            return _fixed(kept, "affinity", candidates, "the conversation's model"), sifted.why
        strategy, reason = self.strategies.choose(
            header=call.wishes.strategy, principal=principal.strategy, live=live
        )
        choice = await self._auto.choose(principal, call, sifted, strategy)
        for note in (reason, why_not):
            if note:
                choice.reason = f"{choice.reason}; {note}" if choice.reason else note
        return choice, sifted.why

    def _allowed(self, principal: Principal) -> tuple[str, ...]:
        """Return the candidates that the key may use; naming `auto` in an allow-list allows them all."""
        key, team = principal.models, principal.team_models
        if not key and not team:
            return self.candidates
        return tuple(
            group
            for group in self.candidates
            if (not key or AUTO in key or group in key) and (not team or AUTO in team or group in team)
        )

    def _has_tags(self, group: str, call: Call) -> bool:
        """Whether a deployment of `group` answers calls with these tags."""
        if group not in self._tagged or (call.ruling is not None and call.ruling.binds(group)):
            return True
        members = [m for m in self.groups[group] if m.mode in _MODES[call.kind]]
        return bool(matching(members, call.wishes.tags)[0])

    def _explicit(self, principal: Principal, call: Call) -> Choice:
        asked = call.asked
        group = self.aliases.get(asked, asked)
        if group not in self.groups:
            near = difflib.get_close_matches(asked[:128], self.visible(principal), n=1)
            advice = f"; did you mean `{near[0]}`?" if near else "; `GET /v1/models` lists what there is"
            raise CallError(
                404, f"there is no model `{asked[:128]}`{advice}", code="model_not_found", param="model"
            )
        beyond = call.ruling is not None and call.ruling.beyond_key
        if not beyond and not may_use(principal, group) and (asked == group or not may_use(principal, asked)):
            raise CallError(
                403,
                f"the key may not use model `{group}`",
                kind="permission_error",
                code="model_not_allowed",
                param="model",
            )
        if group not in self._kinds[call.kind]:
            raise CallError(
                400,
                f"model `{group}` does not answer {call.kind} calls",
                code="model_not_supported",
                param="model",
            )
        reason = "the caller named the group"
        if call.wishes.hint:
            reason += "; the hint does not rewrite it"
        return Choice(group, "explicit", None, ((group, None),), reason)


def _none_tagged(group: str) -> CallError:
    return CallError(
        503,
        f"no deployment of `{group}` answers calls with these tags",
        kind="server_error",
        code="no_candidate",
        param="metadata.tags",
    )


def _fixed(group: str, strategy: str, candidates: tuple[str, ...], reason: str) -> Choice:
    ranking = (group, *(name for name in candidates if name != group))
    return Choice(group, strategy, None, tuple((name, None) for name in ranking), reason)


def _first(deployments: tuple[Deployment, ...], wanted: str) -> tuple[Deployment, ...]:
    kept = tuple(d for d in deployments if d.id == wanted)
    return (*kept, *(d for d in deployments if d.id != wanted)) if kept else deployments
