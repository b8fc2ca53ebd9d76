"""The tar loads in engines as it is: Debian's dockerd, podman and containerd, each with a root of its own (A9)."""

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.e2e.bundle import Bundle
from tests.e2e.provision import podman_environ

from routeiq_appliance.cli.sealed.process import Service

pytestmark = pytest.mark.e2e

Command = Callable[..., str]
IMAGES = ("routeiq-gateway", "routeiq-postgres", "routeiq-redis")
HARDENED = ("--rm", "--network=none", "--read-only", "--cap-drop=ALL", "--user=65532")

_CONTAINERD = """
version = 2
root = "{folder}/root"
state = "{folder}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{folder}/s.sock"
"""


def command(*prefix: str, environ: dict[str, str] | None = None) -> Command:
    """Return a caller of a program: gives its output, raises with what it said."""

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [*prefix, *arguments], env=environ, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    return call


def answers(call: Command, *arguments: str) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            call(*arguments)
        except AssertionError:
            return False
        return True

    return ready


def loaded(engine: Command) -> set[tuple[str, str]]:
    """Return the tag and ID of every image that docker or podman has; one without a tag counts too."""
    listed = engine("image", "ls", "--all", "--no-trunc", "--format={{.Repository}}:{{.Tag}} {{.ID}}")
    return {(tag, image_id) for tag, image_id in (line.split() for line in listed.splitlines())}


def image_ids(bundle: Bundle) -> set[tuple[str, str]]:
    """Return what `loaded` must give: exactly the images that `bundle.json` names."""
    return {(bundle.image(name)["tag"], bundle.image(name)["image_id"]) for name in IMAGES}


@pytest.fixture(scope="module")
def docker(scratch: Path) -> Iterator[Command]:
    """A dockerd that touches neither the host's own nor its network."""
    folder = scratch / "docker"
    folder.mkdir()
    socket = f"unix://{folder}/s.sock"
    daemon = [
        "dockerd", f"--data-root={folder}/data", f"--exec-root={folder}/exec", f"--host={socket}",
        f"--pidfile={folder}/pid", "--bridge=none", "--iptables=false", "--ip6tables=false",
    ]  # fmt: skip
    docker = command("docker", "--host", socket, environ={**os.environ, "DOCKER_CONFIG": str(folder)})
    with Service("dockerd", daemon, log=folder / "log", stop_seconds=30) as service:
        service.wait_until(answers(docker, "version"), seconds=60)
        yield docker
        # dockerd alone: it waits 15 s for its own containerd when that is stopped beside it.
        os.kill(service.pid, signal.SIGTERM)
        service.wait(seconds=30)


@pytest.fixture(scope="module")
def podman(scratch: Path) -> Command:
    return command("podman", environ=podman_environ(scratch / "podman-engine"))


@pytest.fixture(scope="module")
def ctr(scratch: Path) -> Iterator[Command]:
    """A containerd with its own root, state and socket."""
    folder = scratch / "containerd"
    folder.mkdir()
    (folder / "config.toml").write_text(_CONTAINERD.format(folder=folder), encoding="ascii")
    ctr = command("ctr", "--address", f"{folder}/s.sock")
    daemon = ["containerd", "--config", str(folder / "config.toml")]
    with Service("containerd", daemon, log=folder / "log", stop_seconds=30) as service:
        service.wait_until(answers(ctr, "version"), seconds=60)
        yield ctr


def test_docker_load(bundle: Bundle, docker: Command) -> None:
    said = docker("load", "--input", str(bundle.tar))
    for name in IMAGES:
        assert f"Loaded image: {bundle.image(name)['tag']}" in said
    # Docker knows an image by its configuration; it makes manifests of its own.
    assert loaded(docker) == image_ids(bundle)
    gateway = bundle.image("routeiq-gateway")["tag"]
    assert docker("run", *HARDENED, gateway, "--version").startswith("routeiq, version ")


def test_podman_load(bundle: Bundle, podman: Command) -> None:
    podman("load", "--quiet", "--input", str(bundle.tar))
    assert loaded(podman) == image_ids(bundle)
    gateway = bundle.image("routeiq-gateway")["tag"]
    assert podman("run", *HARDENED, gateway, "--version").startswith("routeiq, version ")


def test_ctr_images_import(bundle: Bundle, ctr: Command) -> None:
    ctr("images", "import", str(bundle.tar))
    listed = {line.split()[0]: line.split()[2] for line in ctr("images", "ls").splitlines()[1:]}
    # containerd keeps the manifests as they are; charts, models and SBOMs are not taken for images.
    assert listed == {bundle.image(name)["tag"]: bundle.image(name)["digest"] for name in IMAGES}


@pytest.mark.parametrize("name", IMAGES)
def test_skopeo_copies_the_same_image(bundle: Bundle, tmp_path: Path, name: str) -> None:
    image = bundle.image(name)
    command("skopeo")(
        "copy", "--preserve-digests", f"oci-archive:{bundle.tar}:{image['tag']}", f"dir:{tmp_path}"
    )
    copied = (tmp_path / "manifest.json").read_bytes()
    assert f"sha256:{hashlib.sha256(copied).hexdigest()}" == image["digest"]
    # skopeo checks each blob against the manifest; dir: names it by its digest.
    document = json.loads(copied)
    for blob in (document["config"], *document["layers"]):
        assert (tmp_path / blob["digest"].removeprefix("sha256:")).stat().st_size == blob["size"]
