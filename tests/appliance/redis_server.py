"""A real Redis for tests: Debian's, installed when missing, in memory, on a port of its own."""

import logging
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from routeiq_appliance.cli.sealed.debian import install_packages

_LOG = logging.getLogger(__name__)


class RedisServer:
    """`kill` and `start` for an outage that loses all data, `freeze` and `thaw` for one that loses none."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
             "--daemonize", "no", *options],
            stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"Ready to accept connections" in line:
                return
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def cli(self, *arguments: str) -> str:
        """Return what `redis-cli` prints."""
        done = subprocess.run(
            ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), *arguments],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """Start a server; fails, not skips, where it cannot run: a green run must mean that it ran."""
    install_packages(("redis-server", "redis-tools"), "Redis for the end-to-end tests", say=_LOG.info)
    server = RedisServer()
    server.start(*options)
    try:
        yield server
    finally:
        server.kill()
