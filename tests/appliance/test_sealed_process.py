"""Processes that are always stopped, and say what went wrong (real ones, without a namespace)."""

import sys
import time
from pathlib import Path

import pytest

from routeiq_appliance.cli.sealed.errors import ProcessError
from routeiq_appliance.cli.sealed.process import Service

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print(child.pid, flush=True)
time.sleep(1000)
"""


def service(program: str, log: Path, **options: float) -> Service:
    return Service("thing", [sys.executable, "-c", program], log=log, **options)  # type: ignore[arg-type]


def test_a_process_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with (
        service("import sys; sys.exit('no model')", tmp_path / "log") as thing,
        pytest.raises(ProcessError, match=r"^thing: ended with status 1:\nno model$"),
    ):
        thing.wait_until(lambda: False, seconds=20)


def test_a_process_that_is_late_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with service("print('loading', flush=True); import time; time.sleep(1000)", tmp_path / "log") as thing:
        thing.wait_until(lambda: "loading" in thing.said(), seconds=20)
        with pytest.raises(ProcessError, match=r"^thing: not ready after 0 s:\nloading$"):
            thing.wait_until(lambda: False, seconds=0)


def test_a_process_that_ignores_the_polite_signal_is_killed_with_its_children(tmp_path: Path) -> None:
    with service(STUBBORN, tmp_path / "log", stop_seconds=0.1) as thing:
        thing.wait_until(lambda: thing.said().strip().isdecimal(), seconds=20)
        child = int(thing.said())
        assert thing.stop() == -9
    # It is no child of ours, so nobody tells when the kill has reached it; it would sleep for much longer.
    for _ in range(200):
        if not _lives(child):
            return
        time.sleep(0.05)
    pytest.fail("its child lives on")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] not in {"Z", "X"}
    except FileNotFoundError:
        return False
