"""What a run needs on disk, made on first use below build/bench/router: embedders, artifacts, data.

int8 and fp32 are the same exported encoder; the static embedder is distilled from it; the sentence-transformers folder
is the official one. Artifacts, for latency, are of the default strategy, trained on the LLMRouter set.
"""

import hashlib
import os
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from routeiq_router.embedder import embedder_digest
from routeiq_router.errors import RouterError
from routeiq_router.folder import read_unsigned
from routeiq_router.router import Router
from routeiq_router.training import distil
from routeiq_signing.errors import RouteIQError
from routeiq_vendor.documents import read_document
from routeiq_vendor.weights.lock import WeightsLock
from routeiq_vendor.weights.store import layout_model
from routeiq_vendor.workspace import Workspace

__all__ = ["DATA", "ROOT", "SETS", "Stage", "routeiq"]

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROUTEIQ_ROUTING_DATA", ROOT.parent / "shared/data/routing"))
SETS = ("llmrouter-train.jsonl.gz", "routellm-train.jsonl.gz")
_MODEL = "all-MiniLM-L6-v2"


def routeiq(*arguments: object, quiet: bool = False) -> str:
    """Run `routeiq` and return its stdout; progress goes to this process's stderr."""
    command = [sys.executable, "-m", "routeiq_appliance.cli", *map(str, arguments)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL if quiet else None, text=True, check=False
    )
    if done.returncode:
        raise RouterError(f"routeiq {' '.join(map(str, arguments[:2]))}: exit {done.returncode}")
    return done.stdout


class Stage:
    """Folders, made when they are first asked for."""

    def __init__(self) -> None:
        self._workspace = Workspace.find({"ROUTEIQ_ROOT": str(ROOT), **os.environ})
        self.folder = ROOT / "build/bench/router"
        self.folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def int8(self) -> Path:
        """Return the embedder that the gateway ships."""
        return self._lay_out("int8", {"onnx/model_int8.onnx": "onnx/model_int8.onnx"})

    @cached_property
    def fp32(self) -> Path:
        """Return the same encoder before it was quantized, under the name that the router loads."""
        return self._lay_out("fp32", {"onnx/model_int8.onnx": "onnx/model.onnx"})

    @cached_property
    def static(self) -> Path:
        """Return the static embedder, distilled in a minute."""
        made_of = embedder_digest(read_unsigned(self.int8)).encode() + Path(distil.__file__).read_bytes()
        folder = self.folder / f"static-{hashlib.sha256(made_of).hexdigest()[:12]}"
        if not (folder / "static/vectors.safetensors").is_file():
            routeiq("router", "distil", "--embedder", self.int8, "--out", folder)
        return folder

    @cached_property
    def sentence_transformers(self) -> Path:
        """Return the official model's folder."""
        weights = self._weights()
        folder = self.folder / _MODEL
        return layout_model(self._workspace.pool, weights, folder, files=tuple(weights.files))

    def artifact(self, kind: str, strategy: str) -> Path:
        """Return an artifact of `strategy` for the embedder `kind`: a committed one that loads, or one trained here."""
        embedder: Path = getattr(self, kind)
        folder = self.folder / f"{strategy}-{kind}"
        for known in (*sorted((ROOT / "router/pretrained").iterdir(), reverse=True), folder):
            if _loads(known, embedder, strategy):
                return known
        arguments = ("--data", DATA / SETS[0], "--strategy", strategy, "--embedder", embedder)
        routeiq("router", "train", *arguments, "--out", folder)
        return folder

    def _lay_out(self, name: str, files: dict[str, str]) -> Path:
        contents = self._weights().contents
        wanted = {**files, "tokenizer.json": "tokenizer.json", "config.json": "config.json"}
        return self._workspace.pool.view(
            self.folder / name, {path: contents[source] for path, source in wanted.items()}
        )

    def _weights(self):
        return read_document(self._workspace.locks / "weights.lock.json", WeightsLock).models[_MODEL]


def _loads(artifact: Path, embedder: Path, strategy: str) -> bool:
    try:
        return Router.load(read_unsigned(artifact), read_unsigned(embedder)).strategy == strategy
    except RouteIQError:
        return False
