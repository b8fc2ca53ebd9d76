import json
import logging
import os
import pty
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.telemetry.logs import CallLog, JsonFormatter, LineWriter

ROW = {"id": "c1", "started_at": "2026-11-21T08:00:00.000001+00:00", "asked": "auto", "group": "small", "status": 200,
       "duration_ms": 12, "trace_id": "0af7651916cd43dd8448eb211c80319c", "decision": {"strategy": "knn"}}  # fmt: skip


class Lines:
    """A pipe whose reader reads when told to."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def read(self) -> list[dict[str, Any]]:
        os.set_blocking(self.read_end, False)
        found = b""
        try:
            while part := os.read(self.read_end, 1 << 20):
                found += part
        except BlockingIOError:
            pass
        return [json.loads(line) for line in found.splitlines()]

    def close(self) -> None:
        os.close(self.read_end)
        os.close(self.write_end)


def test_every_line_is_json_and_secrets_are_cut_out() -> None:  # K16, I8
    formatter = JsonFormatter("svc", iter(["planted-secret", 'with"quote']))
    record = logging.LogRecord("n", logging.INFO, "p", 1, "got %s", ("planted-secret",), None)
    record.model = 'x with"quote \n'
    record.trace_id = "0af7651916cd43dd8448eb211c80319c"
    entry = json.loads(formatter.format(record))
    assert entry["message"] == "got [redacted]"
    assert entry["model"] == "x [redacted] \n"
    assert entry["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert {"timestamp", "level", "service", "worker_id"} <= set(entry)
    assert "span_id" not in entry


@pytest.mark.parametrize("ending", ["", "\n"])
def test_a_calls_line_has_the_row_and_what_k16_asks_for(ending: str) -> None:  # K16
    pipe = Lines()
    log = CallLog(
        LineWriter(pipe.write_end), service="routeiq-gateway", worker_id=7, now=lambda: 1_795_000_000.25
    )
    log.write((json.dumps(ROW) + ending).encode(), span_id="b7ad6b7169203331", strategy="knn", model='sm"all')
    log.write(json.dumps(ROW).encode())
    first, second = pipe.read()
    assert first == ROW | {
        "timestamp": "2026-11-18T11:06:40.250+00:00", "level": "INFO", "service": "routeiq-gateway", "worker_id": 7,
        "message": "call", "span_id": "b7ad6b7169203331", "strategy": "knn", "model": 'sm"all',
    }  # fmt: skip
    assert not {"span_id", "strategy", "model"} & set(second)
    pipe.close()


def test_a_calls_line_obeys_the_level() -> None:
    pipe = Lines()
    log = CallLog(LineWriter(pipe.write_end), service="s", level="warning")
    log.write(json.dumps(ROW).encode())
    assert not log.enabled
    assert pipe.read() == []
    pipe.close()


@given(
    st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.none(), min_size=1),
    st.text(),
    st.floats(0, 4e9),
)
def test_any_row_makes_one_line_that_parses(row: dict[str, Any], model: str, now: float) -> None:
    written: list[bytes] = []

    class Writer:
        write = staticmethod(written.append)

    log = CallLog(Writer(), service='s"\n', now=lambda: now)  # type: ignore[arg-type]
    log.write(
        json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode(errors="replace"), model=model
    )
    (line,) = written
    assert line.count(b"\n") == 1
    assert json.loads(line)["service"] == row.get("service", 's"\n')


def test_a_reader_that_stops_costs_lines_and_never_time() -> None:
    pipe = Lines()
    writer = LineWriter(pipe.write_end)
    line = json.dumps({"text": "x" * 5_000}).encode() + b"\n"
    for _ in range(500):
        writer.write(line)  # a pipe of 1 MiB at most is full long before
    assert writer.dropped > 250
    missing = writer.dropped
    # What is in the pipe ends in the middle of a line.
    os.set_blocking(pipe.read_end, False)
    found = b""
    try:
        while part := os.read(pipe.read_end, 1 << 20):
            found += part
    except BlockingIOError:
        pass
    writer.write(b'{"text": "after"}\n')
    entries = [json.loads(item) for item in (found + os.read(pipe.read_end, 1 << 20)).splitlines()]
    assert entries[-2] == {"level": "WARNING", "message": "log lines dropped", "dropped": missing}
    assert entries[-1] == {"text": "after"}
    assert len(entries) == 500 - missing + 2
    assert writer.dropped == missing
    assert pipe.read() == []
    pipe.close()


def test_a_reader_that_is_gone_costs_lines_and_never_an_error() -> None:
    pipe = Lines()
    writer = LineWriter(pipe.write_end)
    os.close(pipe.read_end)
    writer.write(b"{}\n")
    assert writer.dropped == 1
    os.close(pipe.write_end)
    closed = LineWriter(987_654)
    closed.write(b"{}\n")
    assert closed.dropped == 1


def test_a_socket_as_stderr_never_waits() -> None:  # as systemd's journal gives
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = LineWriter(ours.fileno())
        writer.write(b'{"a": 1}\n')
        assert theirs.recv(100) == b'{"a": 1}\n'
        while not writer.dropped:
            writer.write(b"x" * 10_000)
        assert ours.getblocking()
        writer._send.__closure__[0].cell_contents.close()  # type: ignore[attr-defined,index]


def test_what_others_share_stays_as_it_was(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    writer = LineWriter(theirs)
    assert os.get_blocking(theirs)  # a shell reads from the same terminal
    writer.write(b"{}\n")
    assert os.read(ours, 100) == b"{}\r\n"
    os.close(ours)
    os.close(theirs)
    with (tmp_path / "log").open("wb") as file:
        file.write(b"kept\n")
        file.flush()
        LineWriter(file.fileno()).write(b"{}\n")
    assert (tmp_path / "log").read_bytes() == b"kept\n{}\n"


def test_lines_of_many_threads_stay_whole() -> None:
    pipe = Lines()
    writer = LineWriter(pipe.write_end)

    def write(number: int) -> None:
        for _ in range(200):
            writer.write(json.dumps({"n": number, "text": "x" * number * 100}).encode() + b"\n")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pipe.read()) == 800 - writer.dropped
    pipe.close()


_SCRIPT = """
import logging, sys
from routeiq_appliance.telemetry.logs import configure_logs
{before}
writer = configure_logs("info", service="svc", secrets=["planted-secret"])
log = logging.getLogger("ours")
log.info("one %s", "planted-secret", extra={{"span_id": "b7ad6b7169203331"}})
log.info("%d", "no number")
log.debug("not shown")
logging.getLogger("httpx").info("not shown")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


def test_the_process_logs_lines_and_survives_a_record_without_form() -> None:  # K16
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(before="")], capture_output=True, check=True, text=True
    )
    one, two, three = map(json.loads, done.stderr.splitlines())
    assert (one["message"], one["span_id"], one["service"]) == ("one [redacted]", "b7ad6b7169203331", "svc")
    assert two["message"] == "log record without form"
    assert (two["logger"], two["exception"]) == ("ours", "TypeError")
    assert "ZeroDivisionError" in three["exception"]
    assert done.stdout == ""


def test_a_process_without_stderr_writes_into_nobodys_connection() -> None:
    before = "import socket; taken = [socket.socket() for _ in range(3)]"
    script = _SCRIPT.format(before=before) + "\nassert sys.stderr is None and writer.dropped == 0"
    command = 'exec "$0" -c "$1" 2>&-'
    assert subprocess.run(["sh", "-c", command, sys.executable, script], check=False).returncode == 0
