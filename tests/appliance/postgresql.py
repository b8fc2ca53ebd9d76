"""A real PostgreSQL for tests: Debian's, installed when missing, in a folder and on a port of its own."""

import itertools
import logging
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from routeiq_appliance.cli.sealed.debian import install_packages

_LOG = logging.getLogger(__name__)
_AS_POSTGRES = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


class PostgreSQL:
    """`new_database` for each test; `stop` and `start` for those that want an outage."""

    def __init__(self, folder: Path, programs: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._folder = folder
        self._programs = programs
        self._numbers = itertools.count(1)

    def initialize(self) -> None:
        self._run("initdb", "-A", "trust", "-D", str(self._folder / "data"))

    def start(self) -> None:
        address = f"-c listen_addresses=127.0.0.1 -c port={self._port}"
        options = f"{address} -c unix_socket_directories={self._folder} -c fsync=off"
        self._control("-o", options, "start")

    def stop(self) -> None:
        self._control("-m", "immediate", "stop")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self._port}/{database}"

    def new_database(self) -> str:
        """Make an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return self.url(name)

    def _control(self, *arguments: str) -> None:
        folder = self._folder
        self._run("pg_ctl", "-D", str(folder / "data"), "-w", "-l", str(folder / "log"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*_AS_POSTGRES, str(self._programs / program), *arguments], check=True, stdout=subprocess.DEVNULL
        )


@contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """Start a server; fails, not skips, where it cannot run: a green run must mean that it ran."""
    if os.geteuid() != 0:
        raise RuntimeError(
            "these tests run PostgreSQL as the user `postgres`: they need root on a Debian 12 host"
        )
    install_packages(("postgresql",), "PostgreSQL for the end-to-end tests", say=_LOG.info)
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    folder = Path(
        tempfile.mkdtemp(prefix="routeiq-test-pg-", dir="/tmp")
    )  # short: a socket's path has a limit
    shutil.chown(folder, "postgres")
    server = PostgreSQL(folder, programs)
    server.initialize()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
