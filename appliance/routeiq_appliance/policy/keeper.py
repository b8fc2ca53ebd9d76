"""Which rules are in force: the configuration's, or those that Redis keeps, read again every so often (H6).

1. Rules of Redis take the place of the configuration's, all of them; once Redis keeps none, those are back in force.
2. They are in force only when everything about them is right: signed, where a key is given; no mistake in them; no
   version below the one that is in force. Until then whatever is in force stays so, and this is degraded.
3. A Redis that is away changes nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Protocol

from routeiq_appliance.errors import ConfigError, StateError
from routeiq_appliance.policy.gate import PolicyGate
from routeiq_appliance.policy.rules import RuleSet
from routeiq_appliance.policy.schema import RulesFile
from routeiq_signing.errors import DocumentError
from routeiq_signing.keys import PublicKey
from routeiq_signing.sigstore_bundle import read_message_bundle

__all__ = ["PolicyKeeper", "Source", "signed"]

_LOG = logging.getLogger(__name__)
_NAME = "routeiq:policy:rules"


class Source(Protocol):
    """Where rules are kept that change while the gateway runs."""

    async def start(self) -> None:
        """Connect; returns also when that failed."""

    async def close(self) -> None:
        """Disconnect."""

    async def read(self) -> tuple[bytes, bytes]:
        """Return document and signature, empty where there is none.

        Raises `StateError` while it is away, `ConfigError` for what is no text.
        """


def signed(document: bytes, signature: bytes, key: PublicKey) -> None:
    """Raise `ConfigError` unless `signature` (a sigstore bundle) is of `key` over the document."""
    if not signature:
        raise ConfigError(f"{_NAME}: is not signed")
    try:
        raw = read_message_bundle(signature, f"{_NAME}:sig", keyid=key.keyid, message=document)
    except DocumentError as error:
        raise ConfigError(str(error)) from None
    if not key.verifies(raw, document):
        raise ConfigError(f"{_NAME}:sig: the signature is not of this document")


class PolicyKeeper:
    """One per worker. `parse` checks a document's text, `compile_file` makes rules of it; both raise `ConfigError`."""

    def __init__(
        self,
        gate: PolicyGate,
        source: Source | None,
        parse: Callable[[str], RulesFile],
        compile_file: Callable[[RulesFile], RuleSet],
        *,
        key: PublicKey | None,
        max_bytes: int,
        seconds: float,
    ) -> None:
        self.gate = gate
        self.degraded = False
        """Whether rules were found that are not in force, because something is wrong with them."""
        self._configured = gate.rules
        self._source = source
        self._parse = parse
        self._compile = compile_file
        self._key = key
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._seen: tuple[bytes, bytes] | None = (b"", b"")
        self._refused = ""
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read once, so that no call is judged by older rules, then every `seconds`."""
        if self._source is not None:
            await self._source.start()
            await self.refresh()
            self._task = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._source is not None:
            await self._source.close()

    async def refresh(self) -> None:
        """Read, and put in force what is new and right."""
        if self._source is None:
            return
        try:
            found = await self._source.read()
        except StateError:
            return  # told by whoever connects
        except ConfigError as error:
            self._seen = None
            self._refuse(str(error))
            return
        if found == self._seen:
            return
        self._seen = found
        document, signature = found
        if not document:
            self._use(self._configured, "the configuration")
            return
        try:
            self._use(self._read(document, signature), "redis")
        except ConfigError as error:
            self._refuse(str(error))

    def _read(self, document: bytes, signature: bytes) -> RuleSet:
        if len(document) > self._max_bytes:
            raise ConfigError(f"{_NAME}: larger than {self._max_bytes} bytes")
        if self._key is not None:
            signed(document, signature, self._key)
        try:
            text = document.decode("utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{_NAME}: not UTF-8") from None
        rules = self._compile(self._parse(text))
        before = self.gate.rules.version
        if before is not None and (rules.version is None or rules.version < before):
            raise ConfigError(f"{_NAME}: its version is {rules.version}, and {before} is in force")
        return rules

    def _refuse(self, reason: str) -> None:
        if reason != self._refused:  # once, not every time that it is read
            self._refused = reason
            _LOG.error("policy of redis is refused: the one in force stays", extra={"reason": reason[:2000]})
        self.degraded = True

    def _use(self, rules: RuleSet, where: str) -> None:
        self.gate.rules = rules
        self.degraded, self._refused = False, ""
        _LOG.info(
            "policy in force", extra={"from": where, "rules": len(rules.rules), "version": rules.version}
        )

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._seconds)
            await self.refresh()
