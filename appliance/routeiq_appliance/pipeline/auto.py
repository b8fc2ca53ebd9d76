"""How `auto` chooses a group, beside what the strategy predicts: filters, objective, prices, standing, and the record.

1. Candidates that cannot answer the call (`routing.capabilities`) are left out, each with its reason; 400 when none is
   left. 2. The strategy ranks the others by the objective (`routing.precedence`), with what the call would cost in each
   and how slow each is. 3. Those that can take no call at this moment (`routing.standing`) go to the end.

Which candidates a key may use, hints, tags and conversations are `pipeline.route`'s.
"""

import zlib
from collections.abc import Mapping, Sequence

from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.needs import needs_of
from routeiq_appliance.pipeline.settle import cost_of
from routeiq_appliance.pipeline.types import Call, Deployment, Price, Principal
from routeiq_appliance.routing.capabilities import Capabilities, Filtered, Needs, capabilities_of, sift
from routeiq_appliance.routing.interface import Choice, RoutingStrategy, Terms
from routeiq_appliance.routing.precedence import Objectives
from routeiq_appliance.routing.standing import Standing
from routeiq_appliance.routing.why import Prices, Why

__all__ = ["Auto", "Sifted"]

_TYPICAL_ANSWER = 300
"""Tokens of an answer, where the call names no smaller limit: what prices are compared for."""
_TYPICAL_SECONDS = 6.0
_SHOWN = 5
"""Groups that an error names."""


class Sifted:
    """What filters left of the candidates."""

    __slots__ = ("candidates", "needs", "why")

    def __init__(self, candidates: tuple[str, ...], needs: Needs, why: Why) -> None:
        self.candidates = candidates
        self.needs = needs
        self.why = why


class Auto:
    """Of one configuration's groups; `standing` None: every group can take calls, and no latency is known."""

    def __init__(
        self,
        groups: Mapping[str, Sequence[Deployment]],
        objectives: Objectives | None = None,
        standing: Standing | None = None,
    ) -> None:
        self._objectives = objectives or Objectives()
        self._standing = standing
        self._known: dict[str, Capabilities] = {
            name: found for name, members in groups.items() if (found := capabilities_of(members)) is not None
        }
        self._prices = {
            name: price for name, members in groups.items() if (price := _mean(members)) is not None
        }
        self._told = {name: _told(price) for name, price in self._prices.items()}

    def sift(self, call: Call, candidates: tuple[str, ...]) -> Sifted:
        """Return the candidates that can answer; raises `CallError` 400 when none can."""
        needs = needs_of(call)
        why = Why(seed=zlib.crc32(call.id.encode()), prices=self._told, needs=needs.flags)
        kept = candidates
        if self._known:
            kept, why.filtered, why.undeclared = sift(needs, candidates, self._known)
        elif needs.flags:
            why.undeclared = tuple((group, need) for group in candidates for need in needs.flags)
        if not kept:
            raise _none_capable(why.filtered)
        return Sifted(kept, needs, why)

    async def choose(
        self, principal: Principal, call: Call, sifted: Sifted, strategy: RoutingStrategy
    ) -> Choice:
        """Return the strategy's choice, groups that can take no call put last; notes both in `sifted.why`."""
        why, candidates = sifted.why, sifted.candidates
        objective, source = self._objectives.choose(
            header=call.wishes.objective, principal=principal.objective
        )
        standing = self._standing
        latencies = None
        if standing is not None and objective.latency:
            latencies = {group: standing.latency(group) for group in candidates}
        terms = Terms(objective, why.seed, self._costs(candidates, sifted.needs), latencies)
        choice = await strategy.choose(call.prompt, candidates, terms)
        if choice.weighed:
            why.objective, why.objective_from = str(objective), source
            why.weighed, why.embedding = choice.weighed, choice.embedding
        return choice if standing is None else _put_last(choice, standing, why)

    def _costs(self, candidates: tuple[str, ...], needs: Needs) -> dict[str, float] | None:
        """Return what the call would cost in each group; None unless all of them have a price."""
        costs: dict[str, float] = {}
        answer = min(needs.answer_tokens or _TYPICAL_ANSWER, _TYPICAL_ANSWER)
        for group in candidates:
            price = self._prices.get(group)
            if price is None:
                return None
            costs[group] = float(
                cost_of(price, prompt_tokens=needs.tokens, completion_tokens=answer, seconds=_TYPICAL_SECONDS)
            )
        return costs


def _put_last(choice: Choice, standing: Standing, why: Why) -> Choice:
    reasons = {group: reason for group, _ in choice.ranking if (reason := standing.last(group)) is not None}
    if not reasons:
        return choice
    why.last = tuple(reasons.items())
    if len(reasons) == len(choice.ranking):
        return choice  # one as well as another
    able = [entry for entry in choice.ranking if entry[0] not in reasons]
    choice.ranking = (*able, *(entry for entry in choice.ranking if entry[0] in reasons))
    group, score = choice.ranking[0]
    if group != choice.group:
        choice.reason += f"; `{choice.group}` is put last: {reasons[choice.group]}"
        choice.group, choice.score = group, score
    return choice


def _none_capable(filtered: Sequence[Filtered]) -> CallError:
    named = "; ".join(f"`{item.group}`: {item.reason}" for item in filtered[:_SHOWN])
    more = f"; and {len(filtered) - _SHOWN} more" if len(filtered) > _SHOWN else ""
    too_long = all(item.filter == "context_window" for item in filtered)
    filters = ", ".join(sorted({item.filter for item in filtered}))
    return CallError(
        400,
        f"no candidate of `auto` can answer this call ({filters}): {named}{more}",
        code="context_length_exceeded" if too_long else "no_capable_candidate",
        param="messages" if too_long else "model",
    )


def _mean(members: Sequence[Deployment]) -> Price | None:
    """Return the mean price of a group's deployments; None when one of them has none."""
    prices = [member.price for member in members if member.price is not None]
    if not prices or len(prices) < len(members):
        return None
    count = len(prices)
    return Price(
        sum(p.input_token for p in prices) // count,
        sum(p.output_token for p in prices) // count,
        sum(p.second for p in prices) // count,
        sum(p.call for p in prices) // count,
    )


def _told(price: Price) -> Prices:
    return price.input_token, price.output_token, price.second, price.call
