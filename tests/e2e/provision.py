"""The real engines that the end-to-end tests drive: from Debian, installed when missing, in folders of their own.

podman's configuration and storage lie in a temporary folder, named by environment variables, so that the host's own
are neither read nor changed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from routeiq_appliance.cli.sealed.debian import install_packages

PACKAGES = (
    "catatonit", "chromium-headless-shell", "containerd", "curl", "docker-registry", "docker.io", "fonts-dejavu-core",
    "fonts-inter", "iproute2", "nftables", "openssl", "podman", "runc", "skopeo", "util-linux",
)  # fmt: skip

# runc, and limits that a container of the build host may set: podman 4.3's own defaults fail in nested containers.
_CONTAINERS_CONF = """
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
_STORAGE_CONF = """
[storage]
driver = "{driver}"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


def require_host() -> None:
    """Fail, not skip, where these tests cannot run: a green run must mean that they ran."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise RuntimeError(
            "end-to-end tests start containers and namespaces: they need root on a Debian 12 host"
        )
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    install_packages(PACKAGES, "engines for the end-to-end tests", say=_say)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def podman_environ(folder: Path) -> dict[str, str]:
    """Return the environment that makes podman live in `folder`; overlay where the kernel has it, else copies."""
    folder.mkdir(parents=True)
    (folder / "containers.conf").write_text(_CONTAINERS_CONF, encoding="ascii")
    environ = {
        **os.environ,
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
    }
    for driver in ("overlay", "vfs"):
        (folder / "storage.conf").write_text(
            _STORAGE_CONF.format(driver=driver, folder=folder), encoding="ascii"
        )
        done = subprocess.run(["podman", "info"], env=environ, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return environ
        shutil.rmtree(folder / "storage", ignore_errors=True)
    raise RuntimeError(f"podman does not work on this host: {done.stderr.strip()}")
