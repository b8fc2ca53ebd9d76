"""Checks every dial of this process against `Destinations`, in the two places where Python dials.

1. `GuardedLoop`, the event loop that serves: uvloop raises no audit event, so its own methods check.
2. An audit hook for everything synchronous (`socket.connect`, look-ups). It cannot be removed once added.

Native code (libpq, libuv's own look-ups) is not seen by the hook: the network's rules are the proof, this is the
layer before them. In `open` mode dials are recorded and let through.

Dials for a deployment that a user made are judged by `given` alone, in both modes: what is looked up and not allowed is
not handed out, and what was not handed out is not dialled.
"""

import ipaddress
import logging
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import uvloop

from routeiq_appliance.egress.destinations import Destinations
from routeiq_appliance.egress.given import GIVEN, GivenDials
from routeiq_appliance.egress.ssrf import SsrfRules

__all__ = ["DialRefusedError", "Guard", "GuardedLoop"]

_LOG = logging.getLogger(__name__)
_MAX_RECORDED = 256


class DialRefusedError(PermissionError):
    """A dial to a destination that the configuration does not name; an `OSError`, so libraries handle it."""


class Guard:
    """Decides over dials and keeps the count; thread-safe. `sealed` False records without refusing."""

    def __init__(self, destinations: Destinations, *, sealed: bool, given: GivenDials | None = None) -> None:
        self.destinations = destinations
        self.given = given or GivenDials(SsrfRules())
        self.sealed = sealed
        self.refused: Counter[str] = Counter()
        self.total = 0
        """Dials outside the configuration: refused when sealed, recorded when open."""
        self._lock = threading.Lock()
        self._resolving = threading.local()

    def check_connect(self, host: object, port: object) -> None:
        """Raise `DialRefusedError` unless the destination is configured, or given and allowed."""
        given = GIVEN.get()
        if given is not None:
            if not self.given.may_connect(given, _text(host), port):
                self._record(f"connect {host!s}:{port!s}", refuse=True)
        elif not self.destinations.may_connect(host, port):
            self._record(f"connect {host!s}:{port!s}")

    def check_resolve(self, host: object) -> None:
        """Raise `DialRefusedError` unless the name is configured, or given."""
        given = GIVEN.get()
        if given is not None:
            if not (host is None or _literal(host) or _text(host) == given.host):
                self._record(f"look-up {host!s}", refuse=True)
        elif not self.destinations.may_resolve(host):
            self._record(f"look-up {host!s}")

    def learn(self, host: object, results: list[Any]) -> list[Any]:
        """Remember the addresses of a `getaddrinfo` result; returns those that may be dialled, one or more."""
        addresses = [str(item[4][0]) for item in results]
        given = GIVEN.get()
        if given is None:
            self.destinations.learn(host, addresses)
            return results
        if _literal(host):
            return results  # no look-up: the dial itself is judged
        allowed = self.given.permitted(given, addresses)
        if not allowed:
            self._record(f"look-up {host!s}: an address that is not allowed", refuse=True)
        return [item for item in results if str(item[4][0]) in allowed]

    def watch_process(self) -> None:
        """Add the audit hook, for the life of the process."""
        sys.addaudithook(self.audit)

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Judge one audit event; raises `DialRefusedError`."""
        if event == "socket.connect":
            address = args[1]
            if isinstance(address, tuple) and len(address) >= 2:
                self.check_connect(address[0], address[1])
        elif event == "socket.getaddrinfo" and not getattr(self._resolving, "busy", False):
            host = args[0]
            self.check_resolve(host)
            self._learn_before_connect(host)
        elif event in {"socket.gethostbyname", "socket.gethostbyaddr"}:
            self.check_resolve(args[0])

    def _learn_before_connect(self, host: object) -> None:
        """Resolve a configured name here: an event shows the question, never the answer."""
        if not isinstance(host, str | bytes) or _literal(host):
            return
        self._resolving.busy = True
        try:
            self.learn(host, socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except OSError:
            return  # the caller's own look-up fails in the same way and says so
        finally:
            self._resolving.busy = False

    def _record(self, what: str, *, refuse: bool = False) -> None:
        refuse = refuse or self.sealed
        with self._lock:
            self.total += 1
            first = what not in self.refused
            if not first or len(self.refused) < _MAX_RECORDED:
                self.refused[what] += 1
        if first:
            _LOG.warning("egress outside the configuration", extra={"dial": what, "refused": refuse})
        if refuse:
            mode = "sealed" if self.sealed else "open"
            raise DialRefusedError(f"{what}: not a destination of the configuration (routeiq.egress: {mode})")


class GuardedLoop(uvloop.Loop):
    """uvloop that asks the guard before it resolves or connects."""

    def __init__(self, guard: Guard) -> None:
        super().__init__()
        self._guard = guard

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        """See `asyncio.loop.getaddrinfo`."""
        self._guard.check_resolve(host)
        results = await super().getaddrinfo(host, port, **options)
        return results if host is None else self._guard.learn(host, results)

    async def unsafe_getaddrinfo(self, host: str, port: int, **options: Any) -> Any:
        """Look up a host that is no destination yet, for `ssrf_resolver` alone: the answer is judged, not dialled."""
        return await super().getaddrinfo(host, port, **options)

    async def create_connection(
        self, protocol_factory: Callable[[], Any], host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        """See `asyncio.loop.create_connection`."""
        if host is not None:
            self._guard.check_connect(host, port)
        return await super().create_connection(protocol_factory, host, port, **options)

    async def create_datagram_endpoint(
        self,
        protocol_factory: Callable[[], Any],
        local_addr: Any = None,
        remote_addr: Any = None,
        **options: Any,
    ) -> Any:
        """See `asyncio.loop.create_datagram_endpoint`."""
        if remote_addr is not None:
            self._guard.check_connect(remote_addr[0], remote_addr[1])
        return await super().create_datagram_endpoint(protocol_factory, local_addr, remote_addr, **options)

    async def sock_connect(self, sock: Any, address: Any) -> Any:
        """See `asyncio.loop.sock_connect`."""
        if isinstance(address, tuple):
            self._guard.check_connect(address[0], address[1])
        return await super().sock_connect(sock, address)


def _text(host: object) -> str:
    text = host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)
    return text.removesuffix(".").lower()


def _literal(host: object) -> bool:
    try:
        ipaddress.ip_address(_text(host).partition("%")[0])
    except ValueError:
        return False
    return True
