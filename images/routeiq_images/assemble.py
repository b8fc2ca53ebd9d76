"""Builds one image: packages, wheels and files of ours become layers, the rarely changing ones first."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_images.application import ApplicationLayers
from routeiq_images.blobs import BlobStore
from routeiq_images.debs import DebContent, read_deb
from routeiq_images.definition import Definition, Place
from routeiq_images.errors import ImagesError
from routeiq_images.image import Image, write_image
from routeiq_images.layer import write_layer
from routeiq_images.layer_plan import MAX_LAYERS, Plan, split_tree
from routeiq_images.materials import Materials
from routeiq_images.proof.parts import image_parts
from routeiq_images.proof.sbom import Part
from routeiq_images.rootfs import CA_BUNDLE, add_ca_bundle, base_tree
from routeiq_images.tree import Tree
from routeiq_signing.progress import Progress

__all__ = ["BuiltImage", "assemble"]

DEBS = Plan(alone=600_000, shared=2)


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
    with (
        progress.task(f"image {definition.name}", None, "layer") as advance,
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
    if len(layers) > MAX_LAYERS:
        raise ImagesError(
            f"{definition.name}: {len(layers)} layers, at most {MAX_LAYERS} are allowed",
            subject=definition.name,
            hint="raise the sizes from which a part has a layer of its own (assemble.DEBS, application.WHEELS)",
        )
    parts = image_parts(materials, definition.debs, wheels, version)
    return BuiltImage(write_image(definition, version, layers, store), tuple(parts))


def _read_debs(definition: Definition, materials: Materials) -> list[DebContent]:
    debs = materials.debs(definition.debs)
    return [read_deb(deb.path, deb.name, (*definition.drop, *debs.unused)) for deb in debs.debs]


def _system_trees(definition: Definition, debs: Sequence[DebContent]) -> list[tuple[str, Tree]]:
    """Return the base layer, which images share when its packages are the same, and the layers of the rest."""
    base = base_tree({})
    rest = base_tree(definition.accounts)
    layer_of = DEBS.layers({deb.name: deb.size for deb in debs})
    places = {CA_BUNDLE: layer_of.get("ca-certificates", "")}
    for deb in debs:
        target = base if deb.name in definition.base_packages else rest
        for path, entry in deb.tree.items():
            target.add(path, entry)
            places.setdefault(path, layer_of[deb.name])
    add_ca_bundle(rest)
    trees = [("Debian 12 base packages", base)]
    for name, tree in split_tree(rest, places).items():
        trees.append((f"Debian 12: {name or 'accounts and folders'}", tree.without(base)))
    return [(comment, tree) for comment, tree in trees if len(tree)]


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
