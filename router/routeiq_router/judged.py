"""What is predicted for a prompt, and whether that may decide.

It may not where the artifact was trained on Latin script alone and the prompt is in another, nor where the strategy
says that the prompt is like nothing it learnt from (`interface.Guarded`): the declared order decides, with the reason.
"""

from dataclasses import dataclass

from routeiq_router.limits import Limits
from routeiq_router.strategies.interface import Inputs, Predictor, predict_known
from routeiq_router.text import foreign_share

__all__ = ["BLANK", "FOREIGN_SHARE", "Judged", "judge"]

BLANK = "declared order: the prompt has no text to judge"
_UNLIKE = "declared order: the prompt is unlike all that the artifact was trained on"
_FOREIGN = "declared order: the prompt is in a script that the artifact was not trained on"
FOREIGN_SHARE = 0.5
"""Of a prompt's letters: from here on it is not in Latin script."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The qualities [models], and why they must not decide ("": they may)."""

    values: tuple[float, ...]
    doubt: str = ""

    @property
    def deciding(self) -> tuple[float, ...] | None:
        """The qualities, if they may decide."""
        return None if self.doubt else self.values


def judge(predictor: Predictor, inputs: Inputs, prompt: str, *, latin_only: bool, limits: Limits) -> Judged:
    """Predict for one prompt (`inputs` of length 1)."""
    predicted, known = predict_known(predictor, inputs)
    values = tuple(predicted[0].tolist())
    if latin_only and foreign_share(prompt, limits) > FOREIGN_SHARE:
        return Judged(values, _FOREIGN)
    if not known[0]:
        return Judged(values, _UNLIKE)
    return Judged(values)
