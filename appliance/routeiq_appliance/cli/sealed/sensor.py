"""Counts what leaves a sealed network, at both ends of its wire, in the kernel (nftables, netdev hooks).

The inner count sees a packet before anything may drop it; the outer one sees whatever arrived, also by a way past the
inner hook. A gateway that tries its canaries at start sends packets on purpose: they are counted apart, by destination,
and may not grow after the start. `Sensor.control` is the negative control: it dials out and must be seen.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from routeiq_appliance.cli.sealed.errors import SealError
from routeiq_appliance.cli.sealed.network import OUTSIDE_LINK, SEALED_LINK, Namespace, SealedNetwork

__all__ = ["CONTROL", "Count", "Reading", "Sensor"]

CONTROL = "203.0.113.1"
"""Where the negative control dials: RFC 5737, nobody's."""

_TABLE = "routeiq"
_RULES = """
table netdev {table} {{
  counter canaries {{ }}
  counter left {{ }}
  set canaries {{ type ipv4_addr . inet_service; {elements} }}
  set seen {{ type ipv4_addr . inet_proto . inet_service; size 4096; flags dynamic; }}
  chain wire {{
    type filter hook {hook} device "{link}" priority 0; policy accept;
    ip daddr . tcp dport @canaries counter name canaries accept
    counter name left
    add @seen {{ ip daddr . ip protocol . th dport }}
  }}
}}
"""
# A TCP dial, a datagram and a look-up of a name: what a phone-home is made of. Nobody answers; half a second is plenty.
_DIAL_OUT = f"""
import socket
try:
    socket.create_connection(("{CONTROL}", 80), timeout=0.3)
except OSError:
    pass
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"?", ("{CONTROL}", 53))
try:
    socket.getaddrinfo("control.invalid", 80)
except OSError:
    pass
"""


@dataclass(frozen=True)
class Count:
    """Packets at one end: to the canaries, and everything else of any protocol; and where the latter went."""

    canaries: int
    left: int
    seen: tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """Both ends at one moment."""

    inside: Count
    outside: Count

    @property
    def left(self) -> int:
        """Packets that left and were no canary's: the larger of both counts, in case one end was talked past."""
        return max(self.inside.left, self.outside.left)

    @property
    def canaries(self) -> int:
        """Packets to the canaries."""
        return max(self.inside.canaries, self.outside.canaries)

    @property
    def seen(self) -> tuple[str, ...]:
        """Destinations of what left, `ADDRESS PROTOCOL PORT`, sorted."""
        return tuple(sorted({*self.inside.seen, *self.outside.seen}))


class Sensor:
    """The counters of one sealed network; they start at zero."""

    def __init__(self, network: SealedNetwork, *, canaries: Sequence[tuple[str, int]] = ()) -> None:
        """Install the counters; `canaries` are IPv4 addresses and TCP ports. Raises `SealError`."""
        self._network = network
        pairs = ", ".join(f"{address} . {port}" for address, port in canaries)
        elements = f"elements = {{ {pairs} }}" if pairs else ""
        for namespace, hook, link in (
            (network.sealed, "egress", SEALED_LINK),
            (network.outside, "ingress", OUTSIDE_LINK),
        ):
            rules = _RULES.format(table=_TABLE, elements=elements, hook=hook, link=link)
            namespace.run(["nft", "-f", "-"], stdin=rules)

    def read(self) -> Reading:
        """Read both ends."""
        return Reading(_count(self._network.sealed), _count(self._network.outside))

    def drop(self) -> None:
        """From now on count at the inner end and drop there: not even the wire carries a packet."""
        self._network.sealed.run(["nft", "chain", "netdev", _TABLE, "wire", "{ policy drop; }"])

    def control(self) -> int:
        """Dial out from inside and return how many packets were counted; raises `SealError` when none was."""
        before = self.read()
        self._network.sealed.run([sys.executable, "-I", "-c", _DIAL_OUT])
        after = self.read()
        counted = after.inside.left - before.inside.left
        # A TCP SYN, a datagram and a DNS query, and whatever was tried again.
        if counted < 3 or not any(entry.startswith(CONTROL) for entry in after.inside.seen):
            raise SealError(
                f"the sensor is blind: a dial to {CONTROL} from inside moved it by {counted} packets"
            )
        return counted


def _count(namespace: Namespace) -> Count:
    listed = json.loads(namespace.run(["nft", "-j", "list", "table", "netdev", _TABLE]))["nftables"]
    packets = {
        item["counter"]["name"]: int(item["counter"]["packets"]) for item in listed if "counter" in item
    }
    elements: list[Any] = [
        element
        for item in listed
        if item.get("set", {}).get("name") == "seen"
        for element in item["set"].get("elem", [])
    ]
    seen = tuple(sorted(" ".join(map(str, element["concat"])) for element in elements))
    return Count(packets["canaries"], packets["left"], seen)
