"""The layers of the Python application: bytecode of the library, wheels, models, and last what is ours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.blobs import BlobStore
from routeiq_images.definition import Application
from routeiq_images.layer import Layer, write_layer
from routeiq_images.layer_plan import Plan, bucket, split_tree
from routeiq_images.materials import Materials
from routeiq_images.python_layers import (
    SITE_PACKAGES,
    build_own_wheels,
    compile_tree,
    entry_script,
    folder_tree,
    install_wheels,
    owners,
    prune,
)
from routeiq_images.tree import Tree
from routeiq_signing.progress import Advance

__all__ = ["ApplicationLayers"]

_STDLIB = "usr/lib/python3.11"
WHEELS = Plan(alone=400_000, shared=18)
OWN_LAYERS = 4


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
        layers = [write_layer(self._bytecode(), self.store, "standard library bytecode")]
        advance(1)
        parts = [(f"wheels: {name}", tree) for name, tree in self._wheels().items()]
        parts.append(("models", self._models()))
        parts += [(f"RouteIQ: {name}", tree) for name, tree in self._ours().items()]
        for comment, tree in parts:
            layers.append(write_layer(tree, self.store, comment))
            advance(1)
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

    def _wheels(self) -> dict[str, Tree]:
        """Return layer → its wheels' files: a changed wheel changes no layer but its own."""
        into = self.scratch / "wheels-installed"
        lines = self.materials.requirement_lines(self.application.leave_out)
        tree = self._installed(lines, self.materials.wheel_view(self.scratch / "wheels"), into)
        layer_of = WHEELS.layers({wheel.name: wheel.size for wheel in self.materials.wheels})
        places = {f"{SITE_PACKAGES}/{path}": layer_of[name] for path, name in owners(into).items()}
        return {name or "shared files": part for name, part in split_tree(tree, places).items()}

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

    def _ours(self) -> dict[str, Tree]:
        """Return layer → our files: the code by folders, and last what every change of it changes."""
        packages = [self.materials.source / name for name in self.application.packages]
        wheels = self.scratch / "own-wheels"
        tree = self._installed(build_own_wheels(packages, wheels), wheels, self.scratch / "own")
        tree.file(self.application.command, entry_script(self.application.entry), 0o755)
        tree.folder(self.application.static, self.materials.console)
        return split_tree(tree, {path: self._own_layer(path) for path, _ in tree.items()})

    def _own_layer(self, path: str) -> str:
        if path.startswith(f"{self.application.static}/"):
            return "console"
        inside = path.removeprefix(f"{SITE_PACKAGES}/").split("/")
        if inside[0].endswith(".dist-info") or not path.startswith(SITE_PACKAGES):
            return "metadata and command"
        folder = inside[1] if len(inside) > 2 and inside[1] != "__pycache__" else ""
        return f"code {bucket(f'{inside[0]}/{folder}', OWN_LAYERS)}"
