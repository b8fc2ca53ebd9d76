"""An air-gapped site on one machine: a sealed network, podman in it, packet counters on its only wire."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from routeiq_appliance.cli.demo.stack import CANARIES
from routeiq_appliance.cli.sealed.network import SealedNetwork, open_sealed
from routeiq_appliance.cli.sealed.process import Service
from routeiq_appliance.cli.sealed.sensor import Sensor

# What every container of ours must be content with (A14).
HARDENED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")

_REGISTRY = """
version: 0.1
storage:
  filesystem: {{rootdirectory: {folder}}}
http: {{addr: "127.0.0.1:{port}"}}
log: {{level: warn}}
"""


@dataclass
class Site:
    """Commands run inside the sealed network, and podman with its own storage."""

    network: SealedNetwork
    sensor: Sensor
    folder: Path
    environ: Mapping[str, str]
    containers: list[str] = field(default_factory=list)

    def run(
        self,
        *command: str,
        check: bool = True,
        seconds: float = 120,
        environ: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the site; a failure shows what it said."""
        done = subprocess.run(
            self.network.sealed.enter(command),
            env={**self.environ, **(environ or {})},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def podman(self, *command: str, check: bool = True, seconds: float = 120) -> str:
        """Run podman and return its output without the last newline."""
        return self.run("podman", *command, check=check, seconds=seconds).stdout.strip()

    def start(self, name: str, image: str, *arguments: str, options: Sequence[str] = ()) -> None:
        """Start a hardened container on the site's network."""
        self.containers.append(name)
        self.podman(
            "run", "--detach", "--name", name, "--network=host", *HARDENED, *options, image, *arguments
        )

    def logs(self, name: str) -> str:
        """Return what a container wrote, both streams."""
        done = self.run("podman", "logs", name, check=False)
        return done.stdout + done.stderr

    def wait_healthy(self, name: str, check: Sequence[str], *, seconds: float = 60) -> float:
        """Run a health check in the container until it passes; returns the seconds.

        `check` is the image's own. podman keeps it only when it loads a docker archive, not when it pulls.
        """

        def passes() -> bool:
            return self.run("podman", "exec", name, *check, check=False).returncode == 0

        return self.wait_until(passes, name, seconds=seconds)

    def wait_until(self, ready: Callable[[], bool], name: str, *, seconds: float = 60) -> float:
        """Wait for a condition about a container, showing its log when it does not come true."""
        started = time.monotonic()
        while not ready():
            state = self.podman("inspect", "--format={{.State.Status}}", name)
            late = time.monotonic() - started > seconds
            if late or state == "exited":
                raise AssertionError(f"{name}: {state}, not ready in {seconds} s\n{self.logs(name)}")
            time.sleep(0.1)
        return time.monotonic() - started

    def http(self, method: str, url: str, body: Any = None, *, key: str = "") -> tuple[int, Any]:
        """Call an HTTP API from inside; returns status and JSON (or text). No answer is status 0."""
        command = [
            "curl",
            "--silent",
            "--max-time",
            "60",
            "--request",
            method,
            "--write-out",
            "\n%{http_code}",
            url,
        ]
        if key:
            command += ["--header", f"Authorization: Bearer {key}"]
        if body is not None:
            command += ["--header", "Content-Type: application/json", "--data", json.dumps(body)]
        text, _, status = self.run(*command, check=False).stdout.rpartition("\n")
        try:
            return int(status), json.loads(text)
        except ValueError:
            return int(status), text

    @contextmanager
    def registry(self, port: int = 5000) -> Iterator[str]:
        """Serve a real, empty registry (docker-registry) on the site; yields HOST:PORT."""
        folder = self.folder / f"registry-{port}"
        folder.mkdir()
        config = folder / "config.yml"
        config.write_text(_REGISTRY.format(folder=folder / "data", port=port), encoding="ascii")
        command = self.network.sealed.confine(["docker-registry", "serve", str(config)])
        environ = {**self.environ, "OTEL_TRACES_EXPORTER": "none"}
        with Service("docker-registry", command, log=folder / "log", environ=environ) as service:
            address = f"127.0.0.1:{port}"
            service.wait_until(lambda: self.http("GET", f"http://{address}/v2/")[0] == 200, seconds=20)
            yield address

    def clean(self) -> None:
        """Remove every container that was started, and its volumes."""
        if self.containers:
            self.run("podman", "rm", "--force", "--time=0", "--volumes", *self.containers, check=False)
        self.containers.clear()


@contextmanager
def open_site(folder: Path, environ: Mapping[str, str]) -> Iterator[Site]:
    """Make a site with its counters at zero; containers and network are gone when the block ends."""
    folder.mkdir(parents=True)
    with open_sealed(folder) as network:
        site = Site(network, Sensor(network, canaries=CANARIES), folder, environ)
        try:
            yield site
        finally:
            site.clean()
