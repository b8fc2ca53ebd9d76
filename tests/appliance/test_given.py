"""Dials for an address that a user gave (I4): only what was looked up for it, and is allowed, is dialled."""

import asyncio
import contextvars
import socket
from collections.abc import Callable
from typing import Any

import pytest

from routeiq_appliance.egress.destinations import Destination, Destinations
from routeiq_appliance.egress.given import GIVEN, GivenDials
from routeiq_appliance.egress.guard import DialRefusedError, Guard, GuardedLoop
from routeiq_appliance.egress.ssrf import parse_rules
from routeiq_appliance.egress.ssrf_resolver import accept_url
from routeiq_appliance.errors import UrlRefusedError

USER = Destination("models.example", 8000)
OWN = Destination("10.0.0.5", 6379)


def make_guard(*, sealed: bool = False, **lists: Any) -> Guard:
    rules = parse_rules(sealed=sealed, **{"allow_private": False, "hosts": "", "networks": "", **lists})
    return Guard(Destinations([OWN]), sealed=sealed, given=GivenDials(rules))


def for_user(work: Callable[[], Any], given: Destination = USER) -> Any:
    def run() -> Any:
        GIVEN.set(given)
        return work()

    return contextvars.copy_context().run(run)


def found(*addresses: str) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 8000)) for address in addresses]


@pytest.mark.parametrize("sealed", [True, False])
def test_only_what_was_looked_up_and_is_allowed_is_handed_out_and_dialled(sealed: bool) -> None:
    guard = make_guard(sealed=sealed, networks="8.8.8.0/24")

    def use() -> None:
        guard.check_resolve("models.example")
        assert [item[4][0] for item in guard.learn("models.example", found("127.0.0.1", "8.8.8.8"))] == [
            "8.8.8.8"
        ]
        guard.check_connect("8.8.8.8", 8000)
        for host, port in (("8.8.8.8", 22), ("8.8.8.9", 8000), ("127.0.0.1", 8000), ("10.0.0.5", 6379),
                           ("169.254.169.254", 8000), ("models.example", 8000)):  # fmt: skip
            with pytest.raises(DialRefusedError):
                guard.check_connect(host, port)

    for_user(use)


def test_a_name_none_of_whose_addresses_is_allowed_is_refused_in_open_mode_too() -> None:
    guard = make_guard()
    with pytest.raises(DialRefusedError, match=r"look-up models\.example: an address that is not allowed"):
        for_user(
            lambda: guard.learn("models.example", found("127.0.0.1", "::ffff:10.0.0.1", "169.254.169.254"))
        )
    assert guard.total == 1


def test_another_name_is_not_looked_up_for_a_user() -> None:
    guard = make_guard()
    with pytest.raises(DialRefusedError, match="look-up other"):
        for_user(lambda: guard.check_resolve("other.example"))


def test_one_users_address_is_not_anothers() -> None:
    guard = make_guard(hosts="listed.example:8000")
    listed = Destination("listed.example", 8000)
    for_user(lambda: guard.learn("listed.example", found("10.1.1.1")), listed)
    for_user(lambda: guard.check_connect("10.1.1.1", 8000), listed)
    with pytest.raises(DialRefusedError):
        for_user(lambda: guard.check_connect("10.1.1.1", 8000))


def test_a_given_address_is_judged_again_where_it_is_dialled() -> None:
    guard = make_guard()
    private = Destination("10.9.9.9", 8000)
    with pytest.raises(DialRefusedError):
        for_user(lambda: guard.check_connect("10.9.9.9", 8000), private)
    public = Destination("8.8.4.4", 8000)
    for_user(lambda: guard.check_connect("::ffff:8.8.4.4", 8000), public)


def test_blocking_code_is_held_to_the_same() -> None:
    guard = make_guard()
    local = Destination("localhost", 8000)
    # What it was told by its own look-up, it may not dial.
    for_user(lambda: guard.audit("socket.getaddrinfo", ("localhost", 8000, 0, 0, 0)), local)
    with pytest.raises(DialRefusedError):
        for_user(lambda: guard.audit("socket.connect", (None, ("127.0.0.1", 8000))), local)


def test_the_gateways_own_dials_are_judged_by_the_configuration_as_before() -> None:
    guard = make_guard(sealed=True)
    guard.check_connect(*("10.0.0.5", 6379))
    with pytest.raises(DialRefusedError):
        guard.check_connect("8.8.8.8", 8000)


def test_the_event_loop_hands_out_and_dials_nothing_that_is_not_allowed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    guard = make_guard()
    local = Destination("localhost", port)

    async def dial() -> None:
        GIVEN.set(local)
        loop = asyncio.get_running_loop()
        with pytest.raises(DialRefusedError):
            await loop.getaddrinfo("localhost", port)
        with pytest.raises(DialRefusedError):
            await asyncio.open_connection("localhost", port)
        with pytest.raises(DialRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        GIVEN.set(None)
        with pytest.raises(UrlRefusedError, match="loopback or private"):
            await accept_url(f"http://localhost:{port}/v1", guard.given.rules)
        assert (
            await accept_url(f"http://localhost:{port}/v1", make_guard(hosts="localhost").given.rules)
        ).text

    with listener, asyncio.Runner(loop_factory=lambda: GuardedLoop(guard)) as runner:
        runner.run(dial())
    listener_was_reached = guard.refused
    assert all("localhost" in what or "127.0.0.1" in what for what in listener_was_reached)


async def test_a_name_of_several_addresses_is_accepted_only_when_all_are_allowed() -> None:
    rules = make_guard().given.rules

    async def mixed(_host: str, _port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    async def nothing(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    with pytest.raises(UrlRefusedError, match="its address is loopback or private"):
        await accept_url("http://models.example/v1", rules, ask=mixed)
    with pytest.raises(UrlRefusedError, match="cannot be looked up"):
        await accept_url("http://models.example/v1", rules, ask=nothing)
