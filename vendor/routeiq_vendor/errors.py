"""The error base of the vendor component."""

from routeiq_signing.errors import RouteIQError

__all__ = ["VendorError"]


class VendorError(RouteIQError):
    """A lock, a download or an export went wrong; the message names which."""
