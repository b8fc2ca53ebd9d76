import asyncio
import socket
import subprocess
import sys
import textwrap

import pytest

from routeiq_appliance.egress.destinations import Destination, Destinations
from routeiq_appliance.egress.guard import DialRefusedError, Guard, GuardedLoop


def test_the_audit_hook_denies_an_unlisted_dial() -> None:  # A11
    guard = Guard(Destinations([Destination("127.0.0.1", 9)]), sealed=True)
    with pytest.raises(
        DialRefusedError, match=r"connect 192\.0\.2\.1:443: not a destination of the configuration"
    ):
        guard.audit("socket.connect", (None, ("192.0.2.1", 443)))
    with pytest.raises(DialRefusedError, match=r"look-up raw\.githubusercontent\.com"):
        guard.audit("socket.getaddrinfo", ("raw.githubusercontent.com", 443, 0, 0, 0))
    with pytest.raises(DialRefusedError, match="look-up"):
        guard.audit("socket.gethostbyname", ("example.org",))
    guard.audit("socket.connect", (None, ("127.0.0.1", 9)))
    guard.audit("socket.connect", (None, "/run/socket"))
    guard.audit("open", ("x",))
    assert guard.total == 3


def test_open_mode_records_without_refusing() -> None:
    guard = Guard(Destinations([]), sealed=False)
    guard.audit("socket.connect", (None, ("192.0.2.1", 443)))
    assert guard.refused == {"connect 192.0.2.1:443": 1}


def test_a_configured_name_resolved_by_blocking_code_may_be_dialled() -> None:
    guard = Guard(Destinations([Destination("localhost", 9)]), sealed=True)
    guard.audit("socket.getaddrinfo", ("localhost", 9, 0, 0, 0))
    guard.audit("socket.connect", (None, ("127.0.0.1", 9)))
    assert guard.total == 0


def test_the_event_loop_denies_an_unlisted_dial_and_lets_a_listed_one_through() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    guard = Guard(Destinations([Destination("localhost", port)]), sealed=True)

    async def dial() -> None:
        loop = asyncio.get_running_loop()
        _, writer = await asyncio.open_connection("localhost", port)
        writer.close()
        await writer.wait_closed()
        await loop.getaddrinfo("localhost", port)
        plain = socket.socket()
        plain.setblocking(False)
        await loop.sock_connect(plain, ("127.0.0.1", port))
        plain.close()
        with pytest.raises(DialRefusedError):
            await asyncio.open_connection("127.0.0.2", port)
        with pytest.raises(DialRefusedError):
            await loop.getaddrinfo("example.org", 443)
        other = socket.socket()
        other.setblocking(False)
        with pytest.raises(DialRefusedError):
            await loop.sock_connect(other, ("127.0.0.2", port))
        other.close()
        with pytest.raises(DialRefusedError):
            await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("192.0.2.1", 53))

    with listener, asyncio.Runner(loop_factory=lambda: GuardedLoop(guard)) as runner:
        runner.run(dial())
    assert guard.total == 4


_WATCHED = """
    import os, sys
    from routeiq_appliance.egress import switches
    switches.apply(os.environ)
    seen = []
    # sys.stderr, not an exception: libraries swallow those.
    sys.addaudithook(lambda event, args: seen.append((event, str(args))) if event.startswith("socket.") and event not in
        ("socket.__new__", "socket.bind") else None)
    import asyncio, warnings
    warnings.simplefilter("ignore")
    import litellm, onnxruntime
    from routeiq_appliance.limits import DEFAULT_LIMITS
    from routeiq_appliance.upstreams.litellm import LitellmUpstream
    LitellmUpstream(DEFAULT_LIMITS)

    async def use():
        for model in ("openai/llama-3-8b", "openai/mistral-7b", "openai/command-r", "openai/claude-3"):
            await litellm.acompletion(model=model, messages=[{"role": "user", "content": "x"}], mock_response="y")
            chunks = await litellm.acompletion(
                model=model, messages=[{"role": "user", "content": "x"}], mock_response="y", stream=True,
                stream_options={"include_usage": True})
            async for _ in chunks:
                pass

    asyncio.run(use())
    print(seen)
"""


def test_importing_and_using_the_libraries_looks_up_nobody() -> None:  # A11, A5
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_WATCHED)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
