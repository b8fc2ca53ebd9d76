"""Builds a bundle again from its inputs and compares: the answer to "is this tar what its source says?".

Bundle and inputs are verified first; then only what the inputs hold is run (`rebuild_sandbox`), not this checkout. Two
bundles are the same when the bytes of `bundle.json` are, which name every other byte that counts. What differs inside a
layer is `diff`'s to say; whose word a rebuild is, `routeiq_signing.trust.builders`' to ask.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routeiq_images.compare.rebuild_inputs import lay_out, unpack_inputs
from routeiq_images.compare.rebuild_sandbox import Sandbox, build_from_inputs
from routeiq_images.errors import ImagesError
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.keys import PublicKey, load_public_key
from routeiq_signing.manifest import BundleManifest
from routeiq_signing.progress import Progress
from routeiq_signing.verify.bundle import Verified
from routeiq_signing.verify.trust import Trust

__all__ = ["Build", "Rebuilt", "differences", "rebuild"]

Build = Callable[..., Path]
"""`build_from_inputs`, or a test's own."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The outcome; `digest` and `rebuilt` are of the two bundle.json, `differs` names what is not the same.

    `kept` is the rebuilt tar when it was kept; `identity` the raw bundle.json of the verified one, for a signature.
    """

    digest: str
    rebuilt: str
    differs: tuple[str, ...]
    network: str
    kept: Path | None
    identity: bytes

    @property
    def identical(self) -> bool:
        """Tell whether the bytes of bundle.json are the same."""
        return self.digest == self.rebuilt

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        document = {name: value for name, value in asdict(self).items() if name != "identity"}
        kept = None if self.kept is None else str(self.kept)
        return {**document, "differs": list(self.differs), "kept": kept, "identical": self.identical}

    def to_text(self) -> str:
        """Return it for people."""
        lines = [f"bundle    {self.digest}", f"rebuilt   {self.rebuilt}", f"network   {self.network}"]
        lines += [f"differs   {text}" for text in self.differs]
        if self.kept is not None:
            lines.append(f"kept      {self.kept}")
        lines.append("identical: made of these inputs" if self.identical else "NOT IDENTICAL")
        return "\n".join(lines)


def rebuild(
    tar: Path,
    inputs: Path,
    *,
    key: PublicKey | Trust,
    environ: Mapping[str, str],
    progress: Progress,
    work_dir: Path | None = None,
    keep: Path | None = None,
    build: Build = build_from_inputs,
) -> Rebuilt:
    """Verify `tar` and its `inputs`, build from them in a private folder, and compare.

    The rebuilt tar is moved to `keep`, or to `work_dir` if it came out different. Raises `VerificationError` for a
    refused tar, `ImagesError` for inputs that are not the bundle's or a build that failed.
    """
    verified = verify_bundle_file(tar, key=key, progress=progress)
    manifest = verified.manifest
    with tempfile.TemporaryDirectory(dir=work_dir, prefix="routeiq-rebuild-") as folder:
        scratch = Path(folder).resolve()
        _require_space(scratch, 3 * manifest.inputs.size + 2 * tar.stat().st_size)
        pool, source, wheels = scratch / "pool", scratch / "source", scratch / "wheels"
        lay_out(unpack_inputs(inputs, manifest.inputs, pool, progress), pool, source, wheels)
        sandbox = Sandbox.find(scratch, environ)
        created = datetime.strptime(manifest.created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        out = build(
            sandbox,
            scratch,
            source,
            wheels,
            pool,
            progress,
            epoch=int(created.timestamp()),
            strict=not manifest.drift,
        )
        made, again = _read(out, progress)
        differs = tuple(differences(manifest, again.manifest))
        same = again.identity == verified.identity
        if not same and not differs:
            differs = ("bundle.json: other bytes for the same content",)
        kept = keep
        if kept is None and not same:
            kept = Path(work_dir or tempfile.gettempdir()) / f"{made.stem}.rebuilt-{_short(again)}.tar"
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(made, kept)
    return Rebuilt(
        verified.report.digest, again.report.digest, differs, sandbox.network, kept, verified.identity
    )


def differences(one: BundleManifest, two: BundleManifest) -> list[str]:
    """Return one line for each thing that the two name differently; blobs are named by what they belong to."""
    lines = [
        f"{name}: {getattr(one, name)} / {getattr(two, name)}"
        for name in ("name", "version", "channel", "sequence", "created", "expires", "platform")
        if getattr(one, name) != getattr(two, name)
    ]
    lines += _changed("image", {i.name: i.digest for i in one.images}, {i.name: i.digest for i in two.images})
    lines += _changed("SBOM of", {i.name: i.sbom for i in one.images}, {i.name: i.sbom for i in two.images})
    lines += _changed("model", {m.name: m.digest for m in one.models}, {m.name: m.digest for m in two.models})
    lines += _changed("chart", {one.chart.name: one.chart.digest}, {two.chart.name: two.chart.digest})
    lines += _changed("file", _files(one), _files(two))
    lines += _changed(
        "lock", {lock.path: lock.sha256 for lock in one.locks}, {k.path: k.sha256 for k in two.locks}
    )
    lines += _changed("inputs", {"tar": one.inputs.sha256}, {"tar": two.inputs.sha256})
    lines += _changed("drift", dict.fromkeys(one.drift, ""), dict.fromkeys(two.drift, ""))
    return lines


def _changed(kind: str, one: Mapping[str, str], two: Mapping[str, str]) -> Iterable[str]:
    for name in sorted({*one, *two}):
        if one.get(name) != two.get(name):
            yield f"{kind} {name}: {one.get(name, 'absent')} / {two.get(name, 'absent')}"


def _files(manifest: BundleManifest) -> dict[str, str]:
    return {entry.path: entry.sha256 for entry in manifest.files if not entry.path.startswith("blobs/")}


def _read(out: Path, progress: Progress) -> tuple[Path, Verified]:
    """Return the tar that the build wrote, verified by the key that it made for itself."""
    tars = [path for path in sorted(out.glob("*.tar")) if not path.name.endswith("-inputs.tar")]
    if len(tars) != 1:
        raise ImagesError(f"the build left {len(tars)} bundles where one must be", subject=str(out))
    return tars[0], verify_bundle_file(tars[0], key=load_public_key(out / "routeiq.pub"), progress=progress)


def _short(verified: Verified) -> str:
    return verified.report.digest.removeprefix("sha256:")[:12]


def _require_space(folder: Path, wanted: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise ImagesError(
            f"{folder.parent}: {free / 1e9:.1f} GB free, a rebuild needs {wanted / 1e9:.1f} GB",
            subject=str(folder.parent),
            hint="name a larger place with --work-dir",
        )
