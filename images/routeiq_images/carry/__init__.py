"""Carrying less and losing nothing: deltas, parts, parity. Start at `delta.py` and `split.py`."""
