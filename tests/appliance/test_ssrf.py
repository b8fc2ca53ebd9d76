"""Addresses that a user gives (I4): which URLs and which addresses are refused, whatever their spelling."""

import ipaddress
import string
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from routeiq_appliance.egress.destinations import Destination, destination_of_url
from routeiq_appliance.egress.ssrf import SsrfRules, check_url, parse_rules
from routeiq_appliance.egress.ssrf_networks import NEVER, Kind, canonical, kind_of
from routeiq_appliance.errors import ConfigError, UrlRefusedError


def rules(**given: Any) -> SsrfRules:
    return parse_rules(**{"sealed": False, "allow_private": False, "hosts": "", "networks": "", **given})


OPEN = rules()
PRIVATE = rules(allow_private=True)
EVERYTHING = rules(allow_private=True, hosts="metadata.example", networks="0.0.0.0/0, ::/0")
METADATA = ["169.254.169.254", "fd00:ec2::254", "169.254.170.2", "fe80::1", "100.100.100.200", "fd20:ce::254"]
LOCAL = [
    "127.0.0.1",
    "127.8.9.10",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "::1",
    "fd12::1",
    "fec0::1",
]


def wrapped(address: ipaddress.IPv4Address) -> dict[str, str]:
    """Return every IPv6 form in which an IPv4 address may travel."""
    number = int(address)
    v6 = ipaddress.IPv6Address
    return {
        "mapped": str(v6(0xFFFF << 32 | number)),
        "translated": str(v6(0xFFFF << 48 | number)),
        "compatible": str(v6(number)),
        "nat64": str(v6((0x64FF9B << 96) | number)),
        "local nat64": str(v6((0x64FF9B0001 << 80) | number)),
        "local nat64 /48": str(v6((0x64FF9B0001 << 80) | (number >> 16) << 64 | (number & 0xFFFF) << 40)),
        "6to4": str(v6(0x2002 << 112 | number << 80 | 1)),
        "teredo client": str(v6(0x20010000 << 96 | 0x08080808 << 64 | number ^ 0xFFFFFFFF)),
        "teredo server": str(v6(0x20010000 << 96 | number << 64 | 0x08080808 ^ 0xFFFFFFFF)),
        "isatap": str(v6(0x2606470000000000 << 64 | 0x5EFE << 32 | number)),
    }


def literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("address", METADATA)
def test_metadata_and_link_local_are_refused_whatever_is_allowed(address: str) -> None:
    for given_rules in (OPEN, PRIVATE, EVERYTHING):
        with pytest.raises(UrlRefusedError, match="refused always"):
            check_url(f"http://{literal(address)}/latest/meta-data", given_rules)
    assert EVERYTHING.refusal(Destination("metadata.example", 80), canonical(address)) is not None


@pytest.mark.parametrize("form", list(wrapped(ipaddress.IPv4Address("1.2.3.4"))))
def test_a_metadata_address_is_refused_in_every_ipv6_form(form: str) -> None:
    address = wrapped(ipaddress.IPv4Address("169.254.169.254"))[form]
    with pytest.raises(UrlRefusedError, match="refused always"):
        check_url(f"http://[{address}]/", EVERYTHING)


@given(
    number=st.integers(0, 2**32 - 1), form=st.sampled_from(list(wrapped(ipaddress.IPv4Address("1.2.3.4"))))
)
@example(number=int(ipaddress.IPv4Address("10.0.0.1")), form="6to4")
def test_an_ipv6_form_is_never_better_than_the_ipv4_address_in_it(number: int, form: str) -> None:
    address = ipaddress.IPv4Address(number)
    assert kind_of(canonical(wrapped(address)[form])) >= kind_of(address)


@given(st.ip_addresses())
def test_what_python_calls_private_is_not_public(address: Any) -> None:
    if not address.is_global or address.is_multicast or address.is_link_local:
        # Newer registries than this Python's may say more, never less.
        assume(canonical(str(address)) == address)
        assume(not any(address in ipaddress.ip_network(item) for item in ("64:ff9b::/96", "192.88.99.0/24", "::/16")
                       if ipaddress.ip_network(item).version == address.version))  # fmt: skip
        assert kind_of(address) > Kind.PUBLIC


@pytest.mark.parametrize("address", LOCAL)
def test_loopback_and_private_addresses_need_permission(address: str) -> None:
    url = f"http://{literal(address)}:8000/v1"
    with pytest.raises(UrlRefusedError, match="loopback or private") as caught:
        check_url(url, OPEN)
    assert "ROUTEIQ_SSRF_CIDR_ALLOWLIST" in str(caught.value.hint)
    assert check_url(url, PRIVATE).text == url
    assert check_url(url, rules(hosts=address)).text == url
    assert check_url(url, rules(networks=address)).text == url


def test_while_sealed_only_what_is_listed_passes() -> None:
    sealed = rules(sealed=True, allow_private=True, hosts="vllm.site:8000", networks="10.20.0.0/16")
    for url in ("http://10.21.0.1/v1", "http://8.8.8.8/v1", "http://127.0.0.1/v1"):
        with pytest.raises(UrlRefusedError, match="sealed"):
            check_url(url, sealed)
    assert check_url("http://10.20.0.9:8000/v1", sealed).destination == Destination("10.20.0.9", 8000)
    assert check_url("http://vllm.site:8000/v1", sealed).address is None
    other = Destination("other.site", 80)
    assert sealed.may_ask(other), "its address may lie in the listed network"
    assert sealed.refusal(other, canonical("10.20.0.1")) is None
    assert sealed.refusal(other, canonical("10.21.0.1")) is not None
    assert sealed.refusal(Destination("vllm.site", 8000), canonical("10.21.0.1")) is None
    assert sealed.refusal(Destination("vllm.site", 8001), canonical("10.21.0.1")) is not None


def test_while_sealed_without_networks_nobody_is_asked_for_a_name_that_is_not_listed() -> None:
    with pytest.raises(UrlRefusedError, match="is not listed, and egress is sealed"):
        check_url("http://exfiltrated-data.evil.example/", rules(sealed=True, hosts="vllm.site"))


ODD = [
    "2130706433", "0x7f000001", "0x7f.0.0.1", "127.1", "127.0.1", "0177.0.0.1", "017700000001", "0", "0x", "1.2.3.256",
    "1.2.3", "0x7F.1", "127.0.0.01", "1.2.3.4.5", "0x7f000001.", "00000177.1",
]  # fmt: skip


@pytest.mark.parametrize("host", ODD)
def test_an_odd_form_of_an_ipv4_address_is_refused_not_interpreted(host: str) -> None:
    for given_rules in (OPEN, EVERYTHING):
        with pytest.raises(UrlRefusedError, match="odd form of an IPv4 address"):
            check_url(f"http://{host}/v1", given_rules)


BAD = {
    "ftp://example.org/": "no address of the form",
    "file:///etc/passwd": "no address of the form",
    "gopher://example.org/": "no address of the form",
    "//example.org/": "no address of the form",
    "example.org": "no address of the form",
    "http:example.org": "no address of the form",
    "": "no address of the form",
    "http://": "no valid host name",
    "http:///v1": "no valid host name",
    "http://user@example.org/": "user name or password",
    "http://user:secret@example.org/": "user name or password",
    "http://8.8.8.8@127.0.0.1/": "user name or password",
    "http://example.org?x=/v1": "query or a fragment",
    "http://example.org/v1?": "query or a fragment",
    "http://example.org/#": "query or a fragment",
    "http://example.org\\@127.0.0.1/": "characters",
    "http://example.org /": "characters",
    "http://exa\tmple.org/": "characters",
    "http://example.org\r\nHost: x": "characters",
    "\x00http://example.org": "characters",
    "http://１２７.0.0.1/": "characters",  # noqa: RUF001 - full width digits
    "http://127。0。0。1/": "characters",
    "http://ⓔxample.org/": "characters",
    "http://example.org:0/": "no valid port",
    "http://example.org:/": "no valid port",
    "http://example.org:65536/": "no valid port",
    "http://example.org:80:80/": "no valid port",
    "http://example.org:+80/": "no valid port",
    "http://example.org:8_0/": "no valid port",
    "http://8.8.8.8:22/": "no HTTP is spoken",
    "http://8.8.8.8:6379/": "no HTTP is spoken",
    "http://exa%6dple.org/": "no valid host name",
    "http://127.0.0.1%00.example.org/": "no valid host name",
    "http://-x.example/": "no valid host name",
    "http://x..example/": "no valid host name",
    "http://example.org../": "no valid host name",
    f"http://{'a' * 64}.example/": "no valid host name",
    f"http://{'a.' * 130}example/": "no valid host name",
    "http://[::1%25lo]/": "no valid IPv6",
    "http://[::1/": "no valid IPv6",
    "http://[::1]x/": "no valid IPv6",
    "http://[v1.x]/": "no valid IPv6",
    "http://[127.0.0.1]/": "no valid IPv6",
    "http://example.org/%0d%0aX": "control character",
    "http://example.org/%zz": "control character",
    f"http://example.org/{'a' * 2048}": "longer than 2048",
}


@pytest.mark.parametrize(("url", "why"), BAD.items())
def test_a_url_that_parsers_read_differently_is_refused(url: str, why: str) -> None:
    with pytest.raises(UrlRefusedError, match=why) as caught:
        check_url(url, EVERYTHING)
    assert "secret" not in str(caught.value)


def test_the_url_is_returned_in_one_spelling() -> None:
    assert check_url("HTTPS://API.Example.COM./v1/", OPEN).text == "https://api.example.com/v1"
    assert check_url("http://example.org:80", OPEN).text == "http://example.org"
    assert check_url("http://[2606:4700:0:0::1111]:8000/v1", OPEN).text == "http://[2606:4700::1111]:8000/v1"
    assert check_url("http://[::ffff:8.8.8.8]/v1", OPEN).text == "http://8.8.8.8/v1"
    assert check_url("http://localhost./v1", OPEN).destination == Destination("localhost", 80)


_HOSTS = st.one_of(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda a: f"[{a}]"),
    st.text(string.ascii_letters + string.digits + ".-_x%@:[]\\/ ", max_size=30),
    st.text(max_size=10),
    st.sampled_from(ODD),
)


@given(
    scheme=st.sampled_from(["http", "https", "HTTP", "ftp", ""]),
    host=_HOSTS,
    tail=st.text("/:?#@%.0123456789abc\\ ", max_size=12),
)
def test_no_url_that_passes_is_read_otherwise_by_the_standard_library(
    scheme: str, host: str, tail: str
) -> None:
    try:
        found = check_url(f"{scheme}://{host}{tail}", OPEN)
    except UrlRefusedError:
        return
    assert destination_of_url(found.text) == found.destination
    if found.address is not None:
        assert kind_of(found.address) is Kind.PUBLIC
    else:
        with pytest.raises(ValueError, match="does not appear"):
            ipaddress.ip_address(found.destination.host)
    assert check_url(found.text, OPEN) == found, "the one spelling stays"


@given(st.text(max_size=60) | st.text("htps:/@[].0x%?#", max_size=40))
def test_any_text_is_refused_or_public(text: str) -> None:
    try:
        found = check_url(text, OPEN)
    except UrlRefusedError:
        return
    assert found.text.startswith(("http://", "https://"))


def test_a_listed_host_opens_a_port_that_speaks_no_http_only_when_the_port_is_listed() -> None:
    assert check_url("http://odd.site:6379/", rules(hosts="odd.site:6379")).destination.port == 6379
    with pytest.raises(UrlRefusedError, match="no HTTP is spoken"):
        check_url("http://odd.site:6379/", rules(hosts="odd.site"))


@pytest.mark.parametrize(
    ("given_lists", "message"),
    [
        ({"networks": "10.0.0.0/33"}, "ROUTEIQ_SSRF_CIDR_ALLOWLIST: '10.0.0.0/33' is no network"),
        ({"networks": "10.0.0.1/8"}, "is no network"),
        ({"networks": "169.254.169.254"}, "169.254.169.254/32 is refused always"),
        ({"networks": "fe80::/64"}, "fe80::/64 is refused always"),
        ({"hosts": "http://vllm.site"}, "ROUTEIQ_SSRF_HOST_ALLOWLIST: 'http://vllm.site' is no host"),
        ({"hosts": "a b"}, "is no host"),
        ({"hosts": "vllm.site:http"}, "is no host"),
    ],
)
def test_a_list_that_is_none_is_a_mistake(given_lists: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rules(**given_lists)


def test_what_no_setting_opens_stays_closed_under_the_widest_list() -> None:
    for network in NEVER:
        for address in (network[0], network[-1]):
            assert EVERYTHING.refusal(Destination("metadata.example", 80), address) is not None
