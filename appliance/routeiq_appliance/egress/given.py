"""Where a call of a deployment that a user made may dial, judged at each dial (I4).

A task that calls such a deployment says where it leads (`GIVEN`), and the guard then asks here instead of the
configuration: of what the host resolves to only addresses that the rules allow are handed to whoever dials, and only
those, at its port, are let through. So neither a name that resolves otherwise later, nor a redirect, nor another
destination of this gateway is dialled for it, sealed or not.
"""

from collections.abc import Iterable
from contextvars import ContextVar
from typing import Final

from routeiq_appliance.egress.destinations import Destination
from routeiq_appliance.egress.ssrf import SsrfRules
from routeiq_appliance.egress.ssrf_networks import Address, canonical

__all__ = ["GIVEN", "GivenDials"]

GIVEN: Final[ContextVar[Destination | None]] = ContextVar("given", default=None)
"""The destination of the deployment that this task calls, when a user gave it."""
_MAX_HOSTS = 1024
_MAX_LEARNED = 256
"""Addresses of one host that are remembered; a resolver may give others at each look-up."""


class GivenDials:
    """One per process."""

    def __init__(self, rules: SsrfRules) -> None:
        self.rules = rules
        self._learned: dict[Destination, frozenset[Address]] = {}

    def permitted(self, given: Destination, addresses: Iterable[str]) -> frozenset[str]:
        """Return those of the host's addresses that may be dialled, as they were given, and remember them."""
        good = {
            text: address
            for text in addresses
            if (address := _address(text)) is not None and self.rules.refusal(given, address) is None
        }
        found = frozenset(good.values())
        if len(self._learned) >= _MAX_HOSTS and given not in self._learned:
            self._learned.clear()
        # What was learned before was allowed by the same rules, and connections are still being made to it.
        both = self._learned.get(given, frozenset()) | found
        self._learned[given] = both if len(both) <= _MAX_LEARNED else found
        return frozenset(good)

    def may_connect(self, given: Destination, host: str, port: object) -> bool:
        """Whether an address (never a name: who dials one would look it up unseen) and port may be dialled."""
        address = _address(host)
        if address is None or port != given.port:
            return False
        if str(address) == given.host:
            return self.rules.refusal(given, address) is None
        return address in self._learned.get(given, frozenset())


def _address(text: str) -> Address | None:
    try:
        return canonical(text)
    except ValueError:
        return None
