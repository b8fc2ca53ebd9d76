"""Which deployments of a group answer a call, by tags. Pure.

A call with tags goes to deployments with one of them, else to those tagged `default`, else nowhere. A call without
tags goes to untagged and `default` ones, else anywhere: tags then only separate those who ask for them. Where no
deployment has a tag, a call's tags mean nothing.
"""

from collections.abc import Sequence

from routeiq_appliance.pipeline.types import Deployment

__all__ = ["matching"]

_DEFAULT = "default"


def matching(
    deployments: Sequence[Deployment], tags: frozenset[str]
) -> tuple[tuple[Deployment, ...], tuple[tuple[str, str], ...]]:
    """Return the deployments that may answer, in their order, and the others' ids with the reason."""
    if not any(d.tags for d in deployments):
        return tuple(deployments), ()
    if tags:
        chosen = [d for d in deployments if not d.tags.isdisjoint(tags)]
        chosen = chosen or [d for d in deployments if _DEFAULT in d.tags]
    else:
        chosen = [d for d in deployments if not d.tags or _DEFAULT in d.tags] or list(deployments)
    if len(chosen) == len(deployments):
        return tuple(chosen), ()
    kept = {d.id for d in chosen}
    reason = "no tag of the call" if tags else "tagged, and the call has no tags"
    return tuple(chosen), tuple((d.id, reason) for d in deployments if d.id not in kept)
