"""`make demo`, as a person who has just cloned the repository runs it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from routeiq_appliance.cli.demo.prepare import Prepared

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose TMPDIR marks everything that the demo starts."""
    kept = {name: value for name, value in os.environ.items() if name not in {"CHECK", "VIRTUAL_ENV"}}
    return {**kept, "TMPDIR": str(tmp_path)}


def left_behind(mark: Path) -> list[str]:
    """Return the processes that carry the mark (a namespace lives as long as one of them), and files below it."""
    found = [path.name for path in mark.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            if f"TMPDIR={mark}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_make_demo_check_passes_and_leaves_nothing(
    prepared: Prepared, environ: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "demo", "CHECK=1"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The capital of France is Paris." in done.stdout
    assert re.findall(r"x-routeiq-model: (\w+)", done.stdout) == ["small", "large"]
    assert set(re.findall(r"x-routeiq-strategy: ([\w-]+)", done.stdout)) == {"ml-guarded"}
    assert "egress     0 packets left the sealed network" in done.stdout
    assert int(re.findall(r"(\d+) packets when something inside dialled out on purpose", done.stdout)[0]) >= 3
    assert left_behind(tmp_path) == []


def test_it_stays_up_for_curl_until_ctrl_c(
    prepared: Prepared, environ: dict[str, str], tmp_path: Path
) -> None:
    # In a session of its own, or Ctrl-C would stop the tests as well.
    with subprocess.Popen(
        [sys.executable, "-m", "routeiq_appliance.cli", "demo"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environ, cwd=ROOT, text=True, start_new_session=True,
    ) as demo:  # fmt: skip
        try:
            assert demo.stdout is not None
            said = []
            for line in demo.stdout:
                said.append(line)
                if "up until Ctrl-C" in line:
                    break
            text = "".join(said)
            assert len(left_behind(tmp_path)) > 5  # the search finds what is running
            url = re.findall(r"^url +(\S+)", text, re.MULTILINE)[0]
            key = re.findall(r"^key +(\S+)", text, re.MULTILINE)[0]
            request = urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {key}"})
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert [model["id"] for model in json.load(answer)["data"]] == ["auto", "small", "large"]
            demo.send_signal(signal.SIGINT)
            rest = demo.stdout.read()
            assert demo.wait(30) == 0, text + rest
            assert "egress     0 packets left the sealed network since" in rest
        finally:
            demo.kill()
    assert left_behind(tmp_path) == []


def test_where_no_namespace_is_possible_it_says_so_and_goes_on(
    prepared: Prepared, environ: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "routeiq_appliance.cli", "demo", "--check"],
        cwd=ROOT,
        env={**environ, "PATH": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NO SEALED NETWORK on this host: tools of the sealed network: not installed:" in done.stderr
    assert "egress     not sealed, so no packet count; dials that the gateway refused: 0" in done.stdout
    assert "packets left" not in done.stdout
    assert re.findall(r"x-routeiq-model: (\w+)", done.stdout) == ["small", "large"]
    assert left_behind(tmp_path) == []
