"""`routeiq router evaluate` as a user calls it; a release check: train, predict and judge with other data."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest


@pytest.fixture(scope="module")
def routeiq(embedder_folder, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")

    def routeiq(verb, *arguments):
        extra = ["--embedder", embedder_folder, *(["--cache", cache] if verb != "predict" else [])]
        return subprocess.run(
            [sys.executable, "-m", "routeiq_appliance.cli", "router", verb, *map(str, [*arguments, *extra])],
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    return routeiq


def test_strategies_are_judged_written_and_drawn(routeiq, small_file, tmp_path):
    out, plot = tmp_path / "report.json", tmp_path / "curve.svg"
    done = routeiq(
        "evaluate", "--strategy", "ridge", "--strategy", "best", "--data", small_file, "--part", "nested",
        "--seed", "3", "--folds", "3", "--out", out, "--plot", plot, "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result == json.loads(out.read_text())
    assert (result["seed"], result["folds"], result["schema"]) == (3, 3, "routeiq.evaluation/v1")
    assert set(result["pools"][0]["strategies"]) == {"ridge", "best"}
    assert ET.fromstring(plot.read_text()).tag.endswith("svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curve.svg", "report.json"]


def test_an_artifact_meets_other_prompts_and_other_models(routeiq, small_set, small_file, tmp_path):
    artifact, other, prompts = tmp_path / "v1", tmp_path / "other.jsonl.gz", tmp_path / "held.jsonl"
    done = routeiq("train", "--data", small_file, "--strategy", "ridge", "--out", artifact)
    assert done.returncode == 0, done.stderr
    # Held back: prompts that were never seen, one model that the artifact lacks and one that the data lacks.
    rows = [
        {
            "id": index,
            "prompt": f"{row['prompt']} again",
            "scores": {"new-3b": 1, "maths-7b": 1, "all-70b": 0},
        }
        for index, row in enumerate(small_set[:80])
    ]
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prompts.write_text("".join(json.dumps({"id": row["id"], "prompt": row["prompt"]}) + "\n" for row in rows))
    judged = routeiq(
        "evaluate", "--artifact", artifact, "--data", other, "--plot", tmp_path / "a.png", "--json"
    )
    assert judged.returncode == 0, judged.stderr
    result = json.loads(judged.stdout)
    assert result["pools"][0]["models"] == ["all-70b", "maths-7b"]
    assert result["pools"][0]["pair"]["strong"] == "maths-7b"
    assert "models unknown to the artifact are ignored: new-3b" in judged.stderr
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    out = tmp_path / "predicted.jsonl"
    said = routeiq("predict", "--artifact", artifact, "--data", prompts, "--out", out)
    assert said.returncode == 0, said.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == [row["id"] for row in rows]
    assert all(0 <= quality <= 1 for line in lines for quality in line["predicted"].values())


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give either --artifact DIR or --strategy NAME"),
        (["--strategy", "best", "--artifact", "x"], 2, "give either --artifact DIR or --strategy NAME"),
        (["--strategy", "best", "--plot", "a.jpg"], 1, "error: a.jpg: a plot is .png or .svg"),
        (["--strategy", "best", "--task", "poems"], 1, "no task 'poems'"),
        (["--strategy", "best", "--models", "gpt4"], 1, "measures no model 'gpt4'"),
        (["--strategy", "best", "--models", "all-70b"], 1, "measures all-70b alone"),
        (["--strategy", "magic"], 1, "error: magic: no such strategy"),
    ],
)
def test_a_wrong_call_is_one_line(routeiq, small_file, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    done = routeiq("evaluate", "--data", small_file, *arguments)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []
