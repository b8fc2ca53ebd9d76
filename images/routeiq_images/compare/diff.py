"""Explains how two bundles differ, from `bundle.json` down to the lines of a file in a layer.

A tool for people who look for a cause: it only reads, within caps, and believes neither tar. A member whose content is
not what its own `bundle.json` says is a difference too, so "identical" holds for the bytes. Signatures, attachments and
which of the two is right are not its business.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import islice
from typing import Any

from routeiq_images.compare.diff_layer import LayerFile, read_layer, read_texts
from routeiq_images.compare.diff_report import Change, Difference
from routeiq_images.compare.diff_tar import DIFF_LIMITS, BundleTar, DiffLimits
from routeiq_images.compare.diff_text import line_changes, printable, value_changes
from routeiq_images.errors import ImagesError
from routeiq_signing.errors import DocumentError
from routeiq_signing.limits import LIMITS
from routeiq_signing.manifest import Attachments, BundleManifest, ModelEntry, blob_path
from routeiq_signing.verify.order import HEAD, is_signature

__all__ = ["diff_bundles"]

_PLAIN = (
    "name",
    "version",
    "channel",
    "sequence",
    "created",
    "expires",
    "platform",
    "inputs",
    "locks",
    "drift",
)


def diff_bundles(one: BundleTar, two: BundleTar, limits: DiffLimits = DIFF_LIMITS) -> Difference:
    """Compare two tars; raises `ImagesError` for one that is no bundle, or breaks a cap."""
    manifests = _manifest(one), _manifest(two)
    found = list(islice(_changes(one, two, *manifests, limits), limits.changes + 1))
    if not found and one.digests["bundle.json"] != two.digests["bundle.json"]:
        found = [
            Change(
                "bundle.json", "(bytes)", "changed", {}, note="the same values in another order or spelling"
            )
        ]
    found = [_safe(change) for change in found]
    digests = f"sha256:{one.digests['bundle.json']}", f"sha256:{two.digests['bundle.json']}"
    return Difference(digests, tuple(found[: limits.changes]), len(found) > limits.changes)


def _safe(change: Change) -> Change:
    fields = {name: (printable(old), printable(new)) for name, (old, new) in change.fields.items()}
    path, note = printable(change.path, LIMITS.path), printable(change.note)
    return replace(change, where=printable(change.where), path=path, fields=fields, note=note)


def _manifest(tar: BundleTar) -> BundleManifest:
    try:
        return BundleManifest.from_bytes(tar.read("bundle.json"), f"{tar.path}: bundle.json")
    except DocumentError as error:
        raise ImagesError(str(error), subject="bundle.json") from error


def _changes(
    one: BundleTar, two: BundleTar, a: BundleManifest, b: BundleManifest, limits: DiffLimits
) -> Iterator[Change]:
    yield from _unsound(one, a)
    yield from _unsound(two, b)
    if one.digests["bundle.json"] == two.digests["bundle.json"]:
        return
    left, right = one.document("bundle.json"), two.document("bundle.json")
    for path, before, after in value_changes(
        {k: left.get(k) for k in _PLAIN}, {k: right.get(k) for k in _PLAIN}
    ):
        yield Change("bundle.json", path, _kind(before, after), {"value": (before, after)})
    yield from _images(one, two, a, b, limits)
    yield from _models(a.models, b.models)
    if a.chart != b.chart:
        yield from _artifact_layers("chart", one, two, a.chart.digest, b.chart.digest, limits)
    for path in sorted({e.path for e in (*a.files, *b.files) if not e.path.startswith("blobs/")}):
        yield from _plain_file(one, two, path, limits)


def _unsound(tar: BundleTar, manifest: BundleManifest) -> Iterator[Change]:
    """Compare a tar with its own documents: nothing damaged, missing or extra."""
    where = f"{tar.path} against its own bundle.json"
    entries = list(manifest.files)
    try:
        entries += Attachments.from_bytes(tar.read("attachments.json")).files
    except (ImagesError, DocumentError) as error:
        yield Change(where, "attachments.json", "unsound", {}, note=str(error))
    for entry in entries:
        got = tar.digests.get(entry.path, "absent")
        if got != entry.sha256:
            fields = {"sha256": (entry.sha256, got)}
            yield Change(where, entry.path, "unsound", fields, note="damaged or forged")
    known = {entry.path for entry in entries}
    for name in sorted(tar.digests.keys() - known - set(HEAD)):
        if not any(is_signature(name, document) for document in HEAD):
            yield Change(where, name, "unsound", {}, note="nobody lists it")


def _images(
    one: BundleTar, two: BundleTar, a: BundleManifest, b: BundleManifest, limits: DiffLimits
) -> Iterator[Change]:
    left, right = {image.name: image for image in a.images}, {image.name: image for image in b.images}
    for name in sorted({*left, *right}):
        where = f"image {name}"
        if name not in left or name not in right:
            yield Change(where, name, "removed" if name in left else "added", {})
            continue
        x, y = left[name], right[name]
        if x.tag != y.tag:
            yield Change(where, "tag", "changed", {"value": (x.tag, y.tag)})
        if x.digest != y.digest:
            yield from _values(
                f"{where}: configuration", one, two, x.image_id, y.image_id, leave_out="rootfs"
            )
            yield from _values(
                f"{where}: manifest", one, two, x.digest, y.digest, leave_out=("config", "layers")
            )
            layers = _commented(one, x.digest, x.image_id), _commented(two, y.digest, y.image_id)
            yield from _layers(where, one, two, *layers, limits)
        if x.sbom != y.sbom:
            yield from _values(f"SBOM of {name}", one, two, _payload(one, x.sbom), _payload(two, y.sbom))


def _layers(
    where: str,
    one: BundleTar,
    two: BundleTar,
    left: Mapping[str, str],
    right: Mapping[str, str],
    limits: DiffLimits,
) -> Iterator[Change]:
    for comment in dict.fromkeys([*left, *right]):
        place = f"{where}: layer {comment}"
        x, y = left.get(comment), right.get(comment)
        if x is None or y is None:
            yield Change(where, f"layer {comment}", "removed" if y is None else "added", {})
        elif x != y:
            yield Change(where, f"layer {comment}", "changed", {"digest": (x, y)})
            yield from _layer(place, one, two, blob_path(x), blob_path(y), limits)


def _layer(
    place: str, one: BundleTar, two: BundleTar, x: str, y: str, limits: DiffLimits
) -> Iterator[Change]:
    left, right = read_layer(one, x, limits), read_layer(two, y, limits)
    if left is None or right is None:
        yield Change(place, x, "changed", {}, note="not gzip: compared by digest only")
        return
    changed = [path for path in sorted({*left, *right}) if left.get(path) != right.get(path)]
    if not changed:
        yield Change(
            place, "(tar)", "changed", {}, note="the same files: written or compressed in another way"
        )
        return
    wanted = dict.fromkeys([path for path in changed if _is_text(path, left, right, limits)][: limits.texts])
    texts = read_texts(one, x, wanted, limits), read_texts(two, y, wanted, limits)
    for path in changed:
        before, after = left.get(path), right.get(path)
        lines: tuple[str, ...] = ()
        if path in texts[0] and path in texts[1] and texts[0][path] != texts[1][path]:
            lines = line_changes(texts[0][path], texts[1][path], limits.lines)
        kind = "changed" if before and after else ("removed" if before else "added")
        yield Change(place, path, kind, _fields(before, after), lines, _note(path))


def _is_text(
    path: str, left: Mapping[str, LayerFile], right: Mapping[str, LayerFile], limits: DiffLimits
) -> bool:
    both = left.get(path), right.get(path)
    return not path.endswith((".pyc", ".so")) and all(
        entry is not None and entry.kind == "file" and entry.size <= limits.text for entry in both
    )


def _fields(before: LayerFile | None, after: LayerFile | None) -> dict[str, tuple[str, str]]:
    if before is None or after is None:
        known = before or after
        return {} if known is None else {known.kind: (_shown(before), _shown(after))}
    left, right = asdict(before), asdict(after)
    left["mode"], right["mode"] = f"{before.mode:04o}", f"{after.mode:04o}"
    return {name: (str(left[name]), str(right[name])) for name in left if left[name] != right[name]}


def _shown(entry: LayerFile | None) -> str:
    if entry is None:
        return "absent"
    return f"{entry.mode:04o} {entry.uid}:{entry.gid} {entry.size} B {entry.target or entry.sha256[:16]}"


def _note(path: str) -> str:
    if path.endswith(".pyc"):
        return "bytecode: follows its source, or the Python that compiled it"
    if path.endswith(".dist-info/RECORD"):
        return "a wheel's list of its own files"
    if path.endswith(".whl"):
        return "a wheel"
    return ""


def _commented(tar: BundleTar, digest: str, image_id: str) -> dict[str, str]:
    """Return an image's layers by what made them, which is the name that survives a change."""
    layers = [str(item.get("digest")) for item in _dicts(tar.document(blob_path(digest)).get("layers"))]
    history = _dicts(tar.document(blob_path(image_id)).get("history"))
    comments = [str(item.get("created_by", "")) for item in history if not item.get("empty_layer")]
    found: dict[str, str] = {}
    for number, layer in enumerate(layers):
        comment = comments[number] if number < len(comments) else ""
        unique = comment and comment not in found
        found[comment if unique else f"{number + 1} {comment}".rstrip()] = layer
    return found


def _models(left: Iterable[ModelEntry], right: Iterable[ModelEntry]) -> Iterator[Change]:
    a, b = {model.name: model for model in left}, {model.name: model for model in right}
    for name in sorted({*a, *b}):
        x, y = a.get(name), b.get(name)
        if x is None or y is None:
            yield Change(f"model {name}", name, "added" if x is None else "removed", {})
            continue
        for field in ("kind", "path"):
            if getattr(x, field) != getattr(y, field):
                yield Change(
                    f"model {name}", field, "changed", {"value": (getattr(x, field), getattr(y, field))}
                )
        before, after = {f.path: f for f in x.files}, {f.path: f for f in y.files}
        for path in sorted({*before, *after}):
            old, new = before.get(path), after.get(path)
            if old != new:
                fields = {
                    "sha256": (old.sha256 if old else "absent", new.sha256 if new else "absent"),
                    "size": (str(old.size) if old else "-", str(new.size) if new else "-"),
                }
                kind = "changed" if old and new else ("removed" if old else "added")
                yield Change(f"model {name}", path, kind, fields)


def _artifact_layers(
    where: str, one: BundleTar, two: BundleTar, x: str, y: str, limits: DiffLimits
) -> Iterator[Change]:
    yield from _values(f"{where}: manifest", one, two, x, y, leave_out=("layers",))
    left, right = _payload(one, x), _payload(two, y)
    if left != right:
        yield from _layer(where, one, two, blob_path(left), blob_path(right), limits)


def _payload(tar: BundleTar, digest: str) -> str:
    """Return the digest of an artifact's only layer."""
    layers = _dicts(tar.document(blob_path(digest)).get("layers"))
    if len(layers) != 1 or not isinstance(layers[0].get("digest"), str):
        raise ImagesError(f"{tar.path}: {digest}: not an artifact with one content", subject=digest)
    return str(layers[0]["digest"])


def _values(
    where: str, one: BundleTar, two: BundleTar, x: str, y: str, *, leave_out: Iterable[str] = ()
) -> Iterator[Change]:
    left, right = one.document(blob_path(x)), two.document(blob_path(y))
    for document in (left, right):
        for name in leave_out:
            document.pop(name, None)
    for path, before, after in value_changes(left, right):
        yield Change(where, path, _kind(before, after), {"value": (before, after)})


def _plain_file(one: BundleTar, two: BundleTar, path: str, limits: DiffLimits) -> Iterator[Change]:
    before, after = one.digests.get(path, "absent"), two.digests.get(path, "absent")
    if before == after:
        return
    lines: tuple[str, ...] = ()
    note = ""
    if path.endswith(".json"):
        note = "follows from what is above"
    elif path in one and path in two and max(one.size(path), two.size(path)) <= limits.text:
        lines = line_changes(
            one.read(path, LIMITS.oci_document), two.read(path, LIMITS.oci_document), limits.lines
        )
    yield Change("files of the bundle", path, _kind(before, after), {"sha256": (before, after)}, lines, note)


def _kind(before: str, after: str) -> str:
    return "added" if before == "absent" else "removed" if after == "absent" else "changed"


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
