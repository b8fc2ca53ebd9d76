"""The gateway's errors: `ApplianceError` for what an operator sees at start, `CallError` for what a caller sees.

A `CallError` knows no dialect: `api/` renders it in the caller's. Its message is shown to callers, so it never
holds an address, a credential or a stack trace.
"""

from typing import Literal

from routeiq_signing.errors import RouteIQError

__all__ = [
    "ApplianceError",
    "CallError",
    "ConfigError",
    "EgressError",
    "Fault",
    "MoveError",
    "StateError",
    "UpstreamError",
    "UrlRefusedError",
]


class ApplianceError(RouteIQError):
    """Base of every error of the gateway that an operator sees."""


class ConfigError(ApplianceError):
    """The configuration or an environment variable is wrong; the message lists every mistake found."""


class EgressError(ApplianceError):
    """The sealed promise does not hold: a canary answered, or a destination that nobody configured was dialled."""


class UrlRefusedError(EgressError):
    """An address that a user gave must not be called; the message is the fault alone, and repeats none of it."""


class StateError(ApplianceError):
    """The database is missing, unreachable or at another schema version."""


class MoveError(ApplianceError):
    """What another gateway left behind cannot be read: a dump is damaged, cut off, or not that gateway's."""


class CallError(ApplianceError):
    """One call cannot be answered.

    `status` is the HTTP status, `kind` the error type and `code` the machine-readable reason in OpenAI's
    vocabulary, `param` the field of the request at fault; `retry_after` is in seconds.
    """

    headers: tuple[tuple[bytes, bytes], ...] = ()
    """What the caller is told beside, in any dialect."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, subject=param)
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.retry_after = retry_after


Fault = Literal[
    "caller", "context", "rate_limited", "unavailable", "timeout", "broken", "misconfigured", "unsupported"
]  # fmt: skip


class UpstreamError(CallError):
    """A deployment did not answer. `fault` decides what is tried next (`pipeline.call`), not the status.

    `caller`: the request is at fault; `context`: too long for the model; `rate_limited`: the upstream asks to wait;
    `unavailable`: it refused or could not be reached; `timeout`: a deadline passed; `broken`: its answer is none;
    `misconfigured`: it refused our credential or model name; `unsupported`: it does not speak this dialect.
    """

    def __init__(self, fault: Fault, status: int, message: str, *, retry_after: int | None = None) -> None:
        kind, code = _TOLD[fault]
        super().__init__(status, message, kind=kind, code=code, retry_after=retry_after)
        self.fault = fault


_TOLD: dict[Fault, tuple[str, str | None]] = {
    "caller": ("invalid_request_error", None),
    "context": ("invalid_request_error", "context_length_exceeded"),
    "rate_limited": ("rate_limit_error", "upstream_rate_limited"),
    "unavailable": ("server_error", "upstream_unavailable"),
    "timeout": ("server_error", "upstream_timeout"),
    "broken": ("server_error", "bad_upstream"),
    "misconfigured": ("server_error", "upstream_misconfigured"),
    "unsupported": ("not_supported_error", "not_supported"),
}
