"""Routing between two models, a weak and a strong one, as RouteLLM measures it. Pure.

Ong et al., "RouteLLM: Learning to Route LLMs with Preference Data" (2024, arXiv:2406.18665), section 3: the share of
the quality gap that is recovered (PGR) against the share of calls that go to the strong model; its mean over all shares
(APGR; 0.5 is random routing, more is better) and the least share of calls for a wanted recovery (CPT; less is better).
"""

from dataclasses import dataclass

import numpy as np

from routeiq_router.evaluation.hull import Array

__all__ = ["PairValue", "pair_value"]


@dataclass(frozen=True, slots=True)
class PairValue:
    """What routing between two models is worth; columns of the models, figures 0..1."""

    weak: int
    strong: int
    apgr: float
    """Mean share of the gap recovered, over all shares of calls to the strong model; above 1 only by luck."""
    cpt_50: float | None
    """The least share of calls to the strong model that recovers 50 % of the gap; None: never reached."""
    cpt_80: float | None


def pair_value(predicted: Array, scores: Array) -> PairValue | None:
    """Return the value of sending the prompts with the largest predicted advantage to the strong model first.

    Arrays are [n, 2] without missing entries; strong is who scores more on average. None where both score the same:
    there is no gap to recover. Prompts of equal predicted advantage go together, in proportion, so that the order of
    the prompts does not count.
    """
    means = scores.mean(axis=0)
    if np.isclose(means[0], means[1], rtol=0, atol=1e-12):
        return None
    strong = int(np.argmax(means))
    weak = 1 - strong
    advantage = np.round(predicted[:, strong] - predicted[:, weak], 9)
    _, group = np.unique(-advantage, return_inverse=True)
    calls = np.concatenate([[0.0], np.cumsum(np.bincount(group)) / len(scores)])
    won = np.bincount(group, weights=scores[:, strong] - scores[:, weak])
    recovered = np.concatenate([[0.0], np.cumsum(won) / len(scores)]) / (means[strong] - means[weak])
    return PairValue(
        weak=weak,
        strong=strong,
        apgr=float(np.trapezoid(recovered, calls)),
        cpt_50=_least(calls, recovered, 0.5),
        cpt_80=_least(calls, recovered, 0.8),
    )


def _least(calls: Array, recovered: Array, target: float) -> float | None:
    # 1 is always reached at the end but for rounding.
    reached = np.flatnonzero(recovered >= target - 1e-12)
    if not len(reached):
        return None
    at = int(reached[0])
    rise = recovered[at] - recovered[at - 1]
    share = (target - recovered[at - 1]) / rise if rise > 0 else 1.0
    return float(calls[at - 1] + share * (calls[at] - calls[at - 1]))
