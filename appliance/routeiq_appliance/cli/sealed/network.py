"""Two network namespaces and one wire: `sealed`, where things run, and `outside`, where every packet arrives and ends.

`outside` is the default gateway of `sealed` and forwards nothing, so a packet for the internet has a way to leave, is
counted at both ends of the wire (see `sensor`) and dies. That makes zero a measurement: without a route nothing would
leave however much was tried. Unlike a silent interface, this also behaves as an air-gapped site does: dials time out.

What would let a process around the count is closed: IPv6 is off, neighbours are fixed (no ARP of our own), and the
look-ups that reach the host's resolver over loopback or Unix sockets are turned to an address that lies outside.

A namespace lives as long as its keeper, a process that waits for the end of its input: when this program dies, however
it dies, the kernel closes the pipe, the keepers end and the namespaces are gone. Nothing is named, nothing is left.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from routeiq_appliance.cli.sealed.errors import SealError

__all__ = [
    "OUTSIDE_ADDRESS",
    "OUTSIDE_LINK",
    "SEALED_LINK",
    "Namespace",
    "SealedNetwork",
    "missing_tools",
    "open_sealed",
]

# RFC 5737: addresses for documentation, which no site routes.
OUTSIDE_ADDRESS = "192.0.2.1"
SEALED_ADDRESS = "192.0.2.2"
RESOLVER = "192.0.2.53"
OUTSIDE_LINK = "outside0"
SEALED_LINK = "sealed0"
_OUTSIDE_MAC = "02:00:00:00:00:01"
_SEALED_MAC = "02:00:00:00:00:02"

# What a process inside may still do as root: read and write the files of whoever owns the checkout. Not: change the
# network, or enter another namespace.
_BOUNDS = "-all,+dac_override,+dac_read_search"

_KEEPER = "echo ready; exec cat"
_TOOLS = {
    "ip": "iproute2",
    "nft": "nftables",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}


def missing_tools() -> list[str]:
    """Return the Debian packages of the tools that are not on PATH, sorted."""
    return sorted(
        {package for tool, package in _TOOLS.items() if shutil.which(tool, path=_search_path()) is None}
    )


def _search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@dataclass(frozen=True)
class Namespace:
    """A network namespace and its view of the file system; `pid` is its keeper's."""

    pid: int
    as_user: bool

    @property
    def path(self) -> Path:
        """The network namespace as a file: what podman's `--network ns:PATH` takes."""
        return Path(f"/proc/{self.pid}/ns/net")

    def enter(self, command: Sequence[str], *, cwd: Path | None = None) -> list[str]:
        """Return the command that runs `command` inside, with every capability over this network."""
        user = ["--user", "--preserve-credentials"] if self.as_user else []
        return [
            "nsenter",
            f"--target={self.pid}",
            *user,
            "--net",
            "--mount",
            f"--wdns={cwd or Path.cwd()}",
            *command,
        ]

    def confine(self, command: Sequence[str], *, cwd: Path | None = None) -> list[str]:
        """Return the command that runs `command` inside, unable to change the network, and ended with its parent."""
        drop = [
            "setpriv",
            "--pdeathsig=KILL",
            "--no-new-privs",
            "--inh-caps=-all",
            f"--bounding-set={_BOUNDS}",
        ]
        return self.enter([*drop, *command], cwd=cwd)

    def run(self, command: Sequence[str], *, stdin: str = "") -> str:
        """Run a tool inside and return what it printed; raises `SealError` with what it complained about."""
        done = subprocess.run(
            self.enter(command),
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": _search_path()},
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise SealError(f"{' '.join(command[:3])}: {said}", subject=command[0])
        return done.stdout


@dataclass(frozen=True)
class SealedNetwork:
    """Both ends of the wire."""

    sealed: Namespace
    outside: Namespace


@contextmanager
def open_sealed(scratch: Path) -> Iterator[SealedNetwork]:
    """Make the network; it is gone when the block ends. `scratch` holds two small files that processes inside see.

    Raises `SealError` when a tool is missing or the kernel allows this user no namespaces.
    """
    missing = missing_tools()
    if missing:
        packages = " ".join(missing)
        raise SealError(
            f"{packages}: not installed", subject=packages, hint=f"sudo apt-get install {packages}"
        )
    as_user = os.geteuid() != 0
    with ExitStack() as stack:
        first = ["unshare", *(["--user", "--map-root-user"] if as_user else []), *_UNSHARE]
        outside = Namespace(stack.enter_context(_keeper(first)), as_user)
        # Inside the same user namespace, or the two could not be wired together.
        second = outside.enter(["unshare", *_UNSHARE]) if as_user else ["unshare", *_UNSHARE]
        sealed = Namespace(stack.enter_context(_keeper(second)), as_user)
        for namespace in (outside, sealed):
            _quiet(namespace)
        _wire(outside, sealed)
        _hide_resolvers(sealed, scratch)
        yield SealedNetwork(sealed, outside)


_UNSHARE = ["--net", "--mount", "--propagation=private"]


@contextmanager
def _keeper(namespace: Sequence[str]) -> Iterator[int]:
    command = [*namespace, "sh", "-c", _KEEPER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - what PIPE means, for the type checker
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        if process.stdout.readline() != b"ready\n":
            said = process.stderr.read().decode(errors="replace").strip() or "no reason given"
            raise SealError(
                f"a network namespace: {said}",
                hint="run as root, or allow it: sysctl kernel.unprivileged_userns_clone=1",
            )
        try:
            yield process.pid
        finally:
            process.stdin.close()


def _quiet(namespace: Namespace) -> None:
    """No IPv6: it would announce itself on the wire. A kernel without it has no such file."""
    switch = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"
    off = "; ".join(f"echo 1 > {switch.format(name)}" for name in ("all", "default"))
    namespace.run(["sh", "-c", f"! [ -e {switch.format('all')} ] || {{ {off}; }}"])
    namespace.run(["ip", "link", "set", "lo", "up"])


def _wire(outside: Namespace, sealed: Namespace) -> None:
    outside.run(
        ["ip", "link", "add", OUTSIDE_LINK, "address", _OUTSIDE_MAC, "type", "veth",
         "peer", "name", SEALED_LINK, "address", _SEALED_MAC, "netns", str(sealed.pid)]
    )  # fmt: skip
    for namespace, link, address, peer, mac in (
        (outside, OUTSIDE_LINK, OUTSIDE_ADDRESS, SEALED_ADDRESS, _SEALED_MAC),
        (sealed, SEALED_LINK, SEALED_ADDRESS, OUTSIDE_ADDRESS, _OUTSIDE_MAC),
    ):
        namespace.run(["ip", "address", "add", f"{address}/30", "dev", link])
        namespace.run(["ip", "link", "set", link, "arp", "off", "up"])
        namespace.run(["ip", "neighbour", "replace", peer, "lladdr", mac, "dev", link, "nud", "permanent"])
    sealed.run(["ip", "route", "add", "default", "via", OUTSIDE_ADDRESS])


def _hide_resolvers(sealed: Namespace, scratch: Path) -> None:
    """Send every look-up over the wire: a stub on loopback or a resolver's Unix socket would not be counted."""
    resolver, switch = scratch / "resolv.conf", scratch / "nsswitch.conf"
    resolver.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:1\n", encoding="ascii")
    switch.write_text("passwd: files\ngroup: files\nhosts: files dns\n", encoding="ascii")
    for ours, theirs in ((resolver, "/etc/resolv.conf"), (switch, "/etc/nsswitch.conf")):
        sealed.run(["sh", "-c", '! [ -e "$2" ] || mount --bind "$1" "$2"', "sh", str(ours.resolve()), theirs])
    for socket in ("/run/nscd", "/run/systemd/resolve"):
        sealed.run(["sh", "-c", '! [ -d "$1" ] || mount -t tmpfs -o mode=755 none "$1"', "sh", socket])
