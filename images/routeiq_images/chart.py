"""Turns the folder of a Helm chart into the three blobs of an OCI artifact, byte for byte the same everywhere.

Decides the archive's form (which `helm package` leaves to the files' times and the process's umask) and the
manifest's. Leaves what is in the chart to `offline-helm/`, and writing blobs and naming the artifact to the
bundle. The media types are Helm's: https://helm.sh/docs/topics/registries/#helm-chart-manifest.
"""

import hashlib
import io
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import rfc8785
import yaml

from routeiq_images.errors import ImagesError

__all__ = [
    "CHART_CONFIG_MEDIA_TYPE",
    "CHART_LAYER_MEDIA_TYPE",
    "MANIFEST_MEDIA_TYPE",
    "ChartArtifact",
    "package_chart",
]

CHART_CONFIG_MEDIA_TYPE = "application/vnd.cncf.helm.config.v1+json"
CHART_LAYER_MEDIA_TYPE = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
MANIFEST_MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

_MAX_FILE = 1 << 20  # Helm itself refuses to read a file of a chart above 5 MiB; ours are texts
_MAX_CHART = 4 << 20
_MTIME = 315532800  # 1980-01-01, the constant of every layer of ours


@dataclass(frozen=True)
class ChartArtifact:
    """A chart as an OCI artifact: `manifest` names `config` and `layer` (a .tgz) by digest."""

    name: str
    version: str
    app_version: str
    config: bytes
    layer: bytes
    manifest: bytes


def package_chart(folder: Path, *, created: datetime) -> ChartArtifact:
    """Pack the chart in `folder`; only `created` and the files' names and bytes decide the result.

    `created` becomes `org.opencontainers.image.created` of the manifest, in UTC with whole seconds, and
    nothing else. Raises `ImagesError` for a folder that is no chart, or holds links, hidden files or files
    too large for Helm.
    """
    files = _read(folder)
    metadata = _metadata(folder, files.get("Chart.yaml"))
    name, version, app_version = (str(metadata[key]) for key in ("name", "version", "appVersion"))
    config = rfc8785.dumps(metadata)
    layer = _archive(name, files)
    annotations = {
        "org.opencontainers.image.created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "org.opencontainers.image.description": str(metadata.get("description", "")),
        "org.opencontainers.image.title": name,
        "org.opencontainers.image.version": version,
    }
    manifest = rfc8785.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "config": _descriptor(CHART_CONFIG_MEDIA_TYPE, config),
            "layers": [_descriptor(CHART_LAYER_MEDIA_TYPE, layer)],
            "annotations": annotations,
        }
    )
    return ChartArtifact(name, version, app_version, config, layer, manifest)


def _read(folder: Path) -> dict[str, bytes]:
    """Return {path inside the chart: bytes}, refusing what must not be carried."""
    files: dict[str, bytes] = {}
    total = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ImagesError(f"{path}: a chart holds regular files only", subject=relative)
        if any(part.startswith(".") and part != ".helmignore" for part in relative.split("/")):
            raise ImagesError(
                f"{path}: a hidden file has no place in a chart", subject=relative, hint="remove it"
            )
        if path.is_dir():
            continue
        data = path.read_bytes()
        total += len(data)
        if len(data) > _MAX_FILE or total > _MAX_CHART:
            raise ImagesError(
                f"{path}: too large for a chart (file {len(data)} B, chart {total} B)", subject=relative
            )
        files[relative] = data
    return files


def _metadata(folder: Path, text: bytes | None) -> dict[str, Any]:
    """Parse Chart.yaml; Helm's registry client shows it from the config blob."""
    if text is None:
        raise ImagesError(f"{folder}: no chart here, Chart.yaml is missing", subject="Chart.yaml")
    try:
        metadata = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ImagesError(f"{folder / 'Chart.yaml'}: not YAML: {error}", subject="Chart.yaml") from error
    required = ("apiVersion", "name", "version", "appVersion")
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(key), str) for key in required):
        raise ImagesError(
            f"{folder / 'Chart.yaml'}: {', '.join(required)} must be there and be strings",
            subject="Chart.yaml",
        )
    return metadata


def _archive(name: str, files: dict[str, bytes]) -> bytes:
    """Return the .tgz: ustar, Chart.yaml first (Helm's order), root's files with mode 0644 and one time."""
    from isal import igzip  # noqa: PLC0415 - only the build host has it; the mirror imports this package without

    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(files, key=lambda path: (path != "Chart.yaml", path)):
            member = tarfile.TarInfo(f"{name}/{path}")
            member.size, member.mode, member.mtime = len(files[path]), 0o644, _MTIME
            tar.addfile(member, io.BytesIO(files[path]))
    packed: bytes = igzip.compress(raw.getvalue(), 2, mtime=0)
    return packed


def _descriptor(media_type: str, blob: bytes) -> dict[str, str | int]:
    return {
        "mediaType": media_type,
        "digest": f"sha256:{hashlib.sha256(blob).hexdigest()}",
        "size": len(blob),
    }
