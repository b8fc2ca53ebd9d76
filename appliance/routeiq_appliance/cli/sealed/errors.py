"""Why something cannot be sealed, or did not start inside."""

from routeiq_appliance.errors import ApplianceError

__all__ = ["ProcessError", "SealError"]


class SealError(ApplianceError):
    """This host cannot make the namespaces, or a tool failed; the hint says what would help."""


class ProcessError(ApplianceError):
    """A process ended early or was not ready in time; the message ends with what it said last."""
