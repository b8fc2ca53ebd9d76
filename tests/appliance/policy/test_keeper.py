"""Rules that change while the gateway runs: what is wrong never comes into force, and an outage changes nothing."""

import asyncio
from dataclasses import dataclass, field
from functools import partial

import pytest

from routeiq_appliance.errors import StateError
from routeiq_appliance.policy.document import Known, known_of, parse_rules
from routeiq_appliance.policy.gate import PolicyGate
from routeiq_appliance.policy.keeper import PolicyKeeper
from routeiq_appliance.policy.opening import compile_file
from routeiq_appliance.policy.schema import PolicySection, RulesFile
from routeiq_signing.keys import PrivateKey, PublicKey
from routeiq_signing.sigstore_bundle import message_bundle

_ONE = b"version: 1\nrules:\n  - {name: one, then: deny}\n"
_TWO = b"version: 2\nrules:\n  - {name: two, then: deny}\n"


@dataclass
class MemorySource:
    """Implements `Source`."""

    document: bytes = b""
    signature: bytes = b""
    away: bool = False
    reads: list[bool] = field(default_factory=list)

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    async def read(self) -> tuple[bytes, bytes]:
        self.reads.append(self.away)
        if self.away:
            raise StateError("away")
        return self.document, self.signature


def _keeper(source: MemorySource, key: PublicKey | None = None, seconds: float = 300) -> PolicyKeeper:
    section, known = PolicySection(), Known()
    configured = parse_rules("rules: [{name: configured, then: deny}]", name="config")
    return PolicyKeeper(
        PolicyGate(compile_file(configured, section, known), text_chars=1000),
        source,
        partial(parse_rules, name="redis"),
        lambda file: compile_file(file, section, known),
        key=key,
        max_bytes=1000,
        seconds=seconds,
    )


def _in_force(keeper: PolicyKeeper) -> str:
    return keeper.gate.rules.rules[0].rule.name


async def test_rules_of_redis_take_the_place_of_the_configurations() -> None:  # H6
    source = MemorySource(_ONE)
    keeper = _keeper(source)
    await keeper.start()
    assert _in_force(keeper) == "one"
    source.document = _TWO
    await keeper.refresh()
    assert _in_force(keeper) == "two"
    source.document = b""
    await keeper.refresh()
    assert (_in_force(keeper), keeper.degraded) == ("configured", False)
    await keeper.close()


@pytest.mark.parametrize(
    "broken",
    [
        b"rules: [",
        b"rules: [{name: a, then: nothing}]",
        b"\xff",
        b"version: 1\nrules: []\n# " + b"x" * 1000,
        b"version: 0\nrules: []",
        b"rules: []",  # no version, where one is in force
        b"version: 5\nrules: [{name: a, when: {text: ['(']}, then: deny}]",
    ],
)
async def test_broken_rules_leave_the_old_ones_in_force_and_are_told(
    broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    source = MemorySource(_ONE)
    keeper = _keeper(source)
    await keeper.refresh()
    source.document = broken
    await keeper.refresh()
    assert (_in_force(keeper), keeper.degraded) == ("one", True)
    assert "policy of redis is refused" in caplog.text
    caplog.clear()
    await keeper.refresh()
    assert not caplog.records  # once
    source.document = _TWO
    await keeper.refresh()
    assert (_in_force(keeper), keeper.degraded) == ("two", False)


async def test_an_outage_changes_nothing() -> None:
    source = MemorySource(_ONE)
    keeper = _keeper(source)
    await keeper.refresh()
    source.away = True
    await keeper.refresh()
    assert (_in_force(keeper), keeper.degraded) == ("one", False)


async def test_where_a_key_is_given_only_what_it_signed_comes_into_force() -> None:
    key, other = PrivateKey.generate(), PrivateKey.generate()
    source = MemorySource(_ONE)
    keeper = _keeper(source, key.public)
    for signature in (
        b"",
        b"{}",
        message_bundle(key.public.keyid, _TWO, key.sign(_TWO)),
        message_bundle(key.public.keyid, _ONE, other.sign(_ONE)),
        message_bundle(other.public.keyid, _ONE, other.sign(_ONE)),
        message_bundle(key.public.keyid, _ONE, b"no signature"),
    ):
        source.signature = signature
        await keeper.refresh()
        assert (_in_force(keeper), keeper.degraded) == ("configured", True)
    source.signature = message_bundle(key.public.keyid, _ONE, key.sign(_ONE))
    await keeper.refresh()
    assert (_in_force(keeper), keeper.degraded) == ("one", False)


async def test_rules_are_read_again_by_themselves() -> None:
    source = MemorySource(_ONE)
    keeper = _keeper(source, seconds=0.001)
    await keeper.start()
    source.document = _TWO
    async with asyncio.timeout(10):
        while _in_force(keeper) != "two":  # noqa: ASYNC110 - a poll is what is tested
            await asyncio.sleep(0.001)
    await keeper.close()


def test_what_a_document_does_not_say_is_as_the_section_says() -> None:
    section = PolicySection(mode="dry-run", default="deny")
    rules = compile_file(RulesFile(rules=[]), section, known_of({}, {}))
    assert (rules.mode, rules.default) == ("dry-run", "deny")
    rules = compile_file(RulesFile(rules=[], mode="enforce", default="allow"), section, Known())
    assert (rules.mode, rules.default) == ("enforce", "allow")
