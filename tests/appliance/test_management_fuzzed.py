"""schemathesis over the whole management API of a real gateway: all checks, every operation, no server error.

Its checks are all on. One is told what JSON Schema cannot say: valid data may be refused with 400 for one of
`_REASONS`, and for no other (`refused_for_a_reason`); a refusal that names a field's type or range is a schema that
lies.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.specs.openapi import checks as _openapi  # noqa: F401 - registers the checks
from tests.appliance.postgresql import running_postgresql

from routeiq_appliance.state.database import database_url, open_engine
from routeiq_appliance.state.migrate import migrate

_KEY = "sk-master-key-of-the-fuzzing"
_CONFIG = """
model_list:
  - model_name: small
    litellm_params: {model: openai/tiny, api_base: http://127.0.0.1:9/v1, api_key: sk-upstream-secret, timeout: 5}
  - model_name: large
    litellm_params: {model: openai/big, api_base: http://127.0.0.1:9/v1, api_key: sk-upstream-secret, timeout: 5}
routeiq: {egress: open, auto: {candidates: [small, large]}}
"""
_REASONS = re.compile(
    "there is no (group|organization|budget|team|user|model|such|strategy)|must hold printable characters only"
    "|is missing|is not the one of the path|is none of|sums are not of one request|LiteLLM has no such grouping"
    "|customers of callers are not kept|must look like 2026-11-21|must not hold the character U.0000"
    # What these may hold, the configuration's own schema says.
    "|^`(litellm_params|model_info)"
)
"""What is wrong with data that a schema cannot tell: names of what does not exist, fields of which one is needed."""
_CONFIGURED = {
    "generation": {"max-examples": 6, "database": "none"},
    "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401", "403", "404", "409"]}},
    "continue-on-failure": True,
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.e2e)])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A gateway in a process of its own."""
    (tmp_path / "config.yaml").write_text(_CONFIG)
    environ = {
        "PATH": os.environ["PATH"], "LITELLM_MASTER_KEY": _KEY, "ROUTEIQ_DATA_DIR": str(tmp_path / "data"),
        "ROUTEIQ_METRICS_PORT": "0", "STORE_MODEL_IN_DB": "true", "ROUTEIQ_STORE_KEY": "k" * 32,
    }  # fmt: skip
    if request.param == "sqlite":
        yield from _serving(environ, tmp_path)
        return
    with running_postgresql() as server:
        url = server.new_database()
        engine = open_engine(database_url(url, tmp_path))
        migrate(engine)
        engine.dispose()
        yield from _serving({**environ, "DATABASE_URL": url, "ROUTEIQ_PEPPER": "p" * 32}, tmp_path)


def _serving(environ: dict[str, str], folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "routeiq_appliance.cli", "serve", "--config", str(folder / "config.yaml"),
               "--port", "0"]  # fmt: skip
    log = folder / "log"
    with log.open("w") as stderr, subprocess.Popen(command, env=environ, stderr=stderr, text=True) as process:
        try:
            yield f"http://127.0.0.1:{_port(log, process)}"
        finally:
            process.terminate()
            assert process.wait(30) == 0
    text = log.read_text()
    assert "unexpected error" not in text, text[-4000:]
    assert _KEY not in text
    assert "sk-upstream-secret" not in text


def _port(log: Path, process: subprocess.Popen[str]) -> int:
    while process.poll() is None:
        lines = [
            json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")
        ]
        if any(line["message"] == "ready" for line in lines):
            return next(int(line["port"]) for line in lines if line.get("port"))
    raise AssertionError(log.read_text()[-4000:])


@pytest.fixture
def _check() -> Iterator[None]:
    @schemathesis.check
    def refused_for_a_reason(ctx: Any, response: Any, case: Any) -> None:
        del ctx
        positive = case.meta is not None and case.meta.generation.mode.is_positive
        if response.status_code == 400 and positive:
            said = response.json()["error"]["message"]
            if not _REASONS.search(said):
                raise AssertionError(said)

    yield
    schemathesis.checks.CHECKS.unregister("refused_for_a_reason")


@pytest.mark.usefixtures("_check")
def test_no_operation_fails_or_lies_whatever_it_is_sent(address: str) -> None:
    headers = {"Authorization": f"Bearer {_KEY}"}
    document = httpx.get(f"{address}/openapi.json", headers=headers).json()
    document["paths"] = {
        path: methods
        for path, methods in document["paths"].items()
        if any(operation.get("x-routeiq-management") for operation in methods.values())
    }
    wanted = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    config = SchemathesisConfig.from_dict({**_CONFIGURED, "seed": 1, "base-url": address, "headers": headers})
    schema = schemathesis.openapi.from_dict(document, config=config)
    reached: Counter[str] = Counter()
    statuses: Counter[int] = Counter()
    failures: dict[str, str] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError):
            failures[event.label] = f"{event.info.title}: {event.value}"
        if isinstance(event, events.ScenarioFinished):
            for identity, node in event.recorder.cases.items():
                interaction = event.recorder.interactions.get(identity)
                if interaction is None or interaction.response is None:
                    continue
                reached[node.value.operation.label] += 1
                statuses[interaction.response.status_code] += 1
            for found in event.recorder.checks.values():
                for info in (check.failure_info for check in found if check.failure_info is not None):
                    what = f"{event.recorder.label}: {info.failure.title}: {info.failure.message}"
                    failures[what] = info.code_sample
    assert not failures, "\n\n".join(f"{what}\n{sample[:600]}" for what, sample in failures.items())
    assert wanted <= reached.keys()
    assert [status for status in statuses if status >= 500] == []
    assert statuses[200] > len(wanted)
