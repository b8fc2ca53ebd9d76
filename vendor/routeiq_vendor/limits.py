"""How much of what comes from outside is read before it is refused."""

from dataclasses import dataclass

__all__ = ["LIMITS", "Limits"]


@dataclass(frozen=True)
class Limits:
    """All sizes are bytes."""

    lock: int = 16 << 20  # the largest lock of wheels is 300 KB
    index: int = 16 << 20
    tool_output: int = 64 << 20  # apt-cache's records for a few hundred packages are 1 MB
    member: int = 4 << 30  # one file of weights
    chunk: int = 1 << 20  # what is hashed and copied at once


LIMITS = Limits()
