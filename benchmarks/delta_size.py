"""How much a delta carries: after a changed line of ours, and after a changed wheel; on bundles that are really built.

    .venv/bin/python benchmarks/delta_size.py [--wheel NAME]…

Builds the commit that is checked out, then the same with one line of ours more, then with one wheel
repacked: a new version, one line more in one of its modules, a new hash in a copy of the lock and the pool.
Every build is a clone in a temporary folder. Each delta is applied and the result compared with the new tar, byte for
byte. From the layers of the first build it also says which wheel would cost most, measured by its limit. Prints a
Markdown table, writes results/delta_size.json; exit 1 when a limit is missed. Takes three minutes for each wheel and
line on two cores.
"""

import argparse
import base64
import csv
import filecmp
import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from routeiq_images.application import WHEELS
from routeiq_images.carry.apply import apply_delta
from routeiq_images.carry.delta_write import write_delta
from routeiq_signing.keys import load_public_key
from routeiq_signing.progress import QuietProgress
from routeiq_vendor.pool import Pool
from routeiq_vendor.wheels.store import Wheel, WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

ROOT = Path(__file__).resolve().parents[1]
RESULT = Path(__file__).parent / "results/delta_size.json"
PACKAGES = ("signing", "vendor", "images", "router", "appliance")
OURS = "appliance/routeiq_appliance/app.py"
MB = 1_000_000
MAX_LAYERS = 60


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--wheel", action="append", help="default: openai (large), typing-extensions (shares a layer)"
    )
    arguments = parser.parse_args()
    workspace = Workspace.find(os.environ)
    wheels = {
        wheel.name: wheel
        for wheel in WheelStore(workspace.pool, workspace.torch_index).fetch(
            load_lock(workspace.locks / "gateway.txt"), "gateway.txt", QuietProgress(), offline=True
        )
    }
    head = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(head, check=True, capture_output=True, text=True).stdout.strip()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="delta-size-") as name:
        folder = Path(name)
        old = build(clone(folder / "old", commit), workspace.pool.root)
        changed = clone(folder / "line", commit)
        with (changed / OURS).open("a") as file:
            file.write("# one line more\n")
        rows.append(row(f"one line of {OURS}", old, build(changed, workspace.pool.root), 2 * MB))
        for wanted in arguments.wheel or ["openai", "typing-extensions"]:
            wheel = wheels[wanted]
            changed = clone(folder / wanted, commit)
            pool = repack(wheel, workspace, folder / f"{wanted}-pool", changed / "vendor/locks/gateway.txt")
            new = build(changed, pool)
            rows.append(row(f"wheel {wanted} ({wheel.size / MB:.2f} MB)", old, new, limit(wheel)))
        layers = gateway_layers(old)
        most = max(layer_count(old).values())
    result: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpus": os.cpu_count(), "arch": platform.machine(), "python": platform.python_version()},
        "commit": commit,
        "rows": rows,
        "dearest": dearest(wheels, layers, max(item["overhead"] for item in rows)),
        "layers": most,
    }
    print(table(result))
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    met = all(item["delta"] <= item["limit"] for item in (*rows, result["dearest"])) and most <= MAX_LAYERS
    return 0 if met else 1


def limit(wheel: Wheel) -> int:
    return 2 * wheel.size + 2 * MB


def clone(folder: Path, commit: str) -> Path:
    subprocess.run(["git", "clone", "--quiet", "--no-checkout", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", commit], check=True)
    return folder


def build(source: Path, pool: Path) -> Path:
    """Build the bundle of the checkout `source` with its own code, with the wheels of `pool`."""
    packages = os.pathsep.join(str(source / name) for name in PACKAGES)
    environ = {**os.environ, "ROUTEIQ_POOL": str(pool), "PYTHONPATH": packages}
    command = [sys.executable, "-m", "routeiq_appliance.cli", "bundle", "create", "--offline"]
    subprocess.run(command, cwd=source, env=environ, check=True, stdout=subprocess.DEVNULL)
    (tar,) = (path for path in (source / "dist").glob("*.tar") if "inputs" not in path.name)
    return tar


def repack(wheel: Wheel, workspace: Workspace, root: Path, lock: Path) -> Path:
    """Put a new version of `wheel` into a pool of links at `root`, and into `lock`; return the pool."""
    subprocess.run(["cp", "-al", str(workspace.pool.root), str(root)], check=True)
    version = f"{wheel.version}.post99"
    path = root / wheel.filename.replace(f"-{wheel.version}-", f"-{version}-")
    before = f"-{wheel.version}.dist-info/"
    files: dict[str, bytes] = {}
    with zipfile.ZipFile(wheel.path) as archive:
        for name in archive.namelist():
            if not name.endswith("/"):
                files[name.replace(before, f"-{version}.dist-info/")] = archive.read(name)
    (record,) = (name for name in files if name.endswith(".dist-info/RECORD"))
    metadata = record.replace("/RECORD", "/METADATA")
    files[metadata] = files[metadata].replace(
        f"\nVersion: {wheel.version}\n".encode(), f"\nVersion: {version}\n".encode(), 1
    )
    module = max((name for name in files if name.endswith(".py")), key=lambda name: (len(files[name]), name))
    files[module] += b"\n# one line more\n"
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([name, "", ""] if name == record else [name, f"sha256={digest}", len(data)])
    files[record] = lines.getvalue().encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    WheelStore(Pool(root), workspace.torch_index).adopt([path])
    text = lock.read_text()
    pin = re.compile(
        rf"^{re.escape(wheel.name)}=={re.escape(wheel.version)} .*?(?=^\S)", re.MULTILINE | re.DOTALL
    )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    lock.write_text(pin.sub(f"{wheel.name}=={version} \\\\\n    --hash=sha256:{digest}\n", text, count=1))
    return root


def row(what: str, old: Path, new: Path, most: int) -> dict[str, Any]:
    """Make the delta, apply it, compare; return its size beside its limit (bytes)."""
    delta, again = new.with_suffix(".delta"), new.with_suffix(".again")
    made = write_delta(old, new, delta, QuietProgress())
    key = load_public_key(new.parent / "routeiq.pub")
    apply_delta(old, delta, again, key=key, progress=QuietProgress(), now=datetime.now(UTC))
    if not filecmp.cmp(new, again, shallow=False):
        raise SystemExit(f"{what}: the delta does not give the new tar")
    again.unlink()
    layers = {size for _, sizes in documents(new) for size in sizes.values()}
    carried = sum(entry.size for entry in made.files if entry.size in layers)
    return {
        "what": what,
        "delta": made.size,
        "limit": most,
        "files": len(made.files),
        "whole": made.new_size,
        "overhead": made.size - carried,
    }


def documents(tar: Path) -> list[tuple[str, dict[str, int]]]:
    """Return (image, comment → compressed bytes) of every image in a bundle."""
    found = []
    with tarfile.open(tar) as archive:

        def read(path: str) -> Any:
            return json.load(archive.extractfile(path))  # type: ignore[arg-type]

        for image in read("bundle.json")["images"]:
            manifest = read(f"blobs/sha256/{image['digest'][7:]}")
            config = read(f"blobs/sha256/{image['image_id'][7:]}")
            pairs = zip(config["history"], manifest["layers"], strict=True)
            found.append((image["name"], {history["created_by"]: layer["size"] for history, layer in pairs}))
    return found


def layer_count(tar: Path) -> dict[str, int]:
    return {name: len(layers) for name, layers in documents(tar)}


def gateway_layers(tar: Path) -> dict[str, int]:
    return dict(documents(tar))["routeiq-gateway"]


def dearest(wheels: dict[str, Wheel], layers: dict[str, int], overhead: int) -> dict[str, Any]:
    """Return the wheel whose layer, with what every delta carries, comes nearest to its limit."""
    planned = WHEELS.layers({name: wheel.size for name, wheel in wheels.items()})
    costs = {name: layers.get(f"wheels: {layer}", 0) + overhead for name, layer in planned.items()}
    name = max(costs, key=lambda name: costs[name] / limit(wheels[name]))
    return {"what": f"dearest wheel by its limit, {name}", "delta": costs[name], "limit": limit(wheels[name])}


def table(result: dict[str, Any]) -> str:
    lines = ["| change | delta | limit | of a whole bundle |", "|---|---|---|---|"]
    for item in result["rows"]:
        share = item["delta"] / item["whole"]
        lines.append(
            f"| {item['what']} | {item['delta'] / MB:.2f} MB | {item['limit'] / MB:.2f} MB | {share:.1%} |"
        )
    last = result["dearest"]
    lines.append(
        f"| {last['what']} (computed) | {last['delta'] / MB:.2f} MB | {last['limit'] / MB:.2f} MB | |"
    )
    return "\n".join([*lines, f"\nmost layers of an image: {result['layers']} (limit {MAX_LAYERS})"])


if __name__ == "__main__":
    sys.exit(main())
