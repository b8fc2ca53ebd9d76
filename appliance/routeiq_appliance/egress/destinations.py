"""Decides whether a dial is to a destination that the configuration names. Pure; dials nothing.

A destination is a host (name or address) with a port. An address is allowed when it is configured itself, or when
it is what a configured name was resolved to. Private and loopback ranges are not allowed as such.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from routeiq_appliance.errors import ConfigError

__all__ = ["Destination", "Destinations", "destination_of_url", "parse_destination"]

_DEFAULT_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "postgres": 5432,
                  "redis": 6379, "rediss": 6379}  # fmt: skip


@dataclass(frozen=True, order=True)
class Destination:
    """A host, lower case, without brackets; and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_destination(text: str) -> Destination:
    """Parse `host:port` or `[v6]:port`; raises `ConfigError`."""
    host, separator, port = text.strip().rpartition(":")
    host = host.strip("[]").rstrip(".").lower()
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"{text!r}: not a destination", hint="write HOST:PORT, for example 192.0.2.1:443")
    return Destination(_canonical(host), int(port))


def destination_of_url(url: str) -> Destination:
    """Return where `url` (http, postgresql, redis) leads; raises `ConfigError`, which shows no secret of it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigError("not a URL") from None
    scheme = parts.scheme.partition("+")[0]
    if scheme not in _DEFAULT_PORTS or not host:
        raise ConfigError("not a URL of the form http(s)://HOST[:PORT]/…")
    return Destination(_canonical(host.rstrip(".").lower()), port or _DEFAULT_PORTS[scheme])


class Destinations:
    """The configured destinations and the addresses that their names were resolved to."""

    def __init__(self, configured: Iterable[Destination]) -> None:
        self.configured = frozenset(configured)
        self._names = frozenset(item.host for item in self.configured)
        self._learned: dict[str, frozenset[Destination]] = {}

    def may_resolve(self, host: object) -> bool:
        """Whether looking up `host` is allowed: a configured name, or no look-up at all (an address, None)."""
        if host is None:
            return True
        name = _text(host)
        return name in self._names or name == "" or _is_address(name)

    def learn(self, host: object, addresses: Iterable[str]) -> None:
        """Remember what a configured name resolves to; an unknown name teaches nothing."""
        name = _text(host)
        if name not in self._names:
            return
        ports = {item.port for item in self.configured if item.host == name}
        # Replaced, not added to: what the name resolved to last is what may be dialled.
        self._learned[name] = frozenset(Destination(_canonical(a), port) for a in addresses for port in ports)

    def may_connect(self, host: object, port: object) -> bool:
        """Whether a connection to `host` (name or address) and `port` is allowed."""
        if not isinstance(port, int):
            return False
        wanted = Destination(_canonical(_text(host)), port)
        return wanted in self.configured or any(wanted in learned for learned in self._learned.values())


def _text(host: object) -> str:
    text = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    return text.rstrip(".").lower()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _canonical(host: str) -> str:
    """Return an address in one spelling (`::ffff:10.0.0.1` is `10.0.0.1`), a name as it is."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
