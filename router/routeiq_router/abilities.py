"""What a model can do, from few answers: abilities fitted on frozen difficulties, each with its confidence. Pure.

The multidimensional two-parameter logistic model (Reckase, "Multidimensional Item Response Theory", 2009): a prompt has
a difficulty and discriminations, which come from its text (`strategies/irt.py`), a model has abilities, and

    logit P(model answers prompt well) = offset + scale x (-difficulty) + abilities . discriminations

Abilities are drawn to a prior, what the models known so far are like, so ten answers are already better than none.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from routeiq_router.errors import RouterError
from routeiq_router.strategies.common import from_logit, weighted_logistic
from routeiq_router.strategies.interface import FloatArray, need

__all__ = ["Abilities", "Items", "Prior", "fit_abilities", "read_prior"]

_Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Items:
    """Prompts as item response theory sees them."""

    difficulty: FloatArray
    """[n], in logits of the mean model: 0 is answered well by half of the known models."""
    discriminations: FloatArray
    """[n, skills]: how much each kind of ability matters here."""

    def __len__(self) -> int:
        return len(self.difficulty)

    def table(self) -> _Table:
        """Return [n, skills + 2]: what abilities are multiplied with."""
        ones = np.ones((len(self), 1))
        return np.concatenate(
            [ones, -self.difficulty[:, None], self.discriminations], axis=1, dtype=np.float64
        )


@dataclass(frozen=True, slots=True)
class Prior:
    """What a model is like before its first answer."""

    mean: _Table
    """[skills + 2]."""
    precision: _Table
    """[skills + 2], above zero: one over the variance among known models."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """Fitted models; `covariance` is Laplace's, so its diagonal shrinks with the answers."""

    values: _Table
    """[models, skills + 2]."""
    covariance: _Table
    """[models, skills + 2, skills + 2]."""
    answers: NDArray[np.intp]
    """[models]: how many answers each was fitted on."""

    def quality(self, items: Items) -> FloatArray:
        """Return the quality of each model per prompt, [n, models], 0..1."""
        result: FloatArray = from_logit(items.table() @ self.values.T).astype(np.float32)
        return result

    def deviation(self, items: Items) -> FloatArray:
        """Return the standard deviation of `quality` [n, models] that is due to having few answers (delta method)."""
        table = items.table()
        spread = np.sqrt(np.einsum("nk,mkl,nl->nm", table, self.covariance, table))
        chance = from_logit(table @ self.values.T)
        result: FloatArray = (chance * (1 - chance) * spread).astype(np.float32)
        return result


def fit_abilities(items: Items, scores: FloatArray, prior: Prior) -> Abilities:
    """Return the abilities of the models whose answers to `items` are `scores` [n, models], NaN: not asked.

    A model without any answer is at the prior. Raises `RouterError` where the shapes do not fit.
    """
    table = items.table()
    if scores.ndim != 2 or len(scores) != len(table) or prior.mean.shape != (table.shape[1],):
        raise RouterError(
            f"abilities: scores {scores.shape} and prior {prior.mean.shape} do not fit {table.shape}"
        )
    values, covariance, counts = [], [], []
    for column in range(scores.shape[1]):
        asked = np.flatnonzero(~np.isnan(scores[:, column]))
        target = scores[asked, column].astype(np.float64)
        fitted, spread = weighted_logistic(table[asked], target, penalty=prior.precision, centre=prior.mean)
        values.append(fitted)
        covariance.append(spread)
        counts.append(len(asked))
    return Abilities(np.stack(values), np.stack(covariance), np.asarray(counts, dtype=np.intp))


def read_prior(weights: Mapping[str, NDArray[np.generic]], size: int) -> Prior:
    """Return the prior among the tensors of an `irt` artifact; raises `RouterError`."""
    mean = need(weights, "prior_mean", np.float32, (size,))
    precision = need(weights, "prior_precision", np.float32, (size,))
    if not (precision > 0).all():
        raise RouterError(
            "weights.safetensors: tensor 'prior_precision' is not above zero", subject="weights.safetensors"
        )
    return Prior(mean.astype(np.float64), precision.astype(np.float64))
