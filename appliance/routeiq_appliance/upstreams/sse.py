"""Splits a byte stream into server-sent events (WHATWG HTML, 9.2.6), bounded. No IO.

An upstream may cut its bytes anywhere. Only `data` matters here; `event`, `id`, `retry` and comments are skipped.
"""

from routeiq_appliance.upstreams.faults import broken

__all__ = ["EventSplitter"]


class EventSplitter:
    """Feed it bytes, take the data of whole events."""

    def __init__(self, *, maximum: int) -> None:
        self._buffer = b""
        self._maximum = maximum

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that `chunk` completes; raises `UpstreamError` when one is too large."""
        buffer = self._buffer + chunk if self._buffer else chunk
        if b"\r" in buffer:
            # A CR at the very end may be the first half of a CRLF: it waits.
            tail = b"\r" if buffer.endswith(b"\r") else b""
            buffer = buffer[: len(buffer) - len(tail)].replace(b"\r\n", b"\n").replace(b"\r", b"\n") + tail
        *frames, rest = buffer.split(b"\n\n")
        if len(rest) > self._maximum:
            raise broken()
        self._buffer = rest
        return [data for frame in frames if (data := _data(frame)) is not None]

    @property
    def pending(self) -> bool:
        """Whether half an event is held: the upstream broke off if nothing follows."""
        return bool(self._buffer.strip())


def _data(frame: bytes) -> bytes | None:
    if frame.startswith(b"data: ") and b"\n" not in frame:  # nearly all of them
        return frame[6:]
    lines = [line[5:].removeprefix(b" ") for line in frame.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None
