"""The load generator: keep-alive connections, one request after the other on each, every answer checked and counted.

    python load.py '{"port": …, "key": …, "body": …, …}'      (the fields of `Plan`)

Runs in a process of its own and prints one JSON object. At the end each connection waits for the answer that is under
way, so that what it counted is what the server answered. Raw asyncio protocols on uvloop: some 25 µs a request.
"""

import asyncio
import json
import re
import resource
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import uvloop

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
EVENT = b"data: "
END = b"0\r\n\r\n"
COUNTER = "%%%%%%%%"
"""Replaced in the body by a number of the same width: no two prompts alike."""


@dataclass(frozen=True)
class Plan:
    """`seconds` or `per_connection` ends it; `rate` (requests/s, all connections) paces it; 0: as fast as it goes."""

    port: int
    body: str
    key: str = ""
    connections: int = 16
    seconds: float = 5.0
    per_connection: int = 0
    ramp_seconds: float = 0.0
    rate: float = 0.0
    events: int = 0
    wanted: str = ""
    first_number: int = 0
    longest_seconds: float = 30.0


@dataclass
class Tally:
    """What came back. Times in seconds."""

    answers: int = 0
    events: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    whole: "array[float]" = field(default_factory=lambda: array("d"))
    first: "array[float]" = field(default_factory=lambda: array("d"))
    started: float = 0.0
    ended: float = 0.0


class Run:
    """What the connections share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.tally = Tally()
        self.loop = asyncio.get_running_loop()
        self.open = plan.connections
        self.done = asyncio.Event()
        self.stop_at = float("inf")
        self.wanted = plan.wanted.encode()
        self.unique = COUNTER in plan.body
        self.number = plan.first_number
        body = plan.body.encode()
        lines = [
            "POST /v1/chat/completions HTTP/1.1", f"host: 127.0.0.1:{plan.port}", "content-type: application/json",
            f"content-length: {len(body)}", *([f"authorization: Bearer {plan.key}"] if plan.key else []),
        ]  # fmt: skip
        self.request = "\r\n".join([*lines, "", ""]).encode() + body

    def next_request(self) -> bytes:
        if not self.unique:
            return self.request
        self.number += 1
        return self.request.replace(COUNTER.encode(), b"%0*d" % (len(COUNTER), self.number))

    def closed(self) -> None:
        self.open -= 1
        if not self.open:
            self.done.set()


class Connection(asyncio.Protocol):
    """One keep-alive connection: sends, waits for the whole answer, checks it, sends again."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.sent = 0
        self.begun = 0.0
        self.due = 0.0
        self.data = b""
        self.size = -1  # of head and body; -1: the head is not whole, -2: chunked
        self.running = self.over = False
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.due = time.perf_counter()
        self.send()

    def send(self) -> None:
        now = time.perf_counter()
        plan = self.run.plan
        if now >= self.run.stop_at or (plan.per_connection and self.sent >= plan.per_connection):
            self.over = True
            self.transport.close()
            return
        self.sent += 1
        self.begun = now
        self.data, self.size, self.running = b"", -1, True
        self.transport.write(self.run.next_request())

    def data_received(self, data: bytes) -> None:
        if not self.running:
            self.run.tally.wrong["bytes that nobody asked for"] += 1
            return
        if not self.data:
            self.run.tally.first.append(time.perf_counter() - self.begun)
        self.data = data = self.data + data if self.data else data
        if self.size == -1:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                return
            found = LENGTH.search(data, 0, end)
            self.size = end + 4 + int(found[1]) if found else -2
        if len(data) >= self.size if self.size >= 0 else data.endswith(END):
            self.answered()

    def answered(self) -> None:
        tally, plan, data = self.run.tally, self.run.plan, self.data
        self.running = False
        now = tally.ended = time.perf_counter()
        tally.whole.append(now - self.begun)
        if data[9:12] != b"200":
            tally.wrong[f"status {data[9:12].decode(errors='replace')}"] += 1
        elif self.run.wanted not in data:
            tally.wrong["not the upstream's answer"] += 1
        else:
            tally.answers += 1
            if plan.events:
                self.count_events()
        if not plan.rate:
            self.send()
            return
        self.due += plan.connections / plan.rate
        self.run.loop.call_later(max(0.0, self.due - now), self.send)

    def count_events(self) -> None:
        events = self.data.count(EVENT)
        self.run.tally.events += events
        if events < self.run.plan.events:
            self.run.tally.wrong[f"stream of {events} events"] += 1

    def connection_lost(self, error: Exception | None) -> None:
        if self.over:
            self.run.closed()
            return
        tally = self.run.tally
        if self.running or not self.sent:
            tally.wrong[f"connection lost: {error or 'closed early'}"] += 1
        self.over = True
        if time.perf_counter() < self.run.stop_at and not self.run.plan.per_connection:
            self.run.loop.create_task(connect(self.run))
            return
        self.run.closed()


async def connect(run: Run, after: float = 0.0) -> None:
    await asyncio.sleep(after)
    try:
        await run.loop.create_connection(lambda: Connection(run), "127.0.0.1", run.plan.port)
    except OSError as error:
        run.tally.wrong[f"cannot connect: {error.strerror}"] += 1
        run.closed()


async def drive(plan: Plan) -> dict[str, Any]:
    run = Run(plan)
    run.tally.started = time.perf_counter()
    if not plan.per_connection:
        run.stop_at = run.tally.started + plan.seconds
    count = plan.connections
    async with asyncio.TaskGroup() as group:
        for index in range(count):
            group.create_task(connect(run, plan.ramp_seconds * index / count))
    late = (0.0 if plan.per_connection else plan.seconds) + plan.longest_seconds
    try:
        await asyncio.wait_for(run.done.wait(), late)
    except TimeoutError:
        run.tally.wrong["answers that did not end"] += run.open
    return summary(run.tally)


def summary(tally: Tally) -> dict[str, Any]:
    seconds = max(tally.ended - tally.started, 1e-9)
    return {
        "answers": tally.answers,
        "seconds": round(seconds, 3),
        "rps": round(tally.answers / seconds, 1),
        "events": tally.events,
        "p50_ms": percentile(tally.whole, 0.5),
        "p99_ms": percentile(tally.whole, 0.99),
        "first_p50_ms": percentile(tally.first, 0.5),
        "first_p99_ms": percentile(tally.first, 0.99),
        "wrong": dict(tally.wrong),
        "client_cpu_seconds": round(time.process_time(), 3),
    }


def percentile(values: "array[float]", share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 4) if ordered else None


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(json.dumps(uvloop.run(drive(Plan(**json.loads(sys.argv[1]))))))
