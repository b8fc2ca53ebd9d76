"""The error base of the images component."""

from routeiq_signing.errors import RouteIQError

__all__ = ["ImagesError"]


class ImagesError(RouteIQError):
    """An image, a chart, a bundle or a registry was refused or failed; the message names which."""
