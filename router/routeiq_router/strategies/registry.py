"""Finds strategies by file name, importing only the one that was asked for."""

import importlib
import pkgutil

from routeiq_router import strategies
from routeiq_router.errors import RouterError
from routeiq_router.strategies.interface import Strategy

__all__ = ["strategy", "strategy_names"]

_NOT_STRATEGIES = {"common", "interface", "registry"}
_MADE = {"calibrated"}
"""Made from an artifact, not trained: loaded by name, but nothing to choose."""


def strategy_names() -> list[str]:
    """Return the names of all strategies that can be trained, sorted: one per file beside this one."""
    found = pkgutil.iter_modules(strategies.__path__)
    return sorted(module.name for module in found if module.name not in _NOT_STRATEGIES | _MADE)


def strategy(name: str) -> Strategy:
    """Return the strategy called `name`; raises `RouterError` when there is none."""
    names = strategy_names()
    if name not in _MADE and name not in names:
        raise RouterError(f"{name[:80]}: no such strategy", subject=name, hint=f"one of: {', '.join(names)}")
    found: Strategy = importlib.import_module(f"{strategies.__name__}.{name}").STRATEGY
    return found
