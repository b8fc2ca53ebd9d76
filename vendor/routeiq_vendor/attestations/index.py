"""Gets provenance objects of wheels from the index that pip is configured for. The adapter to `ask.py`."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from routeiq_signing.progress import Progress
from routeiq_vendor.attestations import ask
from routeiq_vendor.attestations.document import MAX_PROVENANCE
from routeiq_vendor.errors import DownloadError

__all__ = ["Answers", "ask_index"]


@dataclass(frozen=True, slots=True)
class Answers:
    """`found`: wheel's file name → the file with its provenance. `faults`: projects that could not be asked.

    `speaks_json`: some answer was of the JSON form, so an absent provenance means that the wheel has none.
    """

    found: Mapping[str, Path]
    faults: tuple[str, ...]
    speaks_json: bool


def ask_index(wanted: Mapping[str, Sequence[str]], into: Path, progress: Progress) -> Answers:
    """Ask for the provenance of files by project; what is found is downloaded into the folder `into`, unchecked.

    Raises `DownloadError` when pip itself cannot be run.
    """
    request = {"into": str(into), "limit": MAX_PROVENANCE, "files": {k: list(v) for k, v in wanted.items()}}
    found: dict[str, Path] = {}
    faults: list[str] = []
    speaks_json = False
    with (
        progress.task("ask for attestations", len(wanted), "project") as advance,
        subprocess.Popen(
            [sys.executable, str(Path(ask.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as asking,
    ):
        if asking.stdin is None or asking.stdout is None:
            raise AssertionError("both are pipes")
        asking.stdin.write(json.dumps(request))
        asking.stdin.close()
        for line in asking.stdout:
            answer = json.loads(line)
            found |= {name: Path(path) for name, path in answer["found"].items()}
            speaks_json = speaks_json or bool(answer["json"])
            if answer["fault"] and not answer["found"]:
                faults.append(f"{answer['project']} ({answer['fault']})")
            advance(1)
    if asking.returncode != 0:
        raise DownloadError(
            "pip could not be asked for its index",
            hint="check `python -m pip config list` of the build environment",
        )
    return Answers(found, tuple(faults), speaks_json)
