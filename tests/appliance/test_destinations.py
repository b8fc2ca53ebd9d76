import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.egress.destinations import (
    Destination,
    Destinations,
    destination_of_url,
    parse_destination,
)
from routeiq_appliance.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("1.1.1.1:443", "1.1.1.1", 443),
        ("[2606:4700::1111]:53", "2606:4700::1111", 53),
        ("Example.ORG.:80", "example.org", 80),
    ],
)
def test_destinations_are_parsed(text: str, host: str, port: int) -> None:
    assert parse_destination(text) == Destination(host, port)


@pytest.mark.parametrize("text", ["", "host", ":80", "host:0", "host:65536", "host:x", "host:²"])
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a destination"):
        parse_destination(text)


@given(st.text())
def test_parsing_never_fails_otherwise(text: str) -> None:
    try:
        parse_destination(text)
        destination_of_url(text)
    except ConfigError:
        return


def test_a_url_of_another_scheme_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as caught:
        destination_of_url("file://user:secret@x/etc")
    assert "secret" not in str(caught.value)


def test_only_what_is_configured_may_be_dialled() -> None:
    destinations = Destinations([Destination("10.0.0.5", 8000), Destination("llm.corp", 443)])
    assert destinations.may_connect("10.0.0.5", 8000)
    assert destinations.may_connect(b"10.0.0.5", 8000)
    assert destinations.may_connect("::ffff:10.0.0.5", 8000)
    assert not destinations.may_connect("10.0.0.5", 8001)
    assert not destinations.may_connect("127.0.0.1", 8000)  # loopback is nothing special
    assert not destinations.may_connect("169.254.169.254", 80)
    assert destinations.may_resolve("LLM.corp.")
    assert destinations.may_resolve("192.0.2.9")  # an address is not looked up
    assert not destinations.may_resolve("raw.githubusercontent.com")


def test_an_address_is_allowed_only_while_a_configured_name_resolves_to_it() -> None:
    destinations = Destinations([Destination("llm.corp", 443)])
    destinations.learn("evil.example", ["10.0.0.9"])
    assert not destinations.may_connect("10.0.0.9", 443)
    destinations.learn("llm.corp", ["10.0.0.9"])
    assert destinations.may_connect("10.0.0.9", 443)
    assert not destinations.may_connect("10.0.0.9", 22)
    destinations.learn("llm.corp", ["10.0.0.10"])
    assert not destinations.may_connect("10.0.0.9", 443)
