"""Installs what a sealed network or a test needs from Debian, saying so first; without root it says what to type."""

import os
import shutil
import subprocess
from collections.abc import Callable, Collection

from routeiq_appliance.cli.sealed.errors import SealError

__all__ = ["install_packages", "is_installed"]


def is_installed(package: str) -> bool:
    """Tell whether a Debian package is installed."""
    done = subprocess.run(
        ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout == "installed"


def install_packages(packages: Collection[str], why: str, *, say: Callable[[str], None]) -> None:
    """Install the packages that are missing; raises `SealError` without apt or root, or with apt's last word."""
    if not packages:
        return
    apt = shutil.which("apt-get") and shutil.which("dpkg-query")
    missing = sorted(package for package in packages if not (apt and is_installed(package)))
    if not missing:
        return
    names = " ".join(missing)
    if not apt:
        raise SealError(
            f"{why}: not installed: {names}", hint="install them with this host's package manager"
        )
    if os.geteuid() != 0:
        raise SealError(f"{why}: not installed: {names}", hint=f"sudo apt-get install {names}")
    say(f"{why}: installing with apt: {names}")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for step in (["update"], ["install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", "-qq", *step], env=environ, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise SealError(f"apt-get {step[0]}: {said}", hint=f"install by hand: {names}")
