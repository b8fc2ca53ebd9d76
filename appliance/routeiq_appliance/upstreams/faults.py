"""What a caller may know of an upstream's failure, the same for every upstream. Pure.

The upstream's refusal of our credential or model name is a fault of this gateway's configuration (502), never of the
caller's key; its own words are passed on only where the caller can act on them, without addresses and credentials.
"""

import re
from typing import Any

from routeiq_appliance.errors import UpstreamError
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.types import Deployment, Kind

__all__ = [
    "EVERY_SERVER",
    "UNKNOWN_PATH",
    "broken",
    "fell_silent",
    "not_begun",
    "not_connected",
    "not_spoken",
    "of_status",
    "refused_words",
    "timed_out",
    "unreachable",
]

EVERY_SERVER = frozenset[Kind]({"chat", "text", "embedding"})
"""A 404 to one of these means the model; to any other it may mean that the server does not know the path."""
UNKNOWN_PATH = frozenset({404, 405, 501})
"""What servers answer for a path that they do not know."""
_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum (context|model) length|too many tokens|prompt is too long",
    re.IGNORECASE,
)


def of_status(
    status: int, words: str, code: object, deployment: Deployment, limits: Limits, *, retry_after: str | None
) -> UpstreamError:
    """Return the error for an upstream's status; `words` and `code` are its body's `message` and `code`."""
    if status in {400, 413, 422}:
        said = refused_words(words, deployment, limits)
        fault = code in ("context_length_exceeded", "exceed_context_size_error") or _TOO_LONG.search(said)
        return UpstreamError("context" if fault else "caller", 400, said)
    if status == 429:
        return UpstreamError(
            "rate_limited", 429, "the upstream is rate limited", retry_after=_seconds(retry_after)
        )
    if status in {408, 504}:
        return UpstreamError("timeout", 504, "the upstream did not answer in time")
    if status == 503:
        return UpstreamError(
            "unavailable", 503, "the upstream is overloaded or starting", retry_after=_seconds(retry_after)
        )
    if status in {401, 403, 404}:
        return UpstreamError(
            "misconfigured", 502, f"the upstream refused this gateway's credential or model name ({status})"
        )
    return broken()


def broken() -> UpstreamError:
    """Return the error for an answer that is none."""
    return UpstreamError("broken", 502, "the upstream could not be reached or broke off")


def not_spoken(kind: str) -> UpstreamError:
    """Return the error for a server that does not know this kind of call."""
    return UpstreamError("unsupported", 501, f"the upstream does not answer {kind} calls")


def unreachable() -> UpstreamError:
    """Return the error for a connection that never stood: nothing was sent."""
    return UpstreamError("unavailable", 502, "the upstream could not be reached or broke off")


def timed_out(seconds: float) -> UpstreamError:
    """Return the error for an answer that was not whole in time."""
    return UpstreamError("timeout", 504, f"the upstream did not answer within {seconds:g} s")


def not_begun(seconds: float) -> UpstreamError:
    """Return the error for a stream whose first event did not come in time."""
    return UpstreamError("timeout", 504, f"the upstream did not begin to answer within {seconds:g} s")


def fell_silent(seconds: float) -> UpstreamError:
    """Return the error for a stream that went quiet."""
    return UpstreamError("timeout", 504, f"the upstream sent nothing for {seconds:g} s")


def not_connected(seconds: float) -> UpstreamError:
    """Return the error for a connection that did not stand in time: nothing was sent."""
    return UpstreamError("unavailable", 502, f"the upstream took no connection within {seconds:g} s")


def refused_words(words: str, deployment: Deployment, limits: Limits) -> str:
    """Return an upstream's own words, without our address and credential."""
    text = words
    for name in ("api_key", "api_base"):
        secret: Any = deployment.params.get(name)
        if isinstance(secret, str) and secret:
            text = text.replace(secret, "…")
    return text[: limits.error_message_chars] or "the upstream refused the request"


def _seconds(value: str | None) -> int:
    """Return `Retry-After` in seconds (RFC 9110, 10.2.3); a date or nonsense is one second."""
    value = (value or "").strip()
    return min(int(value), 3600) if value.isascii() and value.isdigit() and len(value) < 9 else 1
