"""The errors of every component of RouteIQ share one base, so that a command can show any of them.

A message says what happened, to what, and what to do next; lower case, the file first.
"""

__all__ = ["RouteIQError"]


class RouteIQError(Exception):
    """Base of every error that a user may see; each package has one subclass of its own.

    `hint` is what to do next, shown on a line of its own; `subject` names the file, member or digest at fault.
    """

    def __init__(self, message: str, *, subject: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.subject = subject
        self.hint = hint
