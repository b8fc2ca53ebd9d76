"""The strategy of a signed artifact: `routeiq_router` predicts each candidate's quality on the prompt.

Until calibration exists, the configuration maps each group to a model of the artifact (`model_map`). A prompt that the
router remembers is decided at once; else inference runs in an executor of its own, and when more calls wait than it
can take, the declared order decides and says so.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from routeiq_appliance.routing.interface import Choice
from routeiq_router.router import Decision, Router

__all__ = ["Learned"]

_MAX_WAITING = 256
_MAX_RECALLED_CHARS = 1 << 16
"""Hashing a longer prompt would hold up the event loop: the executor looks it up."""


class Learned:
    """One thread decides: two threads with one session are slower than one (measured)."""

    def __init__(self, router: Router, model_map: Mapping[str, str], *, cost_weight: float) -> None:
        router.check_models(model_map)
        self.name = f"ml-{router.strategy}"
        self._router = router
        self._model_map = model_map
        self._cost_weight = cost_weight
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="routing")
        self._waiting = 0

    async def choose(self, prompt: str, candidates: tuple[str, ...]) -> Choice:
        """See `RoutingStrategy.choose`."""
        mapped = {group: self._model_map[group] for group in candidates}
        if len(prompt) <= _MAX_RECALLED_CHARS:
            known = self._router.recall(prompt, mapped, self._cost_weight)
            if known is not None:
                return self._choice(known)
        if self._waiting >= _MAX_WAITING:
            return self._declared(candidates, "declared order: too many prompts wait for a decision")
        self._waiting += 1
        try:
            decision = await asyncio.get_running_loop().run_in_executor(
                self._executor, self._router.rank, prompt, mapped, self._cost_weight
            )
        finally:
            self._waiting -= 1
        return self._choice(decision)

    def _choice(self, decision: Decision) -> Choice:
        return Choice(
            decision.group,
            self.name,
            decision.score,
            tuple((item.group, item.score) for item in decision.ranking),
            decision.reason,
            decision.artifact_digest,
            decision.cached,
        )

    def _declared(self, candidates: tuple[str, ...], reason: str) -> Choice:
        return Choice(
            candidates[0], self.name, None, tuple((c, None) for c in candidates), reason, self._router.digest
        )
