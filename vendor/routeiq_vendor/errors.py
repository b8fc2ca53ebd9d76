"""The errors of the vendor component.

VendorError
├── LockError       a lock cannot be read, is stale or names something impossible
├── PoolError       the pool lacks something, or what it holds is damaged
├── DownloadError   a registry, mirror or tool did not give what the lock names
└── ExportError     the weights could not be exported, or came out differently
"""

from routeiq_signing.errors import RouteIQError

__all__ = ["DownloadError", "ExportError", "LockError", "PoolError", "VendorError"]


class VendorError(RouteIQError):
    """A lock, a download or an export went wrong; the message names which."""


class LockError(VendorError):
    """A lock cannot be read, is stale or names something impossible."""


class PoolError(VendorError):
    """The pool lacks something, or what it holds is damaged."""


class DownloadError(VendorError):
    """A registry, a mirror or a tool did not give what the lock names."""


class ExportError(VendorError):
    """The weights could not be exported, or came out differently from what the lock names."""
