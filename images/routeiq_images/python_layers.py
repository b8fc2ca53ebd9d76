"""The Python part of an image: wheels installed without network or scripts, compiled by the target's interpreter.

pip installs from a view of the pool with `--no-index --require-hashes`, so a wheel that is missing or is another
stops the build (A2). Its entry scripts, which name the builder's Python, are taken out again. Bytecode carries a
hash instead of a time and is never checked at run time, as the root is read-only.
"""

import csv
import fnmatch
import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from routeiq_images.errors import ImagesError
from routeiq_images.layer import LAYER_MTIME
from routeiq_images.tree import Tree

__all__ = [
    "SITE_PACKAGES",
    "build_own_wheels",
    "compile_tree",
    "entry_script",
    "folder_tree",
    "install_wheels",
    "owners",
    "prune",
]

SITE_PACKAGES = "usr/local/lib/python3.11/dist-packages"  # on Debian's sys.path, and no package's


def install_wheels(requirements: Iterable[str], wheels: Path, into: Path) -> None:
    """Install exactly `requirements` (pip lines with hashes) from the folder `wheels` into the folder `into`."""
    into.mkdir(parents=True)
    listing = into.with_suffix(".txt")
    listing.write_text("\n".join(requirements) + "\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", f"--find-links={wheels}"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--no-compile", "--no-cache-dir"]
    command += ["--no-warn-script-location", "--disable-pip-version-check", "--target", str(into)]
    settings = {"PIP_CONFIG_FILE": os.devnull}
    _run([*command, "--requirement", str(listing)], settings, "install wheels")
    _forget_scripts(into)


def build_own_wheels(packages: Sequence[Path], into: Path) -> list[str]:
    """Build a wheel of each folder into `into`; return their pip lines, pinned and hashed like any other."""
    into.mkdir(parents=True, exist_ok=True)
    lines = []
    for package in packages:
        before = set(into.iterdir())
        command = [sys.executable, "-m", "flit_core.wheel", "--outdir", str(into), str(package)]
        _run(command, {"SOURCE_DATE_EPOCH": str(LAYER_MTIME)}, f"build the wheel of {package.name}")
        (wheel,) = set(into.iterdir()) - before
        name, version = wheel.name.split("-")[:2]
        with wheel.open("rb") as file:
            lines.append(f"{name}=={version} --hash=sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
    return lines


def prune(folder: Path, drop: Sequence[str], keep: Sequence[str]) -> None:
    """Delete installed files that a glob of `drop` names and none of `keep`, and what RECORD says of them."""
    gone = set()
    for path in sorted(folder.rglob("*"), reverse=True):
        inside = path.relative_to(folder).as_posix()
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif _matches(inside, drop) and not _matches(inside, keep) and ".dist-info/" not in inside:
            path.unlink()
            gone.add(inside)
    for record in folder.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines(keepends=True)
        record.write_text("".join(line for line in lines if line.rsplit(",", 2)[0] not in gone))


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


def owners(folder: Path) -> dict[str, str]:
    """Return file → distribution (as indexes spell it), by what RECORD says; bytecode belongs to its module's owner.

    A file that two distributions claim is the first one's by name.
    """
    found: dict[str, str] = {}
    for record in sorted(folder.glob("*.dist-info/RECORD"), reverse=True):
        name = re.sub(r"[-_.]+", "-", record.parent.name.partition("-")[0]).lower()  # PEP 503
        with record.open(newline="") as lines:
            found.update((row[0], name) for row in csv.reader(lines) if row)
    for path in folder.rglob("__pycache__/*.pyc"):
        module = path.parent.parent / f"{path.name.partition('.')[0]}.py"
        owner = found.get(module.relative_to(folder).as_posix())
        if owner is not None:
            found[path.relative_to(folder).as_posix()] = owner
    return found


def compile_tree(folder: Path, place: str, interpreter_root: Path) -> None:
    """Compile every module below `folder`, which will be at `/place`, with the interpreter of the image itself."""
    libraries = interpreter_root / "usr" / "lib" / "x86_64-linux-gnu"
    python = interpreter_root / "usr" / "bin" / "python3.11"
    command = [
        str(python),
        "-I",
        "-B",
        "-m",
        "compileall",
        "-q",
        "-j",
        "2",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    # -B: what the interpreter imports for its own use would be compiled with times in it, and then be left as it is.
    # Bad modules (templates, other Pythons' syntax) are reported and left uncompiled; the import would fail as well
    command += ["-s", str(folder), "-p", f"/{place}", str(folder)]
    environment = {"LD_LIBRARY_PATH": str(libraries), "PATH": "/usr/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode not in {0, 1} or not any(folder.rglob("*.pyc")):
        raise ImagesError(
            f"{python}: cannot compile: {(result.stderr or result.stdout)[-400:]}", subject=str(python)
        )


def entry_script(entry: str) -> bytes:
    """Return the console script of `entry` (`module:function`), isolated from the user's environment."""
    module, function = entry.split(":")
    lines = [
        "#!/usr/bin/python3.11 -I",
        "import sys",
        "",
        f"from {module} import {function}",
        "",
        f"sys.exit({function}())",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def folder_tree(folder: Path, place: str) -> Tree:
    """Return the tree of an installed folder at `place`."""
    tree = Tree()
    tree.folder(place, folder)
    return tree


def _forget_scripts(into: Path) -> None:
    """Remove `bin/` and what RECORD says of it: its scripts name the builder's Python, and hash so too."""
    scripts = into / "bin"
    if scripts.is_dir():
        for path in sorted(scripts.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        scripts.rmdir()
    for record in into.glob("*.dist-info/RECORD"):
        lines = record.read_text().splitlines()
        kept = [line for line in lines if not line.startswith(("../../bin/", "bin/"))]
        record.write_text("".join(f"{line}\n" for line in sorted(kept)))


def _run(command: Sequence[str], environment: Mapping[str, str], what: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    result = subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, check=False
    )
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise ImagesError(f"{what}: {said[-1] if said else 'failed'}", subject=what, hint="run `make fetch`")
