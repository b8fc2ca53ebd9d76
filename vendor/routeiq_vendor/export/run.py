"""Runs the exporter in its own environment, once per set of inputs.

The result depends on the exporter's source, on the versions that `export.txt` pins and on the model's files;
their joint digest is `export_inputs`. While the lock names the same inputs and the pool holds the locked
outputs, nothing runs and nothing of the environment (torch: 190 MB) is downloaded.
"""

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.documents import read_document
from routeiq_vendor.environment import call, ensure_environment
from routeiq_vendor.errors import ExportError, LockError, PoolError
from routeiq_vendor.pool import Pool, digest_of
from routeiq_vendor.weights.lock import Export, Parity, Weights
from routeiq_vendor.wheels.store import WheelStore, load_lock

__all__ = ["OUTPUTS", "Exporter", "inputs_digest"]

OUTPUTS = ("onnx/model.onnx", "onnx/model_int8.onnx")
_SCRIPT = Path(__file__).with_name("exporter.py")


def inputs_digest(lock: bytes, script: bytes, files: dict[str, str], layers: int | None = None) -> str:
    """Return the digest of everything that an export depends on: lock, exporter, path → SHA-256, layers (None: all)."""
    digest = hashlib.sha256()
    named = (f"{path}\0{sha256}".encode() for path, sha256 in sorted(files.items()))
    for part in (lock, script, *named, *([] if layers is None else [f"layers\0{layers}".encode()])):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()


@dataclass(frozen=True)
class Exporter:
    """`lock` is `locks/export.txt`; `build` the folder for the environment and scratch files."""

    pool: Pool
    wheels: WheelStore
    lock: Path
    build: Path

    def inputs(self, weights: Weights) -> str:
        """Return `export_inputs` of a model as the checkout stands."""
        files = {path: file.sha256 for path, file in weights.files.items()}
        return inputs_digest(self.lock.read_bytes(), _SCRIPT.read_bytes(), files, weights.layers)

    def ensure(self, name: str, weights: Weights, progress: Progress, *, offline: bool) -> None:
        """Have the locked exports in the pool, making them if needed.

        Raises `LockError` when the lock was made from other inputs, `PoolError` when an export would need a
        download and `offline` forbids it, `ExportError` when something else came out than the lock names.
        """
        if not weights.exports:
            return
        if weights.export_inputs != self.inputs(weights):
            raise LockError(
                f"weights.lock.json: {name} was exported from other inputs than this checkout's",
                subject=name,
                hint="export.txt, the exporter or the weights changed: run `routeiq vendor lock --what weights`",
            )
        if all(self.pool.has(export.sha256) for export in weights.exports.values()):
            return
        made, _parity = self.run(name, weights, progress, offline=offline)
        for path, export in weights.exports.items():
            if made.get(path) != export:
                got = made[path].sha256 if path in made else "nothing"
                raise ExportError(
                    f"{name}: {path}: the export gave {got}, the lock says {export.sha256}", subject=path
                )

    def run(
        self, name: str, weights: Weights, progress: Progress, *, offline: bool
    ) -> tuple[dict[str, Export], Parity]:
        """Export, whatever the lock says; the outputs go to the pool. Returns path → digest, and the parity."""
        pins = load_lock(self.lock)
        try:
            wheels = self.wheels.fetch(pins, self.lock.name, progress, offline=offline)
        except PoolError as error:
            raise PoolError(
                f"{name}: the ONNX export is not in the pool; {error}", hint=error.hint
            ) from error
        home = self.build / "venvs" / "export"
        python = ensure_environment(home, wheels, key=digest_of(self.lock), pool=self.pool, progress=progress)
        scratch = self.build / "export"
        scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=scratch))
        try:
            model = self.pool.view(folder / "model", {path: f.sha256 for path, f in weights.files.items()})
            command = [str(python), "-I", str(_SCRIPT), str(model), str(folder / "out")]
            if weights.layers is not None:
                command.append(str(weights.layers))
            with progress.task(f"export {name} to ONNX", 1, "model") as advance:
                call(command, name, ExportError)
                advance(1)
            parity = read_document(folder / "out" / "parity.json", Parity)
            made = {}
            for path in OUTPUTS:
                output = folder / "out" / path
                digest = self.pool.add_file(output)
                made[path] = Export(sha256=digest, size=output.stat().st_size)
            return made, parity
        finally:
            shutil.rmtree(folder)
