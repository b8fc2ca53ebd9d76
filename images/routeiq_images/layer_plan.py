"""Which parts of an image share a layer. Pure.

A changed part changes its whole layer, and whole layers are what is carried and pulled again. So large parts (a wheel,
a Debian package) have a layer of their own and small ones share a few. Where a part goes depends on its own name and
size and on nothing else: a change of one part moves no other.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from routeiq_images.tree import Entry, Tree

__all__ = ["MAX_LAYERS", "Plan", "bucket", "split_tree"]

MAX_LAYERS = 60  # of an image; engines take 127, and each costs a request and a mount


@dataclass(frozen=True, slots=True)
class Plan:
    """Parts of at least `alone` bytes, as they are fetched, have a layer of their own; the others share `shared`."""

    alone: int
    shared: int

    def layers(self, sizes: Mapping[str, int]) -> dict[str, str]:
        """Return part → the name of its layer, for parts of these sizes."""
        return {
            name: name if size >= self.alone else f"others {bucket(name, self.shared)}"
            for name, size in sizes.items()
        }


def bucket(name: str, count: int) -> int:
    """Return a number from 1 to `count` that depends on `name` alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % count + 1


def split_tree(tree: Tree, layer_of: Mapping[str, str]) -> dict[str, Tree]:
    """Return layer → the files of `tree` that `layer_of` (path → layer) puts there, below folders as `tree` has them.

    What `layer_of` does not name, empty folders among it, is in the layer of the empty name, which comes first.
    """
    folders = {path: entry for path, entry in tree.items() if entry.is_directory}
    filled: set[str] = set()
    layers: dict[str, Tree] = {}
    for path, entry in tree.items():
        if not entry.is_directory:
            _put(layers.setdefault(layer_of.get(path, ""), Tree()), path, entry, folders)
            filled.update(_parents(path))
    for path in folders.keys() - filled:
        _put(layers.setdefault("", Tree()), path, folders[path], folders)
    return dict(sorted(layers.items()))


def _parents(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _put(layer: Tree, path: str, entry: Entry, folders: Mapping[str, Entry]) -> None:
    for parent in _parents(path):
        if parent not in layer and parent in folders:
            layer.add(parent, folders[parent])
    layer.add(path, entry)
