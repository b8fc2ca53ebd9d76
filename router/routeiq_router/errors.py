"""The router's one error: whatever is wrong with an artifact, an embedder or a data file."""

from routeiq_signing.errors import RouteIQError

__all__ = ["RouterError"]


class RouterError(RouteIQError):
    """An artifact, embedder folder, data file or choice that cannot be used; says which and why."""
