"""The layers of the Python application: bytecode of the library, wheels, models, and last what is ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.blobs import BlobStore
from routeiq_images.definition import Application
from routeiq_images.layer import Layer, write_layer
from routeiq_images.materials import Materials
from routeiq_images.python_layers import (
    SITE_PACKAGES,
    build_own_wheels,
    compile_tree,
    entry_script,
    folder_tree,
    install_wheels,
    prune,
)
from routeiq_images.tree import Tree
from routeiq_signing.progress import Advance

__all__ = ["ApplicationLayers"]

_STDLIB = "usr/lib/python3.11"


@dataclass(frozen=True)
class ApplicationLayers:
    """Builds in `scratch` with the interpreter of the image itself, whose file system lies at `root`."""

    application: Application
    materials: Materials
    scratch: Path
    root: Path
    store: BlobStore

    def write(self, advance: Advance) -> list[Layer]:
        """Write the layers into the store, the rarely changing ones first."""
        view = self.materials.wheel_view(self.scratch / "wheels")
        groups = self.materials.requirement_groups(self.application.groups, self.application.leave_out)
        layers = [write_layer(self._bytecode(), self.store, "standard library bytecode")]
        advance(1)
        for group, lines in groups.items():
            tree = self._installed(lines, view, self.scratch / group)
            layers.append(write_layer(tree, self.store, f"wheels: {group}"))
            advance(1)
        layers.append(write_layer(self._models(), self.store, "models"))
        advance(1)
        layers.append(write_layer(self._ours(), self.store, "RouteIQ"))
        return layers

    def _bytecode(self) -> Tree:
        """Return what a maintainer script of Debian would have compiled."""
        stdlib = self.root / _STDLIB
        before = set(stdlib.rglob("*"))
        compile_tree(stdlib, _STDLIB, self.root)
        tree = Tree()
        for path in sorted(set(stdlib.rglob("*.pyc")) - before):
            tree.file(path.relative_to(self.root).as_posix(), path)
        return tree

    def _installed(self, lines: Sequence[str], wheels: Path, into: Path) -> Tree:
        install_wheels(lines, wheels, into)
        prune(into, self.application.drop, self.application.keep)
        compile_tree(into, SITE_PACKAGES, self.root)
        return folder_tree(into, SITE_PACKAGES)

    def _models(self) -> Tree:
        tree = Tree()
        for model in self.materials.models:
            for path, source in model.files.items() if model.baked else ():
                tree.file(f"{self.application.models}/{model.place}/{path}", source)
        return tree

    def _ours(self) -> Tree:
        packages = [self.materials.source / name for name in self.application.packages]
        wheels = self.scratch / "own-wheels"
        tree = self._installed(build_own_wheels(packages, wheels), wheels, self.scratch / "own")
        tree.file(self.application.command, entry_script(self.application.entry), 0o755)
        tree.folder(self.application.static, self.materials.console)
        return tree
