"""What the demo needs before anything starts: the LLM and its environment, models signed by the development key.

Everything comes from the pool, so a second run fetches nothing.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.keys import ensure_development_key
from routeiq_signing.model_trust import sign_model_folder
from routeiq_signing.progress import Progress
from routeiq_vendor.environment import ensure_environment
from routeiq_vendor.fetch import Purpose, ensure_console, fetch, layout_models
from routeiq_vendor.pool import digest_of
from routeiq_vendor.workspace import Workspace

__all__ = ["ARTIFACT", "Prepared", "prepare"]

ARTIFACT = "minilm-llmrouter-v3"
"""The pretrained routing artifact in `router/pretrained/`."""


@dataclass(frozen=True)
class Prepared:
    """Files of the demo. `llm_python` runs the LLM's server; `models` and `trust_key` are the gateway's settings."""

    llm_python: Path
    gguf: Path
    models: Path
    trust_key: Path
    console: Path


def prepare(workspace: Workspace, progress: Progress, *, offline: bool) -> Prepared:
    """Fetch what is missing, lay the models out under `build/dev/models` and sign them; raises `RouteIQError`."""
    found = fetch([Purpose.DEMO], workspace, progress, offline=offline, release=False)
    key = digest_of(workspace.locks / "demo.txt")
    python = ensure_environment(
        workspace.build / "venvs" / "demo",
        found.wheels["demo"],
        key=key,
        pool=workspace.pool,
        progress=progress,
    )
    signer = ensure_development_key(workspace.build / "keys")
    models = workspace.build / "dev" / "models"
    router = models / "routers" / ARTIFACT
    shutil.copytree(workspace.root / "router" / "pretrained" / ARTIFACT, router, dirs_exist_ok=True)
    for folder in (router, *layout_models(workspace, models)):
        sign_model_folder(folder, signer)
    return Prepared(
        llm_python=python,
        gguf=found.demo_models["smollm2"].files["smollm2.gguf"].path,
        models=models,
        trust_key=workspace.build / "keys" / "development.key.pub",
        console=ensure_console(workspace, progress, offline=offline),
    )
