"""Everything a bundle is made of, by content: what the pool gave for the locks, and our own source.

The border between `routeiq_vendor` and the builder; nothing else here imports the fetchers.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from routeiq_images.errors import ImagesError
from routeiq_signing.progress import Progress
from routeiq_vendor.fetch import EMBEDDERS, Fetched, ImageDebs, Purpose, ensure_console, fetch
from routeiq_vendor.licences.review import review
from routeiq_vendor.weights.store import RUNTIME_FILES
from routeiq_vendor.wheels.store import Wheel, load_lock
from routeiq_vendor.workspace import Workspace

__all__ = ["Materials", "ModelFolder", "freeze", "gather", "source_files"]

_PRETRAINED = "router/pretrained/"
_NOT_SOURCE = frozenset({"build", "dist", ".venv", ".git"})


@dataclass(frozen=True)
class ModelFolder:
    """A model: `place` below the models folder, its files, and whether the gateway image carries it."""

    name: str
    kind: str
    place: str
    files: Mapping[str, Path]
    baked: bool


@dataclass(frozen=True)
class Materials:
    """What was gathered; `source` is the root of our own tree."""

    workspace: Workspace
    fetched: Fetched
    models: tuple[ModelFolder, ...]
    console: Path
    """The built operator console."""
    frozen: Path | None = None
    """A copy of our tree that nobody edits; see `freeze`."""
    licences: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    """(kind, name, version) → SPDX expression; every one was allowed."""

    @property
    def source(self) -> Path:
        """Our own tree."""
        return self.frozen or self.workspace.root

    @property
    def definitions(self) -> Path:
        """The folder of image definitions."""
        return self.source / "images" / "definitions"

    @property
    def wheels(self) -> Sequence[Wheel]:
        """The gateway's wheels."""
        return self.fetched.wheels["gateway"]

    def debs(self, image: str) -> ImageDebs:
        """Return the packages of one image; raises `ImagesError` when the lock has none for it."""
        if image not in self.fetched.images:
            raise ImagesError(f"{image}: not in debs.lock.json", subject=image, hint="run `make lock`")
        return self.fetched.images[image]

    def wheel_view(self, folder: Path) -> Path:
        """Lay the gateway's wheels out under their file names, for pip."""
        return self.workspace.pool.view(folder, {wheel.filename: wheel.sha256 for wheel in self.wheels})

    def requirement_lines(self, leave_out: Sequence[str]) -> list[str]:
        """Return pip's lines for the gateway's lock less `leave_out`. Unknown names are refused."""
        pins = {pin.name: pin.line for pin in load_lock(self.workspace.locks / "gateway.txt")}
        unknown = sorted(set(leave_out) - set(pins))
        if unknown:
            raise ImagesError(f"{unknown[0]}: named in a definition, but not in the lock", subject=unknown[0])
        return [pins[name] for name in sorted(pins) if name not in leave_out]


def gather(workspace: Workspace, progress: Progress, *, offline: bool, release: bool) -> Materials:
    """Fill the pool as far as it must be, and return what a bundle is made of.

    Raises `LockError` when a licence is unknown or not allowed: such a bundle is not built.
    """
    fetched = fetch([Purpose.BUNDLE], workspace, progress, offline=offline, release=release)
    judged = review(fetched, workspace, progress).judged
    models = []
    for name, model in sorted(fetched.models.items()):
        files = {path: file.path for path, file in model.files.items()}
        place = f"{EMBEDDERS}/{name}"
        models.append(
            ModelFolder(name, "embedder", place, {path: files[path] for path in RUNTIME_FILES}, baked=True)
        )
        models.append(ModelFolder(f"{name}-fp32", "embedder", place, files, baked=False))
    pretrained: dict[str, dict[str, Path]] = {}
    for path, (file, _) in source_files(workspace.root).items():
        if path.startswith(_PRETRAINED):
            name, _, inside = path.removeprefix(_PRETRAINED).partition("/")
            pretrained.setdefault(name, {})[inside] = file
    for name, files in pretrained.items():
        files.pop("model.sig", None)
        if "router.json" in files:
            models.append(ModelFolder(name, "router", f"routers/{name}", files, baked=True))
    console = ensure_console(workspace, progress, offline=offline)
    licences = {(item.kind, item.name, item.version): item.licence for item in judged}
    return Materials(workspace, fetched, tuple(models), console, licences=licences)


def freeze(materials: Materials, into: Path) -> Materials:
    """Copy our source to `into`, and return the materials with everything of ours taken from there.

    A file that is edited while a bundle is built, or that nobody added to git, would be in the bundle and not among its
    inputs: nobody could build it again.
    """
    root = materials.workspace.root
    for path, (file, executable) in source_files(root).items():
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        target.chmod(0o755 if executable else 0o644)
    models = []
    for model in materials.models:
        files = {
            path: into / file.relative_to(root)
            if model.kind == "router" and file.is_relative_to(root)
            else file
            for path, file in model.files.items()
        }
        models.append(replace(model, files=files))
    return replace(materials, models=tuple(models), frozen=into)


def source_files(root: Path) -> dict[str, tuple[Path, bool]]:
    """Return path → (file, executable) of our own source: what git tracks, or all that is there without git."""
    files: dict[str, tuple[Path, bool]] = {}
    listed = _tracked(root)
    if listed:
        for line in listed.rstrip("\0").split("\0"):
            mode, path = line.partition(" ")[0], line.partition("\t")[2]
            if (root / path).is_file():
                files[path] = (root / path, mode == "100755")
        return dict(sorted(files.items()))
    for file in root.rglob("*"):
        parts = file.relative_to(root).parts
        if file.is_file() and parts[0] not in _NOT_SOURCE and "__pycache__" not in parts:
            files["/".join(parts)] = (file, bool(file.stat().st_mode & 0o100))
    return dict(sorted(files.items()))


def _tracked(root: Path) -> str:
    """Return what `git ls-files --stage -z` prints; nothing where there is no git."""
    git = ["git", "-C", str(root), "ls-files", "-z", "--stage"]
    try:
        return subprocess.run(git, capture_output=True, check=True).stdout.decode()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
