"""What kind of address one is: never to be dialled for a user, private, or public. Pure.

An IPv6 address that carries an IPv4 one (mapped, translated, 6to4, NAT64, Teredo, ISATAP) is as bad as what it carries:
a gateway on the way unwraps it. The networks are IANA's special-purpose registries, written down here because Python's
`is_private` says other things in other versions.
"""

import ipaddress
from collections.abc import Iterator
from enum import IntEnum

__all__ = ["NEVER", "Address", "Kind", "Network", "canonical", "carried", "kind_of"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Kind(IntEnum):
    """The worse, the greater."""

    PUBLIC = 0
    PRIVATE = 1
    NEVER = 2


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(item) for item in text.split())


NEVER = _networks(
    # This host, link-local (clouds hand out credentials there), multicast, reserved and broadcast.
    "0.0.0.0/8 169.254.0.0/16 224.0.0.0/4 240.0.0.0/4 ::/128 fe80::/10 ff00::/8 "
    # Metadata and other services of clouds outside link-local: Alibaba, Oracle, Azure, AWS, Google, Oracle.
    "100.100.100.200/32 192.0.0.192/32 168.63.129.16/32 fd00:ec2::/32 fd20:ce::/32 fd00:c1::a9fe:a9fe/128"
)
"""What no setting opens."""
_PRIVATE = _networks(
    "10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 "
    "198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 2001::/23 2001:db8::/32 3fff::/20"
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_LOW_32 = _networks("::ffff:0:0/96 ::ffff:0:0:0/96 ::/96 64:ff9b::/96")
"""Prefixes after which an IPv4 address follows: mapped, translated (SIIT), compatible, NAT64 (RFC 6052)."""
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
_6TO4 = ipaddress.IPv6Network("2002::/16")
_TEREDO = ipaddress.IPv6Network("2001::/32")
_ISATAP = frozenset({0x00005EFE, 0x02005EFE})
_LOOPBACK = ipaddress.IPv6Address("::1")
_32 = 0xFFFFFFFF


def canonical(text: str) -> Address:
    """Return the address (without a zone), an IPv4-mapped one as IPv4; raises `ValueError`."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def kind_of(address: Address) -> Kind:
    """Return the kind of an address, of what it carries if that is worse."""
    own = _own_kind(address)
    inner = max((_own_kind(item) for item in carried(address)), default=None)
    if inner is None:
        return own
    if own is Kind.PRIVATE and not _is_listed(address, _PRIVATE) and address not in _LOCAL_NAT64:
        return inner  # a prefix outside global unicast that only says what follows
    return max(own, inner)


def carried(address: Address) -> list[ipaddress.IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address may stand for."""
    if isinstance(address, ipaddress.IPv4Address) or address == _LOOPBACK:
        return []
    return [ipaddress.IPv4Address(number) for number in _carried(address)]


def _carried(address: ipaddress.IPv6Address) -> Iterator[int]:
    bits = int(address)
    if _is_listed(address, _LOW_32):
        yield bits & _32
    elif address in _LOCAL_NAT64:
        # RFC 6052 with a /48 prefix (around the octet that must be zero), and with a /96.
        yield (bits >> 64 & 0xFFFF) << 16 | bits >> 40 & 0xFFFF
        yield bits & _32
    elif address in _6TO4:
        yield bits >> 80 & _32
    elif address in _TEREDO:
        yield bits >> 64 & _32
        yield bits & _32 ^ _32
    if bits >> 32 & _32 in _ISATAP:
        yield bits & _32


def _own_kind(address: Address) -> Kind:
    if _is_listed(address, NEVER):
        return Kind.NEVER
    if _is_listed(address, _PRIVATE):
        return Kind.PRIVATE
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return Kind.PRIVATE
    return Kind.PUBLIC


def _is_listed(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)
