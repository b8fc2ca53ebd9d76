"""The policy's place in the pipeline: judges each call by the rules in force before anything is reserved for it.

What the rules say is in `rules`, what follows from it in `ruling`; where rules come from, in `keeper`. A rewritten call
is changed here, once: from then on `call.asked` is the model that the rules want.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.types import AUTO, Call, Principal
from routeiq_appliance.policy.facts import facts_of
from routeiq_appliance.policy.rules import RuleSet
from routeiq_appliance.policy.ruling import Ruling

__all__ = ["PolicyGate"]


def _now() -> datetime:
    return datetime.now(UTC)


class PolicyGate:
    """One per worker. `rules` are those in force: whoever keeps them puts others in their place at any time."""

    def __init__(
        self,
        rules: RuleSet,
        *,
        text_chars: int,
        now: Callable[[], datetime] = _now,
        prompt_chars: int = DEFAULT_LIMITS.routing_prompt_chars,
    ) -> None:
        self.rules = rules
        self._text_chars = text_chars
        self._now = now
        self._prompt_chars = prompt_chars

    def judge(self, principal: Principal, call: Call) -> Ruling:
        """Judge the call, and change what it asks for if a rule says so; a denied one has a `refusal`."""
        started = time.perf_counter()
        rules = self.rules
        facts = facts_of(principal, call, reads_text=rules.reads_text, text_chars=self._text_chars)
        case = rules.case(facts, self._now())
        verdict = case.judge(call.asked)
        ruling = Ruling(rules, case, verdict, call.asked, time.perf_counter() - started)
        call.ruling = ruling
        if ruling.enforced and verdict.action != "deny" and verdict.model != call.asked:
            call.asked = verdict.model
            if call.asked == AUTO and not call.prompt:
                # Nobody read it when the call came in: only `auto` needs it.
                whole = facts_of(principal, call, reads_text=True, text_chars=self._text_chars)
                call.prompt = whole.user_text[-self._prompt_chars :]
        return ruling
