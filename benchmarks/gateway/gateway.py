"""Our gateway as a user starts it: `routeiq serve --workers 1`, a generated key with limits and a budget, ledger on."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import yaml
from benchmarks.gateway import upstream
from benchmarks.gateway.machine import SUBJECT_CORE, pin

from routeiq_appliance.cli.demo.stack import Endpoint, free_port
from routeiq_appliance.cli.sealed.process import Service

__all__ = [
    "COST_PICO",
    "MASTER_KEY",
    "Gateway",
    "Ledger",
    "config_of",
    "gateway_command",
    "generate_key",
    "start",
]

MASTER_KEY = "sk-master-of-the-benchmark"
INPUT_PRICE, OUTPUT_PRICE = "0.000001", "0.000002"  # dollars per token
COST_PICO = {
    False: upstream.PROMPT_TOKENS * 10**6 + upstream.ANSWER_TOKENS * 2 * 10**6,
    True: upstream.PROMPT_TOKENS * 10**6 + upstream.STREAM_TOKENS * 2 * 10**6,
}
"""What one call must cost in pico-dollars, by whether it was streamed."""
# Large enough never to refuse, so that every counter is kept and compared on every call.
LIMITS = {"rpm_limit": 10**8, "tpm_limit": 10**11, "max_budget": 10**6}


@dataclass(frozen=True)
class Ledger:
    """Rows of one key, and what they cost; `odd` are rows that are not an answered call with the upstream's usage."""

    rows: int
    streams: int
    cost: int
    odd: int
    spend: int


@dataclass
class Gateway:
    """A running gateway and its key. `answers` are those that the clients counted, by whether they were streamed."""

    name: str
    service: Service
    port: int
    folder: Path
    key: str
    key_id: str
    database_url: str | None
    answers: dict[bool, int] = field(default_factory=lambda: {False: 0, True: 0})

    @property
    def pid(self) -> int:
        return self.service.pid

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(f"http://127.0.0.1:{self.port}", MASTER_KEY)

    def ledger(self) -> Ledger:
        """Read the database itself."""
        # Both engines take this text; `%s` and `?` are the only difference.
        rows = (
            "SELECT count(*), coalesce(sum(CASE WHEN stream THEN 1 ELSE 0 END), 0), coalesce(sum(cost), 0),"
            " coalesce(sum(CASE WHEN status = 200 AND NOT estimated THEN 0 ELSE 1 END), 0)"
            " FROM calls WHERE key_id = ?"
        )
        spend = "SELECT coalesce(sum(amount), 0) FROM spend WHERE scope = ?"
        if self.database_url is None:
            connection = sqlite3.connect(f"file:{self.folder}/data/routeiq.sqlite3?mode=ro", uri=True)
            try:
                counted = connection.execute(rows, (self.key_id,)).fetchone()
                spent = connection.execute(spend, (f"key:{self.key_id}",)).fetchone()
            finally:
                connection.close()
        else:
            with psycopg.connect(self.database_url) as database:
                counted = database.execute(rows.replace("?", "%s"), (self.key_id,)).fetchone()
                spent = database.execute(spend.replace("?", "%s"), (f"key:{self.key_id}",)).fetchone()
        return Ledger(*(int(value) for value in counted), spend=int(spent[0]))

    def shipped(self, *, seconds: float = 20.0) -> Ledger:
        """Wait until as many rows are in the database as answers were counted; returns what is there then."""
        deadline = time.monotonic() + seconds
        while (ledger := self.ledger()).rows < sum(self.answers.values()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return ledger


def config_of(upstream_port: int, extra: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return `config.yaml`: `fake` is two deployments in turn, `slow` streams slowly. `extra`: more of `routeiq:`."""
    params = {
        "api_base": f"http://127.0.0.1:{upstream_port}/v1",
        "api_key": "sk-upstream",
        "input_cost_per_token": float(INPUT_PRICE),
        "output_cost_per_token": float(OUTPUT_PRICE),
    }
    groups = [("fake", "fake"), ("fake", "fake"), ("slow", "fake-slow"), ("small", "fake"), ("large", "fake")]
    return {
        "model_list": [
            {"model_name": group, "litellm_params": {"model": f"openai/{model}", **params}}
            for group, model in groups
        ],
        "router_settings": {"routing_strategy": "round-robin"},
        "routeiq": {"egress": "open", "canaries": [], **(extra or {})},
    }


def gateway_command(config: Path, port: int) -> list[str]:
    """Return the command that a user types."""
    program = Path(sys.executable).with_name("routeiq")
    return [str(program), "serve", "--config", str(config), "--port", str(port), "--workers", "1"]


def start(
    name: str, folder: Path, config: Mapping[str, Any], environ: Mapping[str, str], *, pinned: bool = True
) -> tuple[Service, int]:
    """Start a gateway that keeps everything in `folder`; returns it and its port, before it is ready."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(dict(config), sort_keys=False), encoding="utf-8")
    environ = {
        **environ,
        "LITELLM_MASTER_KEY": MASTER_KEY,
        "ROUTEIQ_DATA_DIR": str(folder / "data"),
        "ROUTEIQ_METRICS_HOST": "127.0.0.1",
        "ROUTEIQ_METRICS_PORT": str(free_port()),
    }
    if "DATABASE_URL" in environ:
        migrate = [str(Path(sys.executable).with_name("routeiq")), "admin", "migrate"]
        subprocess.run(migrate, env=environ, check=True, capture_output=True)
    port = free_port()
    command = [*(pin(SUBJECT_CORE) if pinned else ()), *gateway_command(path, port)]
    return Service(name, command, log=folder / "gateway.log", environ=environ), port


def generate_key(port: int) -> tuple[str, str]:
    """Return a new key with rpm, tpm and budget, and its id."""
    _, answer = Endpoint(f"http://127.0.0.1:{port}", MASTER_KEY).post("/key/generate", LIMITS)
    missing = [name for name, value in LIMITS.items() if answer.get(name) != value]
    if missing:
        raise RuntimeError(f"/key/generate: did not set {', '.join(missing)}: {json.dumps(answer)[:400]}")
    return answer["key"], answer["token_id"]
