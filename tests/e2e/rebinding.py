"""Program of `test_ssrf_rebinding`: in network and mount namespaces of its own, a DNS server that changes its mind.

Every name is what `Zone.addresses` says at that moment. A server that may be called listens on a public address, others
(the victims) on loopback, a private and the metadata address. Prints one JSON object: check → what came out.
"""

import asyncio
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from routeiq_appliance.egress import switches
from routeiq_appliance.egress.destinations import Destination, Destinations
from routeiq_appliance.egress.given import GIVEN, GivenDials
from routeiq_appliance.egress.guard import Guard, GuardedLoop
from routeiq_appliance.egress.ssrf import parse_rules
from routeiq_appliance.egress.ssrf_resolver import accept_url
from routeiq_appliance.errors import CallError, UrlRefusedError
from routeiq_appliance.limits import DEFAULT_LIMITS
from routeiq_appliance.pipeline.types import Call, Deployment
from routeiq_appliance.upstreams.direct import DirectUpstream
from routeiq_appliance.upstreams.litellm import LitellmUpstream

PUBLIC, VICTIMS = "93.184.216.34", ("127.0.0.1", "10.66.0.1", "169.254.169.254")
PORT = 8000
NAMESERVER = "127.0.0.53"
ANSWER = {
    "id": "u", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}  # fmt: skip


class Zone:
    """What the DNS server answers for every name; no answer is cached."""

    def __init__(self) -> None:
        self.addresses: list[str] = [PUBLIC]
        self.asked = 0

    def serve(self) -> None:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind((NAMESERVER, 53))
        threading.Thread(target=self._answer, args=(server,), daemon=True).start()

    def _answer(self, server: socket.socket) -> None:
        while True:
            query, sender = server.recvfrom(512)
            self.asked += 1
            end = query.index(b"\0", 12) + 5
            (kind,) = struct.unpack("!H", query[end - 4 : end - 2])
            found = self.addresses if kind == 1 else []
            head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
            records = [
                b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 0, 4) + socket.inet_aton(item) for item in found
            ]
            server.sendto(head + query[12:end] + b"".join(records), sender)


class Handler(BaseHTTPRequestHandler):
    """Answers a chat; where it is told to, it redirects instead."""

    protocol_version = "HTTP/1.1"
    hits: ClassVar[Counter[str]] = Counter()
    redirect: ClassVar[str | None] = None

    def do_POST(self) -> None:
        """See http.server."""
        here = self.server.server_address[0]
        type(self).hits[str(here)] += 1
        self.rfile.read(int(self.headers.get("content-length") or 0))
        if here == PUBLIC and type(self).redirect:
            self.send_response(307)
            self.send_header("location", type(self).redirect)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        data = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


def prepare() -> Zone:
    """Make the site: addresses, servers, the resolver's configuration."""
    for command in (
        ["ip", "link", "set", "lo", "up"],
        *(["ip", "address", "add", f"{item}/32", "dev", "lo"] for item in (PUBLIC, *VICTIMS[1:])),
    ):
        subprocess.run(command, check=True)
    resolver = Path(sys.argv[1]) / "resolv.conf"
    resolver.write_text(f"nameserver {NAMESERVER}\noptions timeout:1 attempts:1\n", encoding="ascii")
    subprocess.run(["mount", "--bind", str(resolver), str(Path("/etc/resolv.conf").resolve())], check=True)
    zone = Zone()
    zone.serve()
    for address in (PUBLIC, *VICTIMS):
        server = ThreadingHTTPServer((address, PORT), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return zone


def deployment(host: str, *, model: str = "m", provider: str = "openai", given: bool = True) -> Deployment:
    """Return one whose address a user gave."""
    destination = Destination(host, PORT)
    prefixed = f"{provider}/{model}"
    return Deployment(
        id=f"{host}-{provider}-{given}", group="g", mode=None, destination=destination, upstream="direct",
        params={"model": prefixed, "api_base": f"http://{destination}/v1", "api_key": "sk-user"},
        provider=provider, model=model, connect_timeout=3, timeout=10, first_token_timeout=10, stream_timeout=10,
        retries=0, given=destination if given else None,
    )  # fmt: skip


async def checks(zone: Zone, guard: Guard) -> dict[str, Any]:
    """Run them; each says `answered`, or the error that it ended with, and the victims' hits so far."""
    found: dict[str, Any] = {}
    direct, library = DirectUpstream(DEFAULT_LIMITS), LitellmUpstream(DEFAULT_LIMITS)
    call = Call(
        id="c", kind="chat", asked="g", params={"messages": [{"role": "user", "content": "x"}], "max_tokens": 1},
        extra={}, stream=False, include_usage=False, prompt="", request_bytes=1, started_at=datetime.now(UTC),
    )  # fmt: skip

    async def one(name: str, upstream: Any, target: Deployment) -> None:
        async def run() -> str:
            GIVEN.set(target.given)
            try:
                await upstream.complete(target, call, {})
            except CallError as error:
                return str(error)
            return "answered"

        outcome = await asyncio.create_task(run())
        hits = {item: Handler.hits[item] for item in VICTIMS}
        found[name] = {"outcome": outcome, "victims": sum(hits.values())}

    async def accepted(name: str, host: str) -> None:
        try:
            await accept_url(f"http://{host}:{PORT}/v1", guard.given.rules)
        except UrlRefusedError as error:
            found[name] = {"outcome": str(error)}
        else:
            found[name] = {"outcome": "accepted"}

    await accepted("accepted while it is public", "rebind.example")
    await one("called while it is public", direct, deployment("calm.example"))
    for number, victim in enumerate(VICTIMS):
        zone.addresses = [victim]
        await accepted(f"accepted as {victim}", "rebind.example")
        for kind, upstream, provider in (
            ("direct", direct, "openai"), ("library", library, "openai"), ("library", library, "anthropic"),
        ):  # fmt: skip
            target = deployment(f"rebind-{number}.example", provider=provider)
            await one(f"{kind} {provider} rebound to {victim}", upstream, target)
    zone.addresses = [VICTIMS[0], PUBLIC, VICTIMS[2]]
    await one("of several addresses the allowed one is dialled", direct, deployment("several.example"))
    zone.addresses = [PUBLIC]
    for target in (
        f"http://127.0.0.1:{PORT}/",
        f"http://169.254.169.254:{PORT}/latest",
        "http://other.example:8000/",
    ):
        Handler.redirect = target
        for kind, upstream, provider in (
            ("direct", direct, "openai"), ("library", library, "openai"), ("library", library, "anthropic"),
        ):  # fmt: skip
            await one(
                f"{kind} {provider} redirected to {target}",
                upstream,
                deployment("calm.example", provider=provider),
            )
    # A connection of the operator's own that is kept open must not be what a redirect goes over.
    Handler.redirect = None
    own = deployment("127.0.0.1", provider="anthropic", given=False)
    await one("the operator's own address is called as before", library, own)
    before = Handler.hits["127.0.0.1"]
    Handler.redirect = f"http://127.0.0.1:{PORT}/v1/v1/messages"
    await one(
        "library redirected to a kept connection", library, deployment("calm.example", provider="anthropic")
    )
    found["library redirected to a kept connection"]["victims"] = Handler.hits["127.0.0.1"] - before
    await direct.close()
    await library.close()
    return found


def main() -> None:
    """Run in the namespaces that the test made."""
    switches.apply(os.environ)
    zone = prepare()
    rules = parse_rules(sealed=False, allow_private=False, hosts="", networks="")
    guard = Guard(Destinations([]), sealed=False, given=GivenDials(rules))
    guard.watch_process()
    with asyncio.Runner(loop_factory=lambda: GuardedLoop(guard)) as runner:
        found = runner.run(checks(zone, guard))
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
