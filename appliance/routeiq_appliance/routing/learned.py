"""The strategy of a signed artifact: `routeiq_router` predicts each candidate's quality on the prompt.

Which model of the artifact stands for a group: the one that the configuration maps it to (`model_map`), else the one of
the group's own name, which is how a calibrated artifact calls them. A group without one has no prediction and comes
after those that have, in declared order. A prompt that the router remembers is decided at once; else inference runs in
an executor of its own, and when more calls wait than it can take, the declared order decides and says so.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from routeiq_appliance.routing.interface import Choice, Terms
from routeiq_appliance.routing.why import Embedding
from routeiq_router.router import Decision, Router
from routeiq_router.text import SURFACE

__all__ = ["Learned"]

_MAX_WAITING = 256
_MAX_RECALLED_CHARS = 1 << 16
"""Hashing a longer prompt would hold up the event loop: the executor looks it up."""


class Learned:
    """One thread decides: two threads with one session are slower than one (measured).

    `keep_embeddings`: decisions carry what they were made from. Each prompt is then embedded once more.
    """

    def __init__(
        self, router: Router, model_map: Mapping[str, str], *, keep_embeddings: bool = False
    ) -> None:
        router.check_models(model_map)
        self.name = f"ml-{router.strategy}"
        self._router = router
        self._model_map = model_map
        self._own = frozenset(router.models)
        self._keep = keep_embeddings
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="routing")
        self._waiting = 0

    async def choose(self, prompt: str, candidates: tuple[str, ...], terms: Terms) -> Choice:
        """See `RoutingStrategy.choose`."""
        mapped = {group: self._model_of(group) for group in candidates}
        if not any(mapped.values()):
            return self._declared(candidates, "declared order: no candidate is calibrated")
        if len(prompt) <= _MAX_RECALLED_CHARS and not self._keep:
            known = self._router.recall(
                prompt, mapped, costs=terms.costs, latencies=terms.latencies, objective=terms.objective,
                seed=terms.seed,
            )  # fmt: skip
            if known is not None:
                return self._choice(known)
        if self._waiting >= _MAX_WAITING:
            return self._declared(candidates, "declared order: too many prompts wait for a decision")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._executor, self._rank, prompt, mapped, terms
            )
        finally:
            self._waiting -= 1

    def _model_of(self, group: str) -> str | None:
        model = self._model_map.get(group)
        return group if model is None and group in self._own else model

    def _rank(self, prompt: str, mapped: Mapping[str, str | None], terms: Terms) -> Choice:
        decision = self._router.rank(
            prompt, mapped, costs=terms.costs, latencies=terms.latencies, objective=terms.objective, seed=terms.seed
        )  # fmt: skip
        choice = self._choice(decision)
        if self._keep and decision.score is not None:
            vector, surface = self._router.describe(prompt)
            data = vector.astype("<f2").tobytes() + surface.astype("<f2").tobytes()
            choice.embedding = Embedding(self._router.embedder.digest, SURFACE, len(vector), data)
        return choice

    def _choice(self, decision: Decision) -> Choice:
        return Choice(
            decision.group,
            self.name,
            decision.score,
            tuple((item.group, item.score) for item in decision.ranking),
            decision.reason,
            decision.artifact_digest,
            decision.cached,
            decision.ranking if decision.score is not None else (),
        )

    def _declared(self, candidates: tuple[str, ...], reason: str) -> Choice:
        return Choice(
            candidates[0], self.name, None, tuple((c, None) for c in candidates), reason, self._router.digest
        )
