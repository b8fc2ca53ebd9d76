"""Loads the routing artifact and its embedder: only after signature and formats of both are checked, fail closed.

What is parsed are the bytes that were verified (`routeiq_signing.model_trust`); no file is opened a second time.
"""

import logging
from pathlib import Path

from routeiq_appliance.config.models import AutoSection
from routeiq_appliance.errors import ConfigError
from routeiq_router.router import Router
from routeiq_signing.keys import PublicKey, load_public_key
from routeiq_signing.model_trust import VerifiedModel, verify_model_folder

__all__ = ["load_router"]

_LOG = logging.getLogger(__name__)


def load_router(auto: AutoSection, *, models_path: Path, trust_key: Path | None, bundle_json: Path) -> Router:
    """Return the router of `auto.artifact`, warmed up; raises `RouteIQError` naming the file at fault."""
    if auto.artifact is None:
        raise ConfigError(
            "routeiq.auto.artifact: not set, but ROUTEIQ_STRATEGY is `ml`",
            subject="routeiq.auto.artifact",
            hint="name the artifact's folder below ROUTEIQ_MODELS_PATH, for example `artifact: routers/NAME`",
        )
    if trust_key is None:
        raise ConfigError(
            f"{auto.artifact}: cannot be verified, no key is trusted",
            subject=auto.artifact,
            hint="set ROUTEIQ_TRUST_KEY to the public key (PEM) that signed the bundle or the folder",
        )
    key = load_public_key(trust_key)
    artifact = _verify(models_path / auto.artifact, key, bundle_json, models_path)
    embedder = _verify(models_path / auto.embedder, key, bundle_json, models_path)
    router = Router.load(artifact.files, embedder.files)
    router.warm_up()
    return router


def _verify(folder: Path, key: PublicKey, bundle_json: Path, models_path: Path) -> VerifiedModel:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder", subject=str(folder), hint="check ROUTEIQ_MODELS_PATH")
    model = verify_model_folder(folder, key=key, bundle_json=bundle_json, models_root=models_path)
    _LOG.info(
        "model verified", extra={"model": model.name, "vouched_by": model.vouched_by, "files": model.digests}
    )
    return model
