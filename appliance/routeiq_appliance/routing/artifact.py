"""Loads the routing artifact and its embedder: only after signature and formats of both are checked, fail closed.

What is parsed are the bytes that were verified (`routeiq_signing.model_trust`); no file is opened a second time.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from routeiq_appliance.config.models import AutoSection
from routeiq_appliance.errors import ConfigError
from routeiq_router.router import Router
from routeiq_signing.keys import PublicKey
from routeiq_signing.model_keys import load_model_keys
from routeiq_signing.model_trust import VerifiedModel, verify_model_folder

__all__ = ["load_router"]

_LOG = logging.getLogger(__name__)


def load_router(
    auto: AutoSection,
    *,
    models_path: Path,
    trust_key: Path | None,
    bundle_json: Path,
    unsafe_artifacts: Sequence[str] = (),
) -> Router:
    """Return the router of `auto.artifact`, warmed up; raises `RouteIQError` naming the file at fault.

    `unsafe_artifacts` are the digests that the site allows beside the signer's mark (I5). Such files may lie in the
    folders; the router reads none of them.
    """
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
    keys = load_model_keys(trust_key)
    artifact = _verify(models_path / auto.artifact, keys, bundle_json, models_path, unsafe_artifacts)
    embedder = _verify(models_path / auto.embedder, keys, bundle_json, models_path, unsafe_artifacts)
    router = Router.load(_safe_files(artifact), _safe_files(embedder))
    router.warm_up()
    return router


def _safe_files(model: VerifiedModel) -> dict[str, bytes]:
    return {path: data for path, data in model.files.items() if path not in model.unsafe}


def _verify(
    folder: Path,
    keys: Sequence[PublicKey],
    bundle_json: Path,
    models_path: Path,
    unsafe_artifacts: Sequence[str],
) -> VerifiedModel:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder", subject=str(folder), hint="check ROUTEIQ_MODELS_PATH")
    model = verify_model_folder(
        folder,
        key=keys,
        bundle_json=bundle_json,
        models_root=models_path,
        allowed_unsafe=unsafe_artifacts,
    )
    _LOG.info(
        "model verified", extra={"model": model.name, "vouched_by": model.vouched_by, "files": model.digests}
    )
    for path, reason in model.unsafe.items():
        _LOG.warning(
            "model holds a file of an unsafe format by two consents; it is not loaded",
            extra={"model": model.name, "file": path, "sha256": model.digests[path], "reason": reason},
        )
    return model
