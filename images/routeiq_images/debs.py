"""Debian packages as trees: their files without documentation, and what a scanner wants to know of them.

No maintainer script runs; what those would have made, `rootfs` makes. Each package leaves its control data in
/var/lib/dpkg/status.d and its copyright file (the form that Trivy, Grype and Syft read in distroless images).
"""

import fnmatch
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.errors import ImagesError
from routeiq_images.tree import Tree

__all__ = ["DebContent", "read_deb"]

# Never of use in a container; copyright files and what a definition keeps are exempt.
_DROPPED = (
    "usr/share/doc/*",
    "usr/share/doc-base/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/lintian/*",
    "usr/share/bash-completion/*",
    "usr/share/bug/*",
    "usr/share/linda/*",
    "usr/share/python3/*",
    "usr/share/applications/*",
    "usr/share/pixmaps/*",
    "usr/share/debconf/*",
    "usr/share/initramfs-tools/*",
    "usr/lib/systemd/*",
    "lib/systemd/*",
    "etc/init.d/*",
    "etc/default/*",
    "etc/logrotate.d/*",
    "etc/cron*",
    "etc/kernel/*",
    "usr/lib/tmpfiles.d/*",
    "usr/lib/sysusers.d/*",
    "etc/apparmor.d/*",
    "etc/ufw/*",
)


@dataclass(frozen=True)
class DebContent:
    """One package: name, version, source package, licence-bearing control text, files, and the .deb's bytes."""

    name: str
    version: str
    source: str
    control: bytes
    tree: Tree
    size: int


def read_deb(path: Path, name: str, drop: Sequence[str]) -> DebContent:
    """Read the package `name` from `path`, leaving out paths that match `drop` (fnmatch) and documentation.

    Raises `ImagesError` for what is no .deb, holds set-user-ID files that `drop` leaves in, or special files.
    """
    from debian.arfile import ArError  # noqa: PLC0415  only the build host has it
    from debian.debfile import DebError, DebFile  # noqa: PLC0415

    try:
        with DebFile(filename=str(path)) as deb:
            control = deb.control.get_content("control")
            fields = deb.debcontrol()
            tree = Tree()
            with deb.data.tgz() as data:
                for member in data:
                    _add(tree, data, member, drop)
    except (DebError, ArError, tarfile.TarError, OSError, KeyError) as error:
        raise ImagesError(f"{name}: {path.name} is no Debian package: {error}", subject=name) from error
    if fields["Package"] != name:
        raise ImagesError(f"{name}: {path.name} holds the package {fields['Package']}", subject=name)
    tree.file(f"var/lib/dpkg/status.d/{name}", control)
    source = str(fields.get("Source", name)).partition(" ")[0]
    return DebContent(name, str(fields["Version"]), source, control, tree, path.stat().st_size)


def _add(tree: Tree, data: tarfile.TarFile, member: tarfile.TarInfo, drop: Sequence[str]) -> None:
    path = re.sub(r"^(\./)?", "", member.name).strip("/")
    kept = bool(re.fullmatch(r"usr/share/doc/[^/]+/copyright", path))
    if not kept and any(fnmatch.fnmatchcase(path, pattern) for pattern in (*_DROPPED, *drop)):
        return
    if member.isdir():
        # Only directories with a mode of their own; the rest come with their files.
        if member.mode & 0o7777 != 0o755:
            tree.directory(path, member.mode & 0o1777)
    elif member.issym():
        tree.link(path, member.linkname)
    elif member.islnk():
        tree.link(path, "/" + re.sub(r"^(\./)?", "", member.linkname))
    elif member.isfile():
        file = data.extractfile(member)
        content = file.read() if file else b""
        if member.mode & 0o6000:
            raise ImagesError(f"{path}: is set-user-ID; leave it out in the image's definition", subject=path)
        tree.file(path, content, 0o755 if member.mode & 0o100 else 0o644)
    else:
        raise ImagesError(f"{path}: a special file has no place in an image", subject=path)
