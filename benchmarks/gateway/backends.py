"""Real PostgreSQL and Redis, Debian's, for one run: in a temporary folder, on free ports, on the load's core.

PostgreSQL runs with its defaults (fsync on). Installed with apt when missing; needs root for that, and to run as the
user `postgres`.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from benchmarks.gateway.machine import LOAD_CORE, pin

from routeiq_appliance.cli.demo.stack import free_port
from routeiq_appliance.cli.sealed.debian import install_packages
from routeiq_appliance.cli.sealed.process import Service

__all__ = ["Backends", "running_backends"]

_AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
_READY_SECONDS = 30.0


@dataclass(frozen=True)
class Backends:
    """Addresses of both, and the processes whose CPU is counted apart from the gateway's."""

    database_url: str
    redis_url: str
    pids: tuple[int, ...]


@contextmanager
def running_backends() -> Iterator[Backends]:
    """Start both with an empty database; stop them and remove the folder at the end."""
    if os.geteuid() != 0:
        raise RuntimeError("PostgreSQL runs as the user `postgres`: this part needs root on a Debian 12 host")
    install_packages(
        ("postgresql", "redis-server"),
        "backends for the benchmark",
        say=lambda line: print(line, file=sys.stderr),
    )
    # Short and outside the checkout: a socket's path has a limit, and `postgres` must get there.
    folder = Path(tempfile.mkdtemp(prefix="riq-bench-", dir="/tmp"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        url, postgres = _start_postgresql(folder, stack)
        redis_url, redis_pid = _start_redis(folder, stack)
        yield Backends(url, redis_url, (postgres, redis_pid))


def _start_postgresql(folder: Path, stack: ExitStack) -> tuple[str, int]:
    programs, port, data = max(Path("/usr/lib/postgresql").glob("*/bin")), free_port(), folder / "pg" / "data"
    data.parent.mkdir()
    shutil.chown(data.parent, "postgres")
    subprocess.run(
        [*_AS_POSTGRES, programs / "initdb", "-A", "trust", "-D", data], check=True, capture_output=True
    )
    options = [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"port={port}",
        "-c",
        f"unix_socket_directories={data.parent}",
    ]
    command = [*pin(LOAD_CORE), *_AS_POSTGRES, str(programs / "postgres"), "-D", str(data), *options]
    service = stack.enter_context(Service("PostgreSQL", command, log=folder / "pg.log"))
    url = f"postgresql://postgres@127.0.0.1:{port}"

    def ready() -> bool:
        try:
            with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE bench")
        except psycopg.OperationalError:
            return False
        return True

    service.wait_until(ready, seconds=_READY_SECONDS)
    return f"{url}/bench", service.pid


def _start_redis(folder: Path, stack: ExitStack) -> tuple[str, int]:
    port = free_port()
    # No snapshots in a short run; `noeviction` as for state (docs), the append-only file as it is delivered: off.
    command = [
        *pin(LOAD_CORE), "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder),
        "--maxmemory-policy", "noeviction",
    ]  # fmt: skip
    service = stack.enter_context(Service("Redis", command, log=folder / "redis.log"))

    def ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    service.wait_until(ready, seconds=_READY_SECONDS)
    return f"redis://127.0.0.1:{port}/0", service.pid
