"""Makes router artifacts from prompts with measured scores; start at `train.train`. Needs scikit-learn.

Never imported while serving.
"""

__all__: list[str] = []
