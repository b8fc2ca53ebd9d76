"""How fast a bundle is verified, against nothing but hashing the same file, side by side in one run.

    .venv/bin/python benchmarks/verify_rate.py [TAR --key PUB] [--megabytes N] [--rounds N] [--out FILE]

Without TAR it signs a bundle of random bytes in a temporary folder (twice its size is needed there, see TMPDIR). Two
raw references, because neither is obviously the fair one: `hashlib.file_digest`, which is what one would type, and a
loop over one reused 1 MiB buffer, which is how the verifier reads. Every round runs all of them one after the other,
so that what else the machine does hits each; ratios are taken within a round, against the faster reference, and their
median counts. The file is in the page cache: this measures work, not the disk. Then each verifier runs once in a
process of its own, which tells its peak memory. Prints a Markdown table, writes results/verify_rate.json; exit 1 below
0.9 of the rate or above 80 MB.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.keys import PrivateKey, load_public_key
from routeiq_signing.manifest import (
    Attachments,
    BundleManifest,
    Chart,
    FileEntry,
    ImageEntry,
    InputsEntry,
    blob_path,
)
from routeiq_signing.progress import QuietProgress
from routeiq_signing.pyz import build_pyz
from routeiq_signing.strict_json import dumps

RESULT = Path(__file__).parent / "results/verify_rate.json"
REQUIRED, MOST = 0.9, 80_000_000
MIB = 1 << 20
LAYERS = 8
FILE_DIGEST, LOOP = "raw: hashlib.file_digest", "raw: 1 MiB buffer, reused"
COMMAND, STANDALONE = "routeiq bundle verify", "verify.pyz, with its start"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tar", nargs="?", type=Path)
    parser.add_argument("--key", type=Path, help="public key (PEM) of TAR")
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT, help="where the figures go as JSON")
    arguments = parser.parse_args()
    if (arguments.tar is None) != (arguments.key is None):
        parser.error("TAR and --key go together")
    with tempfile.TemporaryDirectory(prefix="verify-rate-") as folder:
        tar, key = arguments.tar, arguments.key
        if tar is None:
            tar, key = make_bundle(Path(folder), arguments.megabytes)
        pyz = Path(folder) / "verify.pyz"
        pyz.write_bytes(build_pyz())
        times = measure(runs_of(tar, key, pyz), arguments.rounds)
        result = summarise(times, tar.stat().st_size)
        for name, peak in peaks(tar, key, pyz).items():
            result["runs"][name]["peak_mb"] = round(peak / 1e6, 1)
    print(table(result))
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    return 0 if met(result) else 1


_PEAK = """
import re, runpy, sys
from pathlib import Path
program, *sys.argv[1:] = sys.argv[1:]
try:
    if program == "routeiq":
        from routeiq_appliance.cli.main import main
        main()
    else:
        runpy.run_path(program, run_name="__main__")
except SystemExit as stopped:
    if stopped.code:
        raise
sys.stderr.write(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1] + "\\n")
"""


def peaks(tar: Path, key: Path, pyz: Path) -> dict[str, int]:
    """Return each verifier's peak memory in bytes, as its own process tells it at its end."""
    found = {}
    for name, arguments in (
        (COMMAND, ["routeiq", "bundle", "verify", str(tar), "--key", str(key)]),
        (STANDALONE, [str(pyz), str(tar), "--key", str(key)]),
    ):
        command = [sys.executable, "-c", _PEAK, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = int(done.stderr.splitlines()[-1]) * 1024
    return found


def met(result: dict[str, Any]) -> bool:
    most = max(run.get("peak_mb", 0) for run in result["runs"].values())
    return bool(result["ratio"] >= REQUIRED and most * 1e6 <= MOST)


def runs_of(tar: Path, key: Path, pyz: Path) -> dict[str, Callable[[], object]]:
    public = load_public_key(key)
    command = [sys.executable, "-I", "-S", str(pyz), str(tar), "--key", str(key)]
    return {
        FILE_DIGEST: lambda: file_digest(tar),
        LOOP: lambda: reused_buffer(tar),
        COMMAND: lambda: verify_bundle_file(tar, key=public, progress=QuietProgress()),
        STANDALONE: lambda: subprocess.run(command, check=True, capture_output=True),
    }


def measure(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return each run's seconds by round, after one unmeasured round that fills the page cache."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - started)
    return times


def summarise(times: dict[str, list[float]], size: int) -> dict[str, Any]:
    raw = [min(pair) for pair in zip(times[FILE_DIGEST], times[LOOP], strict=True)]
    ratios = {
        name: statistics.median(best / own for best, own in zip(raw, seconds, strict=True))
        for name, seconds in times.items()
    }
    return {
        "bytes": size,
        "rounds": len(raw),
        "ratio": round(ratios[COMMAND], 3),
        "required": REQUIRED,
        "peak_mb_allowed": MOST / 1e6,
        "machine": {"cpus": os.cpu_count(), "arch": platform.machine(), "python": platform.python_version()},
        "runs": {
            name: {
                "gb_per_s": round(size / statistics.median(seconds) / 1e9, 3),
                "ratio": round(ratios[name], 3),
                "seconds": [round(second, 4) for second in seconds],
            }
            for name, seconds in times.items()
        },
    }


def table(result: dict[str, Any]) -> str:
    lines = [f"{result['bytes'] / 1e6:.0f} MB, {result['rounds']} rounds\n"]
    lines += ["| what | GB/s | of the faster raw | peak MB |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {run['gb_per_s']:.2f} | {run['ratio']:.2f} | {run.get('peak_mb', '')} |"
        for name, run in result["runs"].items()
    ]
    verdict = "met" if met(result) else "MISSED"
    return "\n".join([*lines, f"\nrequired {REQUIRED} and {MOST / 1e6:.0f} MB: {verdict}"])


def file_digest(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def reused_buffer(path: Path) -> str:
    digest, buffer = hashlib.sha256(), bytearray(MIB)
    view = memoryview(buffer)
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            digest.update(view[:count])
    return digest.hexdigest()


def make_bundle(folder: Path, megabytes: int) -> tuple[Path, Path]:
    """Write a bundle with one image of random layers, signed by a new key; return the tar and the public key."""
    key = PrivateKey.generate()
    public = folder / "trusted.pem"
    public.write_bytes(key.public.pem)
    files: dict[str, bytes] = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "README.txt": b"random\n",
    }
    layers = [random_blob(folder, megabytes * 1_000_000 // LAYERS) for _ in range(LAYERS)]
    config = b'{"architecture":"amd64","os":"linux"}'
    image = artifact(files, config, [entry for entry, _ in layers])
    sbom, chart = (artifact(files, note, []) for note in (b'{"of":"sbom"}', b'{"of":"chart"}'))
    documents = [
        {"mediaType": "m", "digest": item, "size": len(files[blob_path(item)])}
        for item in (image, sbom, chart)
    ]
    tag = "routeiq.local/random:0"
    files["index.json"] = dumps({"schemaVersion": 2, "manifests": documents})
    files["manifest.json"] = json.dumps(
        [
            {
                "Config": blob_path(digest_of(config)),
                "RepoTags": [tag],
                "Layers": [entry.path for entry, _ in layers],
            }
        ]
    ).encode()
    files["verify.pyz"] = build_pyz()
    entries = {
        name: FileEntry(name, hashlib.sha256(data).hexdigest(), len(data)) for name, data in files.items()
    }
    entries |= {entry.path: entry for entry, _ in layers}
    manifest = BundleManifest(
        name="random",
        version="0",
        channel="benchmark",
        sequence=1,
        created="2026-01-01T00:00:00Z",
        expires="2099-01-01T00:00:00Z",
        platform="linux/amd64",
        images=(ImageEntry("random", image, digest_of(config), tag, sbom),),
        models=(),
        chart=Chart("random", "0", chart),
        files=tuple(entries[name] for name in sorted(entries)),
        inputs=InputsEntry("none.tar", "0" * 64, 0),
        locks=(),
    )
    attachments = Attachments(digest_of(manifest.to_bytes()), (), ())
    tar = folder / "carried" / "random.tar"
    contents: dict[str, bytes | Path] = {**files, **{entry.path: path for entry, path in layers}}
    write_bundle_tar(tar, sign_head(manifest, attachments, key), contents, QuietProgress())
    for _, path in layers:
        path.unlink()
    return tar, public


def random_blob(folder: Path, size: int) -> tuple[FileEntry, Path]:
    digest, left = hashlib.sha256(), size
    beside = folder / "blob"
    with beside.open("wb") as out:
        while left:
            block = os.urandom(min(left, MIB))
            digest.update(block)
            out.write(block)
            left -= len(block)
    path = beside.rename(folder / digest.hexdigest())
    return FileEntry(f"blobs/sha256/{path.name}", path.name, size), path


def artifact(files: dict[str, bytes], config: bytes, layers: list[FileEntry]) -> str:
    """Put an OCI manifest and its config among `files`; return the manifest's digest."""
    parts = [{"digest": f"sha256:{layer.sha256}", "mediaType": "m", "size": layer.size} for layer in layers]
    described = {"digest": digest_of(config), "mediaType": "m", "size": len(config)}
    document = dumps({"schemaVersion": 2, "config": described, "layers": parts})
    for part in (config, document):
        files[blob_path(digest_of(part))] = part
    return digest_of(document)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


if __name__ == "__main__":
    sys.exit(main())
