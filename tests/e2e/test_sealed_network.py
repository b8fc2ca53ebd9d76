"""The sealed network and its sensor: what is counted, what cannot get past, and that nothing stays behind."""

import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from routeiq_appliance.cli.sealed.errors import SealError
from routeiq_appliance.cli.sealed.forward import forward_inwards
from routeiq_appliance.cli.sealed.network import OUTSIDE_ADDRESS, SealedNetwork, open_sealed
from routeiq_appliance.cli.sealed.process import Service
from routeiq_appliance.cli.sealed.sensor import CONTROL, Sensor

pytestmark = pytest.mark.e2e

CANARY = ("198.51.100.7", 443)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def network(tmp_path: Path) -> Iterator[SealedNetwork]:
    with open_sealed(tmp_path) as network:
        yield network


def dial(network: SealedNetwork, program: str) -> str:
    """Run a line of Python inside, unprivileged; returns what it printed."""
    return subprocess.run(
        network.sealed.confine([sys.executable, "-I", "-c", f"import socket\n{program}"]),
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()


def test_silence_counts_nothing_and_every_way_out_is_counted_at_both_ends(network: SealedNetwork) -> None:
    sensor = Sensor(network)
    dial(network, "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())")
    assert sensor.read().left == 0
    for program, seen in (
        (f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'?', ('{CONTROL}', 4433))", f"{CONTROL} udp 4433"),
        (f"s = socket.socket(); s.setblocking(False); s.connect_ex(('{CONTROL}', 80))", f"{CONTROL} tcp 80"),
        (
            f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'?', ('{OUTSIDE_ADDRESS}', 9))",
            f"{OUTSIDE_ADDRESS} udp 9",
        ),
        ("socket.getaddrinfo('telemetry.invalid', 443)", "192.0.2.53 udp 53"),
    ):
        before = sensor.read()
        dial(network, program)
        after = sensor.read()
        assert after.inside.left > before.inside.left
        assert after.outside.left > before.outside.left
        assert seen in after.inside.seen
        assert seen in after.outside.seen


def test_canaries_are_counted_apart(network: SealedNetwork) -> None:
    sensor = Sensor(network, canaries=[CANARY])
    dial(network, f"s = socket.socket(); s.setblocking(False); s.connect_ex({CANARY!r})")
    assert (sensor.read().canaries, sensor.read().left) == (1, 0)
    # The same host at another port, or by another protocol, is no canary.
    dial(network, f"s = socket.socket(); s.setblocking(False); s.connect_ex(('{CANARY[0]}', 80))")
    dial(network, f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'?', {CANARY!r})")
    assert (sensor.read().canaries, sensor.read().left) == (1, 2)


def test_there_is_no_ipv6_to_leave_by(network: SealedNetwork) -> None:
    sensor = Sensor(network)
    said = dial(
        network,
        "try:\n    socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).sendto(b'?', ('2001:db8::1', 9))\n"
        "except OSError as error:\n    print(error.errno)",
    )
    assert said  # unreachable, or a kernel without IPv6: an error either way
    assert sensor.read().left == 0


def test_drop_mode_counts_inside_and_lets_nothing_onto_the_wire(network: SealedNetwork) -> None:
    sensor = Sensor(network)
    sensor.drop()
    assert sensor.control() >= 3
    assert sensor.read().outside.left == 0


def test_a_blind_sensor_is_not_believed(network: SealedNetwork) -> None:
    sensor = Sensor(network)
    network.sealed.run(["nft", "delete", "chain", "netdev", "routeiq", "wire"])
    with pytest.raises(SealError, match="the sensor is blind"):
        sensor.control()


def test_who_runs_inside_can_neither_leave_nor_change_the_network(network: SealedNetwork) -> None:
    for attempt in (
        ["nsenter", "--target=1", "--net", "true"],
        ["ip", "link", "set", "sealed0", "down"],
        ["nft", "flush", "ruleset"],
        ["umount", "/etc/resolv.conf"],
    ):
        done = subprocess.run(network.sealed.confine(attempt), capture_output=True, check=False)
        assert done.returncode != 0, attempt


def test_the_host_gets_in_and_nobody_gets_out(network: SealedNetwork, tmp_path: Path) -> None:
    sensor = Sensor(network)
    (tmp_path / "page").write_text("from inside", encoding="ascii")
    server = [
        sys.executable,
        "-I",
        "-m",
        "http.server",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(tmp_path),
        "8000",
    ]
    with (
        Service("server", network.sealed.confine(server), log=tmp_path / "server.log") as service,
        forward_inwards(network.sealed, port=0, inner_port=8000, log=tmp_path / "forward.log") as port,
        socket.create_server(("127.0.0.1", 0)) as host,
    ):

        def page() -> bytes:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=5) as answer:
                return bytes(answer.read())

        def up() -> bool:
            try:
                return bool(page())
            except OSError:
                return False

        service.wait_until(up, seconds=10)
        assert page() == b"from inside"
        # The host's own loopback is another one than theirs.
        said = dial(network, f"print(socket.socket().connect_ex(('127.0.0.1', {host.getsockname()[1]})))")
        assert said == "111"
    assert sensor.read().left == 0


OWNER = """
import sys, time
from pathlib import Path
from routeiq_appliance.cli.sealed.network import open_sealed
from routeiq_appliance.cli.sealed.process import Service
from routeiq_appliance.cli.sealed.sensor import Sensor
folder = Path(sys.argv[1])
with open_sealed(folder) as network:
    control = Sensor(network).control()
    with Service("sleeper", network.sealed.confine(["sleep", "1000"]), log=folder / "sleeper.log") as service:
        print(network.sealed.pid, network.outside.pid, service.pid, control, flush=True)
        if sys.argv[2] == "stay":
            time.sleep(1000)
"""


def test_a_killed_owner_leaves_no_namespace_and_no_process(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), "stay"], stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        pids = owner.stdout.readline().split()[:3]
        assert all(Path(f"/proc/{int(pid)}").exists() for pid in pids)
        owner.kill()
        owner.wait()
        for pid in pids:
            # Ends with its parent, whoever adopts it: wait for the kernel, not for a time.
            subprocess.run(["tail", f"--pid={int(pid)}", "--follow", "/dev/null"], timeout=20, check=True)


def test_a_user_without_privileges_can_seal_too(scratch: Path) -> None:
    # Debian's Python and copies of the modules: the checkout may lie where this user cannot look.
    home = scratch / "user"
    for package in ("signing/routeiq_signing", "appliance/routeiq_appliance"):
        shutil.copytree(
            ROOT / package, home / "lib" / Path(package).name, ignore=shutil.ignore_patterns("*.pyc")
        )
    work = home / "work"
    work.mkdir()
    for folder in (scratch, home, work):
        folder.chmod(0o755)
    shutil.chown(work, 65534, 65534)
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    allowed = subprocess.run(
        [*as_nobody, "unshare", "--user", "--net", "true"], capture_output=True, check=False
    )
    done = subprocess.run(
        [*as_nobody, "/usr/bin/python3", "-c", OWNER, str(work), "end"],
        env={
            "PYTHONPATH": str(home / "lib"),
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    if allowed.returncode == 0:
        assert done.returncode == 0, done.stderr
        assert int(done.stdout.split()[3]) >= 3
    else:
        # This kernel forbids it to users: it must say so, and what would help.
        assert "SealError: a network namespace" in done.stderr
