"""Reads the rules that Redis keeps: at most so many bytes, document and signature of one moment."""

from collections.abc import Callable
from typing import Any

from routeiq_appliance.errors import ConfigError, StateError
from routeiq_appliance.state.shared.session import Session
from routeiq_appliance.state.shared.wire import Wire, WireError, read_address

__all__ = ["RULES_KEY", "SIGNATURE_KEY", "RedisRules"]

RULES_KEY = "routeiq:policy:rules"
"""The document, YAML or JSON (H6)."""
SIGNATURE_KEY = "routeiq:policy:rules:sig"
"""A sigstore bundle with the document's signature."""


class RedisRules:
    """A connection of its own: rules are read while limits are busy. `timeout`: seconds until an answer is missing."""

    def __init__(self, url: str, *, max_bytes: int, timeout: float = 0.25) -> None:
        self._last = max_bytes
        self._session = Session(
            read_address(url),
            timeout=timeout,
            set_up=_set_up,
            beat=_beat,
            on_push=_ignore,
            away="redis is away: the policy stays as it is",
            back="redis is back: the policy is read again",
        )

    async def start(self) -> None:
        """Connect; returns also when that failed, and goes on trying."""
        await self._session.start()

    async def close(self) -> None:
        """Disconnect."""
        await self._session.close()

    async def read(self) -> tuple[bytes, bytes]:
        """Return document and signature, empty where there is none; a document one byte too long is cut.

        Raises `StateError` while Redis is away, `ConfigError` when it keeps something else than text.
        """
        wire = self._session.wire
        if wire is None:
            raise StateError("redis is away")
        wire.send(("MULTI",), _ignore)
        wire.send(("GETRANGE", RULES_KEY, 0, self._last), _ignore)
        wire.send(("GETRANGE", SIGNATURE_KEY, 0, self._last), _ignore)
        try:
            found = await wire.ask(("EXEC",))
        except (OSError, WireError) as error:
            raise StateError(f"redis does not tell the policy: {error}") from None
        if not (
            isinstance(found, list) and len(found) == 2 and all(isinstance(item, bytes) for item in found)
        ):
            raise ConfigError(f"{RULES_KEY}: is no text")
        return found[0], found[1]


async def _set_up(_wire: Wire) -> Callable[[], None]:
    return _nothing


async def _beat(wire: Wire) -> None:
    await wire.ask(("PING",))


def _ignore(_message: Any) -> None:
    pass


def _nothing() -> None:
    pass
