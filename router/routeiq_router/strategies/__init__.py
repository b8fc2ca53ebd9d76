"""Routing strategies, one small file each beside `interface.py`; `registry.py` finds them.

Adding a strategy is adding a file here whose `STRATEGY` implements `interface.Strategy`.
"""

__all__: list[str] = []
