"""Tries to reach the outside at start: a sealed gateway proves that it cannot, or refuses to serve.

An answer is a TCP connection that is accepted. A refused or timed-out connection, an unreachable network and a name
that does not resolve are what a sealed site looks like. All canaries are tried at once, in threads that are left
behind when they hang in a look-up.
"""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from routeiq_appliance.egress.destinations import Destination
from routeiq_appliance.errors import EgressError

__all__ = ["CanaryReport", "Dial", "require_silence", "try_canaries"]

Dial = Callable[[Destination, float], bool]
"""Tries one destination within a time in seconds; True when it answered."""


@dataclass(frozen=True)
class CanaryReport:
    """Which canaries were tried, which answered, and how long it took (seconds)."""

    tried: tuple[Destination, ...]
    answered: tuple[Destination, ...]
    seconds: float


def dial_tcp(destination: Destination, seconds: float) -> bool:
    """Open a TCP connection and close it at once; nothing is sent."""
    try:
        with socket.create_connection((destination.host, destination.port), timeout=seconds):
            return True
    except OSError:
        return False


def try_canaries(canaries: Sequence[Destination], *, seconds: float, dial: Dial = dial_tcp) -> CanaryReport:
    """Try all canaries in parallel for at most `seconds`."""
    started = time.monotonic()
    answered: list[Destination] = []

    def one(canary: Destination) -> None:
        if dial(canary, seconds):
            answered.append(canary)

    threads = [
        threading.Thread(target=one, args=(canary,), daemon=True, name=f"canary-{canary}")
        for canary in canaries
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, started + seconds - time.monotonic()))
    return CanaryReport(tuple(canaries), tuple(sorted(answered)), time.monotonic() - started)


def require_silence(report: CanaryReport) -> None:
    """Raise `EgressError` when a canary answered."""
    if report.answered:
        names = ", ".join(str(item) for item in report.answered)
        raise EgressError(
            f"egress: sealed, but the outside answers: {names}",
            subject=names,
            hint="close the way out (firewall, NetworkPolicy, network namespace), or accept it in config.yaml with "
            "`routeiq.egress: open`",
        )
