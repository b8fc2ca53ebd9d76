"""Reads and writes the headers that carry a trace from server to server. Pure; decides nothing about sampling.

Rules:

1. W3C Trace Context: `traceparent` of version 00 is exactly its four fields; of a later version only those four are
   read, and what is relayed is version 00. Version ff, ids of zeros only, upper case and anything else is malformed.
2. `tracestate` counts only beside a valid `traceparent`; a malformed one is left out, the trace goes on.
3. B3, in one header (`b3`) or several (`x-b3-*`): trace ids of 16 or 32 digits, span ids of 16. The one header wins.
   A sampling state alone names no trace.
4. `traceparent` wins over B3. Malformed headers are as if they were not there: they are never relayed.

Names of headers are lower case throughout.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["TRACE_HEADERS", "B3Form", "TraceParent", "b3_headers", "read_headers", "traceparent"]

B3Form = Literal["", "single", "multi"]

TRACE_HEADERS = (
    "traceparent",
    "tracestate",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
)
"""Every header read here, lower case."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?")
_B3_SINGLE = re.compile(
    r"([0-9a-f]{32}|[0-9a-f]{16})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?", re.ASCII
)
_B3_TRACE_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{16}")
_SPAN_ID = re.compile(r"[0-9a-f]{16}")
# Section 3.3 of the specification: a key (with an optional tenant), `=`, 256 printable characters without `,` and `=`.
_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
_MAX_MEMBERS = 32
_MAX_STATE = 512
_MAX_PARENT = 512
_ZEROS = "0" * 32
_SAMPLED = {"1": True, "true": True, "0": False, "false": False}  # words: what old senders of B3 write


@dataclass(frozen=True, slots=True)
class TraceParent:
    """The caller's span. `trace_id` has 32 digits, `span_id` 16; `b3` is the form in which B3 came, "" when not."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str = ""
    """`tracestate`, checked; may be empty."""
    b3: B3Form = ""
    relay: tuple[tuple[str, str], ...] = ()
    """The headers as a server that records nothing passes them on."""


def read_headers(headers: Mapping[str, str]) -> TraceParent | None:
    """Return the caller's span, or None when no valid header names one."""
    b3 = _read_b3(headers)
    written = headers.get("traceparent")
    found = _TRACEPARENT.fullmatch(written) if written and len(written) <= _MAX_PARENT else None
    if found is None:
        return b3
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or trace_id == _ZEROS or span_id == _ZEROS[:16] or (rest and version == "00"):
        return b3
    # Flags beyond `sampled` mean something else in every version but 00.
    sent = int(flags, 16) if version == "00" else int(flags, 16) & 1
    relay = [("traceparent", f"00-{trace_id}-{span_id}-{sent:02x}")]
    state = _read_state(headers.get("tracestate", ""))
    if state:
        relay.append(("tracestate", state))
    if b3 is not None:
        relay += b3.relay
    return TraceParent(trace_id, span_id, bool(sent & 1), state, b3.b3 if b3 else "", tuple(relay))


def traceparent(trace_id: str, span_id: str, *, sampled: bool) -> str:
    """Return the header's value, version 00."""
    return f"00-{trace_id}-{span_id}-0{int(sampled)}"


def b3_headers(form: B3Form, trace_id: str, span_id: str, *, sampled: bool) -> dict[str, str]:
    """Return the span in the form of B3 that the caller uses; nothing when it uses none."""
    if form == "single":
        return {"b3": f"{trace_id}-{span_id}-{int(sampled)}"}
    if form == "multi":
        return {"x-b3-traceid": trace_id, "x-b3-spanid": span_id, "x-b3-sampled": str(int(sampled))}
    return {}


def _read_state(text: str) -> str:
    """Return `tracestate` without empty members; "" when malformed, too long or empty."""
    if not text or len(text) > _MAX_STATE:
        return ""
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    keys = {member.partition("=")[0] for member in members}
    whole = len(members) <= _MAX_MEMBERS and len(keys) == len(members)
    return ",".join(members) if whole and all(map(_MEMBER.fullmatch, members)) else ""


def _read_b3(headers: Mapping[str, str]) -> TraceParent | None:
    single = headers.get("b3")
    if single is not None:
        found = _B3_SINGLE.fullmatch(single)
        if found is not None:
            trace_id, span_id, state = found.groups()
            return _b3(trace_id, span_id, sampled=state != "0", form="single", relay=(("b3", single),))
    trace_id, span_id = headers.get("x-b3-traceid", ""), headers.get("x-b3-spanid", "")
    if not (_B3_TRACE_ID.fullmatch(trace_id) and _SPAN_ID.fullmatch(span_id)):
        return None
    relay = [("x-b3-traceid", trace_id), ("x-b3-spanid", span_id)]
    parent = headers.get("x-b3-parentspanid", "")
    if _SPAN_ID.fullmatch(parent):
        relay.append(("x-b3-parentspanid", parent))
    state = headers.get("x-b3-sampled", "").lower()
    if state in _SAMPLED:
        relay.append(("x-b3-sampled", str(int(_SAMPLED[state]))))
    debug = headers.get("x-b3-flags") == "1"
    if debug:
        relay.append(("x-b3-flags", "1"))
    # No state leaves the decision to us: the trace is wanted.
    return _b3(
        trace_id, span_id, sampled=debug or _SAMPLED.get(state, True), form="multi", relay=tuple(relay)
    )


def _b3(
    trace_id: str, span_id: str, *, sampled: bool, form: B3Form, relay: tuple[tuple[str, str], ...]
) -> TraceParent | None:
    padded = trace_id.zfill(32)
    if padded == _ZEROS or span_id == _ZEROS[:16]:
        return None
    return TraceParent(padded, span_id, sampled, b3=form, relay=relay)
