import socket
import threading

import pytest

from routeiq_appliance.egress.canaries import dial_tcp, require_silence, try_canaries
from routeiq_appliance.egress.destinations import Destination
from routeiq_appliance.errors import EgressError


def test_a_canary_that_answers_refuses_the_start_and_says_what_to_do() -> None:  # A11
    with socket.create_server(("127.0.0.1", 0)) as listener:
        canary = Destination("127.0.0.1", listener.getsockname()[1])
        report = try_canaries([canary], seconds=2)
    assert report.answered == (canary,)
    with pytest.raises(EgressError, match=rf"egress: sealed, but the outside answers: {canary}") as caught:
        require_silence(report)
    assert "`routeiq.egress: open`" in str(caught.value.hint)


def test_silence_is_what_a_sealed_site_looks_like() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        assert not dial_tcp(Destination("127.0.0.1", unheard.getsockname()[1]), 1)
    assert not dial_tcp(Destination("no-such-name.invalid", 443), 1)
    require_silence(try_canaries([], seconds=1))


def test_a_hanging_canary_does_not_hold_the_start() -> None:
    release = threading.Event()
    report = try_canaries(
        [Destination("a", 1), Destination("b", 2)],
        seconds=0.05,
        dial=lambda _d, _s: release.wait(30) and False,
    )
    release.set()
    assert report.answered == ()
    assert report.seconds < 10
