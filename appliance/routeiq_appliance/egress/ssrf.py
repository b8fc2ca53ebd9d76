"""Whether an address that a user gave may be called at all (I4). Pure: looks nothing up, dials nothing.

Rules, for the URL at acceptance (`check_url`) and for each address that is dialled (`SsrfRules.refusal`):

1. A URL is `http://` or `https://`, a host, a port if any, a path. No user, query, fragment, white space, backslash or
   character beyond ASCII: parsers disagree on them, and `check_url` returns the one spelling that is then used.
2. An IPv4 address has four decimal numbers. What a resolver might also read as one (`127.1`, `0x7f000001`,
   `2130706433`, `0177.0.0.1`) is refused, not interpreted.
3. Metadata services, link-local, multicast, unspecified and reserved addresses are refused always.
4. Loopback and private addresses are refused, unless `ROUTEIQ_SSRF_ALLOW_PRIVATE` is true, or the host or the network
   is listed.
5. While egress is sealed, only listed hosts and networks are allowed, public ones too.
6. Ports of services that speak no HTTP are refused, unless the host is listed with that port.

What a name resolves to is `ssrf_resolver`'s at acceptance and `guard`'s at each dial. The addresses of `config.yaml`
are the operator's own and are not judged here.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from routeiq_appliance.egress.destinations import Destination
from routeiq_appliance.egress.ssrf_networks import NEVER, Address, Kind, Network, canonical, carried, kind_of
from routeiq_appliance.errors import ConfigError, UrlRefusedError

__all__ = ["GivenUrl", "SsrfRules", "check_url", "parse_rules", "require_allowed"]

_MAX_URL = 2048
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(/[^?#]*)?([?#].*)?")
_PLAIN = re.compile(r"[!#-;=?-\[\]_a-z~]*")
"""Printable ASCII less what RFC 3986 keeps out of URLs: space, quotes, `<>`, `^`, backslash, backtick, braces, bar."""
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%(?:0[0-9A-Fa-f]|1[0-9A-Fa-f]|7[Ff])")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_PORTS = {"http": 80, "https": 443}
_NOT_HTTP = frozenset({
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
    2375, 2379, 2380, 3306, 5432, 6379, 9042, 11211, 26379, 27017,
})  # fmt: skip
"""The Fetch standard's bad ports, then Docker, etcd and databases."""
_HINT = (
    "the operator lists it in ROUTEIQ_SSRF_HOST_ALLOWLIST or ROUTEIQ_SSRF_CIDR_ALLOWLIST, or in config.yaml"
)


@dataclass(frozen=True, slots=True)
class GivenUrl:
    """A URL that passed: `text` is its one spelling, `address` what its host is when that is no name."""

    text: str
    destination: Destination
    address: Address | None


@dataclass(frozen=True, slots=True)
class SsrfRules:
    """What the operator set. `hosts` are (host, port), the port None for any."""

    sealed: bool = True
    allow_private: bool = False
    hosts: frozenset[tuple[str, int | None]] = frozenset()
    networks: tuple[Network, ...] = ()

    def lists_host(self, destination: Destination) -> bool:
        """Whether the operator listed the host, for this port or for any."""
        host = destination.host
        return (host, None) in self.hosts or (host, destination.port) in self.hosts

    def may_ask(self, destination: Destination) -> bool:
        """Whether any answer to a look-up of the host could be allowed: else nobody need be asked."""
        return not self.sealed or bool(self.networks) or self.lists_host(destination)

    def refusal(self, destination: Destination, address: Address) -> str | None:
        """Return why `address` may not be dialled for `destination`; None when it may."""
        kind = kind_of(address)
        if kind is Kind.NEVER:
            return "is link-local, a metadata service or no host's address, which is refused always"
        if self.lists_host(destination) or self._lists(address):
            return None
        if self.sealed:
            return "is in no listed network, and egress is sealed"
        if kind is Kind.PRIVATE and not self.allow_private:
            return "is loopback or private"
        return None

    def _lists(self, address: Address) -> bool:
        inner = carried(address)
        return self._is_in(address) or (bool(inner) and all(self._is_in(item) for item in inner))

    def _is_in(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def parse_rules(*, sealed: bool, allow_private: bool, hosts: str, networks: str) -> SsrfRules:
    """Read the two lists, separated by commas; raises `ConfigError` naming the variable."""
    return SsrfRules(
        sealed,
        allow_private,
        frozenset(_listed_host(item) for item in _items(hosts)),
        tuple(_listed_network(item) for item in _items(networks)),
    )


def check_url(url: str, rules: SsrfRules) -> GivenUrl:
    """Return the URL in the one spelling that may be used; raises `UrlRefusedError`, which repeats none of it."""
    if not url.isascii() or len(url) > _MAX_URL or not _PLAIN.fullmatch(url):
        raise _refused("holds characters that no address has, or is longer than 2048")
    match = _URL.fullmatch(url)
    scheme, authority, path, rest = match.groups() if match else ("", "", "", "")
    scheme = scheme.lower()
    if match is None or scheme not in _PORTS:
        raise _refused("is no address of the form http(s)://HOST[:PORT]/PATH")
    if "@" in authority:
        raise _refused("holds a user name or password")
    if rest:
        raise _refused("holds a query or a fragment")
    if _BAD_ESCAPE.search(path or ""):
        raise _refused("holds a control character or a broken escape")
    host, port = _host_and_port(authority, _PORTS[scheme])
    address = None if _is_name(host) else canonical(host)
    host = host if address is None else str(address)
    destination = Destination(host, port)
    if port in _NOT_HTTP and (host, port) not in rules.hosts:
        raise _refused(f"has port {port}, where no HTTP is spoken")
    if address is not None:
        require_allowed(destination, [address], rules)
    elif not rules.may_ask(destination):
        raise _refused("is not listed, and egress is sealed", _HINT)
    place = str(destination).removesuffix(f":{_PORTS[scheme]}")
    return GivenUrl(f"{scheme}://{place}{(path or '').rstrip('/')}", destination, address)


def require_allowed(destination: Destination, addresses: Iterable[Address], rules: SsrfRules) -> None:
    """Raise `UrlRefusedError` for the first address that may not be dialled."""
    for address in addresses:
        why = rules.refusal(destination, address)
        if why is not None:
            what = "its address" if str(address) != destination.host else "it"
            hint = None if kind_of(address) is Kind.NEVER else _HINT
            raise _refused(f"cannot be used: {what} {why}", hint)


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    """Return the host (lower case, no brackets, no last dot) and the port; raises `UrlRefusedError`."""
    if authority.startswith("["):
        inside, bracket, after = authority[1:].partition("]")
        if not bracket or (after and not after.startswith(":")) or not _is_ipv6(inside):
            raise _refused("has no valid IPv6 address in its brackets")
        return inside.lower(), _port(after[1:], default, given=bool(after))
    host, colon, port = authority.partition(":")
    host = host.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused("has no valid host name")
    if _NUMBER.fullmatch(labels[-1]) and not _is_ipv4(host):
        raise _refused("has an odd form of an IPv4 address; write four decimal numbers")
    return host, _port(port, default, given=bool(colon))


def _port(text: str, default: int, *, given: bool) -> int:
    if not given:
        return default
    if not text.isdigit() or len(text) > 5 or not 0 < int(text) < 65536:
        raise _refused("has no valid port")
    return int(text)


def _is_name(host: str) -> bool:
    return not _is_ipv4(host) and ":" not in host


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _listed_host(item: str) -> tuple[str, int | None]:
    try:
        # A bare IPv6 address is no authority.
        host, port = (item.lower(), 0) if _is_ipv6(item) else _host_and_port(item, 0)
        return (host if _is_name(host) else str(canonical(host))), port or None
    except UrlRefusedError:
        raise ConfigError(
            f"ROUTEIQ_SSRF_HOST_ALLOWLIST: {item[:64]!r} is no host",
            subject="ROUTEIQ_SSRF_HOST_ALLOWLIST",
            hint="write HOST or HOST:PORT, separated by commas",
        ) from None


def _listed_network(item: str) -> Network:
    name = "ROUTEIQ_SSRF_CIDR_ALLOWLIST"
    try:
        network = ipaddress.ip_network(item)
    except ValueError:
        raise ConfigError(
            f"{name}: {item[:64]!r} is no network",
            subject=name,
            hint="write 10.20.0.0/16, separated by commas",
        ) from None
    for never in NEVER:
        if never.version == network.version and network.subnet_of(never):  # type: ignore[arg-type]
            raise ConfigError(f"{name}: {network} is refused always, listing it does nothing", subject=name)
    return network


def _refused(what: str, hint: str | None = None) -> UrlRefusedError:
    return UrlRefusedError(what, hint=hint)
