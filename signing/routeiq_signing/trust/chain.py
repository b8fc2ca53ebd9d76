"""Follows the chain of roots: from the one that a site holds to the last of those it is given.

Pure. Whether one root follows another is `trust.rules`' matter; the order and what is passed over is decided here.
Standard library only, Python 3.9: part of `verify.pyz`.
"""

from __future__ import annotations

from collections.abc import Mapping

from routeiq_signing.errors import VerificationError
from routeiq_signing.trust.offered import strict_root
from routeiq_signing.trust.rules import accept_next_root

__all__ = ["follow_roots"]


def follow_roots(held: bytes, roots: Mapping[str, bytes]) -> bytes:
    """Return the last of `roots` (name → bytes, any order), reached from `held` without a gap.

    Older ones are passed over, and so is `held` itself; raises `VerificationError` for another root of its number,
    and when none is newer.
    """
    parsed = sorted((strict_root(raw, what)[1].version, what, raw) for what, raw in roots.items())
    current = held
    for version, what, raw in parsed:
        at = strict_root(current, "the site's root")[1].version
        if version > at:
            accept_next_root(current, raw, what)
            current = raw
        elif version == at and raw != current:
            raise VerificationError(
                f"{what}: another root {version} is pinned",
                step=4,
                subject=what,
                hint="two roots of one number: ask the producer which one is real",
            )
    if current == held:
        raise VerificationError(
            f"root {parsed[-1][0]}: not newer than root {strict_root(held, 'root')[1].version}, which is pinned",
            step=4,
            subject=parsed[-1][1],
        )
    return current
