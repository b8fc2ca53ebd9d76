"""Looks up the host of a URL that a user gave, and judges what it resolves to, before the URL is accepted (I4).

This is a courtesy to the user, who learns at once that the address will not do. What keeps a name from resolving to
something else later is `guard`, which judges again what is dialled.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from routeiq_appliance.egress.guard import GuardedLoop
from routeiq_appliance.egress.ssrf import GivenUrl, SsrfRules, check_url, require_allowed
from routeiq_appliance.egress.ssrf_networks import canonical
from routeiq_appliance.errors import UrlRefusedError

__all__ = ["LookUp", "accept_url", "look_up"]

_SECONDS = 5.0

LookUp = Callable[[str, int], Awaitable[list[str]]]
"""Returns the addresses of a host for a port; raises `OSError`."""


async def look_up(host: str, port: int) -> list[str]:
    """Ask the system's resolver, past the guard: the host is no destination yet."""
    loop = asyncio.get_running_loop()
    ask = loop.unsafe_getaddrinfo if isinstance(loop, GuardedLoop) else loop.getaddrinfo
    found = await ask(host, port, type=socket.SOCK_STREAM)
    return [str(item[4][0]) for item in found]


async def accept_url(url: str, rules: SsrfRules, *, ask: LookUp = look_up) -> GivenUrl:
    """Return the URL as `check_url` does, once every address of its host is allowed; raises `UrlRefusedError`."""
    given = check_url(url, rules)
    if given.address is not None:
        return given
    try:
        async with asyncio.timeout(_SECONDS):
            found = await ask(given.destination.host, given.destination.port)
        addresses = [canonical(item) for item in found]
    except (OSError, ValueError):
        addresses = []
    if not addresses:
        raise UrlRefusedError("names a host that cannot be looked up")
    require_allowed(given.destination, addresses, rules)
    return given
