"""A stock LiteLLM with `routeiq-router` installed beside it, in a throw-away environment.

LiteLLM's own environment is the one that `benchmarks/gateway` makes, so that it is installed once; a second one on top
of it sees its packages. There pip installs the distribution of this tree from a folder of wheels, as a site would;
what it depends on and LiteLLM lacks is made visible from the tests' environment.
"""

import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gateway.litellm_proxy import environment

__all__ = ["QUIET", "make_environment"]

_ROOT = Path(__file__).parents[2]
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_OFFLINE_MODE": "true", "LITELLM_TELEMETRY": "False",
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1",
}  # fmt: skip


def make_environment(folder: Path) -> Path:
    """Return the interpreter of a new environment in `folder`."""
    stock = _packages(environment())
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = _packages(folder)
    (packages / "stock.pth").write_text(f"{stock}\n", encoding="utf-8")
    for path in _missing("routeiq-router", stock):
        (packages / path.name).symlink_to(path)
    wheels = folder / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    sources = [str(_ROOT / name) for name in ("signing", "router")]
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), *sources]
    subprocess.run([*pip, *build], check=True)
    python = folder / "bin" / "python"
    install = ["install", "--quiet", "--no-index", "--find-links", str(wheels), "routeiq-router"]
    subprocess.run([*pip, "--python", str(python), *install], check=True)
    return python


def _packages(folder: Path) -> Path:
    return folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"


def _missing(name: str, stock: Path) -> Iterator[Path]:
    """Yield the files and folders of packages that `name` needs and LiteLLM's environment lacks, but our own."""
    wanted, seen = [name], set()
    while wanted:
        each = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if each in seen:
            continue
        seen.add(each)
        try:
            found = importlib.metadata.distribution(each)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform; pip says so if not
        needs = [item for item in found.requires or () if "extra ==" not in item]
        wanted += [re.split(r"[^A-Za-z0-9._-]", item, maxsplit=1)[0] for item in needs]
        own = each.startswith("routeiq-")
        if own or any(stock.glob(f"{each.replace('-', '_')}-*.dist-info")):
            continue
        home = Path(str(found.locate_file("")))
        for top in {Path(str(file)).parts[0] for file in found.files or ()} - {"..", "__pycache__"}:
            yield home / top
