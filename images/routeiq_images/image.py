"""An image's configuration and manifest (OCI image-spec 1.1) from its definition and layers.

No time of a build goes in: `created` is the constant of the layers, so an image changes only when its content does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from routeiq_images.blobs import MANIFEST_MEDIA_TYPE, BlobStore
from routeiq_images.definition import Definition
from routeiq_images.layer import LAYER_MEDIA_TYPE, LAYER_MTIME, Layer

__all__ = ["Image", "write_image"]

CREATED = datetime.fromtimestamp(LAYER_MTIME, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
_SECOND = 1_000_000_000  # Docker counts health check times in nanoseconds
_CONFIG_MEDIA_TYPE = "application/vnd.oci.image.config.v1+json"


@dataclass(frozen=True)
class Image:
    """A built image: `digest` of its manifest, `image_id` of its configuration, layers from the bottom."""

    name: str
    tag: str
    digest: str
    image_id: str
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Compressed bytes of all layers."""
        return sum(layer.size for layer in self.layers)


def write_image(definition: Definition, version: str, layers: list[Layer], store: BlobStore) -> Image:
    """Put configuration and manifest of the image into `store`."""
    image_id = store.add_json(_config(definition, version, layers))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_MEDIA_TYPE,
        "config": store.descriptor(image_id, _CONFIG_MEDIA_TYPE),
        "layers": [store.descriptor(layer.digest, LAYER_MEDIA_TYPE) for layer in layers],
        "annotations": _labels(definition, version),
    }
    tag = f"routeiq.local/{definition.name}:{version}"
    return Image(definition.name, tag, store.add_json(manifest), image_id, tuple(layers))


def _labels(definition: Definition, version: str) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": definition.title,
        "org.opencontainers.image.description": definition.description,
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.vendor": "RouteIQ",
        "org.opencontainers.image.licenses": "Apache-2.0",
    }


def _config(definition: Definition, version: str, layers: list[Layer]) -> dict[str, Any]:
    health = definition.health
    config = {
        "User": definition.user,
        "WorkingDir": definition.workdir,
        "Entrypoint": definition.entrypoint,
        "Env": [f"{name}={value}" for name, value in sorted(definition.env.items())],
        "ExposedPorts": {port: {} for port in definition.ports},
        "Volumes": {volume: {} for volume in definition.volumes},
        "StopSignal": definition.stop_signal,
        "Labels": _labels(definition, version),
        "Healthcheck": {
            "Test": health.test,
            "Interval": health.interval * _SECOND,
            "Timeout": health.timeout * _SECOND,
            "StartPeriod": health.start_period * _SECOND,
            "Retries": health.retries,
        },
    }
    if definition.cmd:
        config["Cmd"] = definition.cmd
    return {
        "architecture": "amd64",
        "os": "linux",
        "created": CREATED,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [
            {"created": CREATED, "created_by": layer.comment, "comment": "routeiq"} for layer in layers
        ],
    }
