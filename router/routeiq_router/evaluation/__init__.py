"""How good routing is: `metrics.py` (pure arithmetic on predictions and scores) and `evaluate.py` (a report)."""

__all__: list[str] = []
