"""Builds one image: packages, wheels and files of ours become layers, the rarely changing ones first."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.application import ApplicationLayers
from routeiq_images.blobs import BlobStore
from routeiq_images.debs import DebContent, read_deb
from routeiq_images.definition import Definition, Place
from routeiq_images.image import Image, write_image
from routeiq_images.layer import write_layer
from routeiq_images.materials import Materials
from routeiq_images.rootfs import add_ca_bundle, base_tree
from routeiq_images.sbom import Part
from routeiq_images.tree import Tree
from routeiq_signing.progress import Progress
from routeiq_vendor.fetch import Deb

__all__ = ["BuiltImage", "assemble"]


@dataclass(frozen=True)
class BuiltImage:
    """An image and what is in it."""

    image: Image
    parts: tuple[Part, ...]


def assemble(
    definition: Definition, materials: Materials, version: str, store: BlobStore, progress: Progress
) -> BuiltImage:
    """Build the image of `definition` into `store`. Raises `ImagesError` naming the package or file at fault."""
    debs = _read_debs(definition, materials)
    layers = []
    left_out = definition.application.leave_out if definition.application else ()
    wheels = (
        [wheel for wheel in materials.wheels if wheel.name not in left_out] if definition.application else []
    )
    steps = 3 + (len(definition.application.groups) + 2 if definition.application else 0)
    with (
        progress.task(f"image {definition.name}", steps, "layer") as advance,
        tempfile.TemporaryDirectory(dir=materials.workspace.build, prefix="image-") as scratch,
    ):
        trees = _system_trees(definition, debs)
        for comment, tree in trees:
            layers.append(write_layer(tree, store, comment))
            advance(1)
        if definition.application:
            root = Path(scratch) / "root"
            root.mkdir()
            for _, tree in trees:
                tree.materialise(root)
            layers += ApplicationLayers(definition.application, materials, Path(scratch), root, store).write(
                advance
            )
        places = _places_tree(definition, materials.definitions / "files")
        if len(places):
            layers.append(write_layer(places, store, "places and entry point"))
            advance(1)
    parts = [_deb_part(deb) for deb in materials.debs(definition.debs).debs]
    parts += [_wheel_part(wheel.name, wheel.version, wheel.sha256) for wheel in wheels]
    if definition.application:
        parts += materials.model_parts()
        parts += materials.console_parts()
    return BuiltImage(write_image(definition, version, layers, store), tuple(parts))


def _read_debs(definition: Definition, materials: Materials) -> list[DebContent]:
    debs = materials.debs(definition.debs)
    return [read_deb(deb.path, deb.name, (*definition.drop, *debs.unused)) for deb in debs.debs]


def _system_trees(definition: Definition, debs: Sequence[DebContent]) -> list[tuple[str, Tree]]:
    """Return the base layer, which images share when its packages are the same, and the layer of the rest."""
    base = base_tree({})
    rest = base_tree(definition.accounts)
    for deb in debs:
        target = base if deb.name in definition.base_packages else rest
        for path, entry in deb.tree.items():
            target.add(path, entry)
    add_ca_bundle(rest)
    return [("Debian 12 base packages", base), ("Debian 12 packages and accounts", rest.without(base))]


def _places_tree(definition: Definition, files: Path) -> Tree:
    tree = Tree()
    for place in definition.places:
        _add_place(tree, place, files)
    return tree


def _add_place(tree: Tree, place: Place, files: Path) -> None:
    mode = int(place.mode, 8)
    if place.target is not None:
        tree.link(place.path, place.target)
    elif place.source is not None:
        tree.file(place.path, files / place.source, mode, place.uid)
    else:
        tree.directory(place.path, mode, place.uid)


def _deb_part(deb: Deb) -> Part:
    version = deb.version.replace(":", "%3A").replace("+", "%2B")
    purl = f"pkg:deb/debian/{deb.name}@{version}?arch=amd64&distro=debian-12"
    properties = (("routeiq:source", deb.source), ("routeiq:source_version", deb.source_version))
    return Part("library", deb.name, deb.version, purl, deb.sha256, None, properties)


def _wheel_part(name: str, version: str, sha256: str) -> Part:
    return Part("library", name, version, f"pkg:pypi/{name}@{version}", sha256)
