"""Two deployments of the real LLM, one of them spoilt: `auto` follows the declared order until both are calibrated."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from routeiq_appliance.cli.demo.prepare import ARTIFACT, Prepared
from routeiq_appliance.cli.demo.stack import LLM_NAME, Endpoint, free_port, run_gateway, run_llm
from routeiq_signing.keys import PrivateKey, generate_key_files
from routeiq_signing.model_files import SIGNATURE_NAME
from routeiq_signing.model_trust import sign_model_folder

pytestmark = pytest.mark.e2e

GROUPS = ("spoilt", "sound")
"""In declared order: without calibration the worse one answers."""
SPOILT = {"repeat_penalty": 8.0}
"""llama.cpp's: the model may hardly use a word of the prompt again, or one that it has said."""
CAPITALS = {
    "France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Germany": "Berlin", "Japan": "Tokyo", "Egypt": "Cairo",
    "Greece": "Athens", "Russia": "Moscow", "China": "Beijing", "Portugal": "Lisbon", "Poland": "Warsaw",
    "Ireland": "Dublin", "Austria": "Vienna", "Norway": "Oslo", "Sweden": "Stockholm", "Hungary": "Budapest",
    "England": "London", "Cuba": "Havana", "Peru": "Lima", "Kenya": "Nairobi",
}  # fmt: skip
QUESTIONS = ("What is the capital of Finland?", "Name the capital of Denmark.", "Who wrote Hamlet?",
             "What is 6 + 3?", "Which planet is the largest?", "Add 2 and 4.")  # fmt: skip


def _suite(path: Path) -> Path:
    items = [(f"What is the capital of {country}?", city, "contains") for country, city in CAPITALS.items()]
    items += [(f"What is {a} + {b}?", a + b, "number") for a in (1, 2, 3, 4) for b in (1, 2, 3, 5, 6)]
    lines = [
        {
            "id": f"site-{number}",
            "prompt": prompt,
            "answer": answer,
            "check": check,
            "skill": check,
            "difficulty": 1,
        }
        for number, (prompt, answer, check) in enumerate(items)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def _config(llm: str, auto: Mapping[str, Any]) -> dict[str, Any]:
    params = {"model": f"openai/{LLM_NAME}", "api_base": f"{llm}/v1", "api_key": "os.environ/LLM_API_KEY"}
    return {
        "model_list": [
            {"model_name": "spoilt", "litellm_params": {**params, "extra_body": SPOILT}},
            {"model_name": "sound", "litellm_params": params},
        ],
        "routeiq": {"egress": "sealed", "canaries": [], "auto": {"candidates": list(GROUPS), **auto}},
    }


def _routeiq(*arguments: str, **environ: str) -> str:
    command = [sys.executable, "-m", "routeiq_appliance.cli", "router", *arguments]
    done = subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _ask_auto(endpoint: Endpoint) -> tuple[Counter[str], str]:
    """Return which groups answered, and the first decision's id."""
    answered: Counter[str] = Counter()
    decisions = []
    for question in QUESTIONS:
        body = {"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": question}]}
        headers, _ = endpoint.post("/v1/chat/completions", body)
        answered[headers["x-routeiq-model"]] += 1
        decisions.append(headers["x-routeiq-decision-id"])
    return answered, decisions[0]


def _models(prepared: Prepared, folder: Path, key: PrivateKey) -> Path:
    """Lay out the models of a site that trusts its own key."""
    embedder = Path("sentence-transformers") / "all-MiniLM-L6-v2"
    shutil.copytree(prepared.models / embedder, folder / embedder)
    (folder / embedder / SIGNATURE_NAME).unlink()
    sign_model_folder(folder / embedder, key)
    (folder / "routers").mkdir()
    return folder


def test_routed_traffic_shifts_after_calibration(prepared: Prepared, tmp_path: Path) -> None:
    # D3, D7: nothing calibrated: the declared order. Calibrated: who answers better, and why, by name.
    key_file, passphrase = tmp_path / "site.key", tmp_path / "passphrase"
    passphrase.write_text("of the site", encoding="ascii")
    site_key = generate_key_files(key_file, b"of the site")
    models = _models(prepared, tmp_path / "models", site_key)
    site = Prepared(prepared.llm_python, prepared.gguf, models, Path(f"{key_file}.pub"), prepared.console)
    llm_port, llm_key = free_port(), secrets.token_hex(12)
    config, out = tmp_path / "declared.yaml", models / "routers" / "site-v1"

    with run_llm(
        prepared.llm_python, prepared.gguf, inside=None, port=llm_port, api_key=llm_key, scratch=tmp_path
    ):
        llm = f"http://127.0.0.1:{llm_port}"
        declared, port = _config(llm, {}), free_port()
        config.write_text(yaml.safe_dump(declared), encoding="utf-8")
        before = tmp_path / "before"
        before.mkdir()
        with run_gateway(
            site, declared, inside=None, port=port, reached_at=port, llm_key=llm_key, scratch=before
        ) as (_, endpoint):
            assert _ask_auto(endpoint)[0] == {"spoilt": len(QUESTIONS)}
            told = _routeiq(
                "calibrate", "--artifact", str(prepared.models / "routers" / ARTIFACT), "--out", str(out),
                "--url", endpoint.url, "--config", str(config), "--no-shipped",
                "--suite", str(_suite(tmp_path / "suite.jsonl")),
                "--max-tokens", "10", "--trust-key", str(prepared.trust_key), "--embedder",
                str(prepared.models / "sentence-transformers" / "all-MiniLM-L6-v2"), "--key", str(key_file),
                "--passphrase-file", str(passphrase), "--json", ROUTEIQ_API_KEY=endpoint.key,
            )  # fmt: skip
        report = json.loads(told)
        assert report["ranking"] == ["sound", "spoilt"], report
        assert {group: report["groups"][group]["answered"] for group in GROUPS} == dict.fromkeys(GROUPS, 40)
        assert (out / "model.sig").is_file()

        after, port = tmp_path / "after", free_port()
        after.mkdir()
        calibrated = _config(llm, {"artifact": "routers/site-v1"})
        with run_gateway(
            site, calibrated, inside=None, port=port, reached_at=port, llm_key=llm_key, scratch=after
        ) as (_, endpoint):
            answered, decision = _ask_auto(endpoint)
            assert answered["sound"] > len(QUESTIONS) // 2, answered
            why = json.loads(
                _routeiq(
                    "explain", decision, "--url", endpoint.url, "--json", LITELLM_MASTER_KEY=endpoint.key
                )
            )
    assert why["artifact"] == report["artifact"]["digest"]
    quality = {item["group"]: item["quality"] for item in why["candidates"]}
    assert quality["sound"] > quality["spoilt"]
    assert (why["group"], why["reason"]) == ("sound", "highest quality minus weighted cost")
