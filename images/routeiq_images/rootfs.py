"""What maintainer scripts would have made: the merged /usr, accounts, /tmp, the bundle of CA certificates."""

from collections.abc import Mapping

from routeiq_images.tree import Tree

__all__ = ["CA_BUNDLE", "add_ca_bundle", "base_tree"]

CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
_CA_SOURCE = "usr/share/ca-certificates/mozilla/"


def base_tree(accounts: Mapping[str, int]) -> Tree:
    """Return the skeleton of an image with root, nobody and `accounts` (name → uid, its own group)."""
    tree = Tree()
    for name in ("bin", "lib", "lib64", "sbin"):
        tree.directory(f"usr/{name}")
        tree.link(name, f"usr/{name}")
    for name in ("dev", "etc", "home", "mnt", "proc", "run", "sys", "var/cache", "var/lib", "var/log"):
        tree.directory(name)
    for name in ("tmp", "var/tmp", "run/lock"):
        tree.directory(name, 0o1777)
    tree.directory("root", 0o700)
    tree.link("var/run", "/run")
    users = {"root": 0, **accounts, "nobody": 65534}
    homes = {"root": "/root", "nobody": "/nonexistent"}
    passwd = "".join(
        f"{name}:x:{uid}:{uid}::{homes.get(name, '/data')}:/sbin/nologin\n" for name, uid in users.items()
    )
    tree.file("etc/passwd", passwd.encode())
    tree.file("etc/group", "".join(f"{name}:x:{uid}:\n" for name, uid in users.items()).encode())
    tree.file("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
    return tree


def add_ca_bundle(tree: Tree) -> None:
    """Concatenate the certificates that ca-certificates ships, sorted by name, as `update-ca-certificates` does."""
    parts = [
        entry.content
        for path, entry in tree.items()
        if path.startswith(_CA_SOURCE) and isinstance(entry.content, bytes)
    ]
    if parts:
        tree.file(CA_BUNDLE, b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts))
