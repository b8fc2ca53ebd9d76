"""Runs apt against the host's sources with folders of our own: no root, an empty status, nothing installed.

apt brings the mirror, the proxy and the archive's signatures; none of these is known here. Options go on the
command line, because files under /etc/apt win over a configuration file of ours. The suite's own releases
are pinned above everything else that the host may have configured (backports, third parties).
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.debs.lock import LockedDeb
from routeiq_vendor.debs.records import Record, read_records, read_simulation
from routeiq_vendor.errors import DownloadError
from routeiq_vendor.limits import LIMITS

__all__ = ["Apt"]

_POLL = 0.2  # seconds between two looks at what has arrived


def _reason(said: str) -> str:
    return next((line[3:] for line in said.splitlines() if line.startswith("E: ")), "failed without a reason")


class Apt:
    """apt-get and apt-cache for one suite; state lives in `folder`. `sources` replaces the host's sources."""

    def __init__(self, folder: Path, *, suite: str, arch: str, sources: Path | None = None) -> None:
        self._folder = folder
        self._suite = suite
        self._arch = arch
        self._sources = sources

    def _options(self) -> list[str]:
        folder = self._folder
        for name in ("lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "status").touch()
        pins = "".join(
            f"Package: *\nPin: release o=Debian,n={codename}\nPin-Priority: 990\n\n"
            for codename in (self._suite, f"{self._suite}-updates", f"{self._suite}-security")
        )
        (folder / "preferences").write_text(pins, encoding="ascii")
        options = {
            "Dir::State": folder,
            "Dir::State::lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::preferences": folder / "preferences",
            "Dir::Etc::preferencesparts": "/dev/null",
            "APT::Architecture": self._arch,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",  # our folders need not be readable by apt's own user
            "Acquire::Languages": "none",
            "Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled": "false",
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled": "false",
        }
        if self._sources:
            options |= {"Dir::Etc::sourcelist": self._sources, "Dir::Etc::sourceparts": "/dev/null"}
        return [part for key, value in options.items() for part in ("-o", f"{key}={value}")]

    def _run(self, tool: str, *arguments: str, unsure: bool = False) -> str:
        path = shutil.which(tool)
        if path is None:
            raise DownloadError(f"{tool}: not found", subject=tool, hint="the build host must be Debian 12")
        done = subprocess.run(
            [path, *self._options(), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0 and not unsure:
            raise DownloadError(f"{tool} {arguments[0]}: {_reason(done.stderr)}", subject=tool)
        if len(done.stdout) > LIMITS.tool_output:
            raise DownloadError(f"{tool} {arguments[0]}: too much output", subject=tool)
        return done.stdout

    def update(self, progress: Progress) -> None:
        """Refresh the package lists (9 MB when there are none)."""
        with progress.task(f"Debian package lists ({self._suite})", 1, "update") as advance:
            self._run("apt-get", "update")
            advance(1)

    def simulate(self, roots: Iterable[str]) -> dict[str, str]:
        """Return name → version of all that installing the roots on an empty system would bring."""
        return read_simulation(self._run("apt-get", "--simulate", "install", *roots))

    def show(self, versions: Mapping[str, str]) -> dict[str, Record]:
        """Return the records of these exact versions; what the lists do not know is left out."""
        if not versions:
            return {}
        # Every version of each name: an older one may still be offered beside the newest.
        text = self._run(
            "apt-cache", "show", *sorted(versions), unsure=True
        )  # fails when it knows none of them
        records: dict[str, Record] = {}
        for record in read_records(text):
            if versions.get(record.name) == record.deb.version:
                records.setdefault(record.name, record)
        return records

    def download(self, debs: Mapping[str, LockedDeb], into: Path, progress: Progress) -> None:
        """Fetch `name=version` of each into the folder; the caller checks the digests."""
        into.mkdir(parents=True, exist_ok=True)
        total = sum(deb.size for deb in debs.values())
        names = [f"{name}={deb.version}" for name, deb in sorted(debs.items())]
        with (
            progress.task(f"{len(names)} Debian packages", total) as advance,
            tempfile.TemporaryFile() as errors,
        ):
            process = subprocess.Popen(
                ["apt-get", *self._options(), "--quiet=2", "download", *names],
                cwd=into,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
            arrived = 0
            running = True
            while running:
                try:
                    process.wait(_POLL)
                    running = False
                except subprocess.TimeoutExpired:
                    pass
                now = sum(path.stat().st_size for path in into.rglob("*") if path.is_file())
                advance(now - arrived)
                arrived = now
            errors.seek(0)
            said = errors.read(LIMITS.tool_output).decode(errors="replace")
        if process.returncode != 0:
            raise DownloadError(
                f"apt-get download: {_reason(said)}", hint="check apt's sources and the network"
            )
