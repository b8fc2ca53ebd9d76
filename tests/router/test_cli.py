"""`routeiq router`, as a user calls it: exit codes, stdout and stderr, files."""

import json
import os
import pickle
import subprocess
import sys

import pytest

from routeiq_signing.keys import PrivateKey
from routeiq_signing.model_trust import sign_model_folder


@pytest.fixture(scope="session")
def routeiq(embedder_folder, tmp_path_factory):
    code = "from routeiq_appliance.cli.main import main; main(prog_name='routeiq')"
    cache = tmp_path_factory.mktemp("cache")

    def routeiq(verb, *arguments, **environment):
        extra = [] if verb == "strategies" else ["--embedder", embedder_folder]
        extra += ["--cache", cache] if verb in {"train", "evaluate"} else []
        return subprocess.run(
            [sys.executable, "-c", code, "router", verb, *map(str, arguments), *map(str, extra)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return routeiq


@pytest.fixture(scope="session")
def trained(routeiq, small_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "tiny-v1"
    done = routeiq("train", "--data", small_file, "--strategy", "ridge", "--holdout", "0.3", "--out", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{out}\n"
    return out


def test_strategies_are_listed(routeiq):
    text = routeiq("strategies").stdout
    assert text.startswith("best ")
    assert "above the hull of single models: " in text
    rows = json.loads(routeiq("strategies", "--json").stdout)["strategies"]
    assert {"ensemble", "guarded", "knn", "ridge"} <= {row["name"] for row in rows}
    assert all({"summary", "needs", "measured"} <= set(row) for row in rows)


def test_training_pins_its_process_whatever_the_environment_says(routeiq, small_file, trained):
    again = trained.parent / "again" / "tiny-v1"
    arguments = ("--data", small_file, "--strategy", "ridge", "--holdout", "0.3", "--out", again)
    done = routeiq("train", *arguments, OPENBLAS_CORETYPE="Prescott", OPENBLAS_NUM_THREADS="2")
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in trained.iterdir())
    assert files == ["README.md", "router.json", "weights.safetensors"]
    for name in files:
        assert (again / name).read_bytes() == (trained / name).read_bytes()


def test_several_files_with_other_models_train_one_artifact(routeiq, small_set, small_file, tmp_path):
    other = tmp_path / "other.jsonl"
    rows = [
        {**row, "prompt": f"{row['prompt']} again", "scores": {"new-3b": 1, "old": 0}} for row in small_set
    ]
    other.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "both"
    done = routeiq("train", "--data", small_file, "--data", other, "--strategy", "ridge", "--out", out)
    assert done.returncode == 0, done.stderr
    assert (
        "costs are guessed from names for all-70b, code-13b, maths-7b, new-3b, old; give --costs"
        in done.stderr
    )
    manifest = json.loads((out / "router.json").read_text())
    assert manifest["models"] == ["all-70b", "code-13b", "maths-7b", "new-3b", "old"]
    assert [entry["name"] for entry in manifest["training"]["data"]] == ["small.jsonl", "other.jsonl"]


def test_evaluate_leaves_trained_prompts_out_and_prints_json_on_stdout(routeiq, small_file, trained):
    done = routeiq("evaluate", "--artifact", trained, "--data", small_file, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["prompts_used"] + result["prompts_left_out_as_trained_on"] == 300
    assert result["aiq_gain"] > 0
    assert "warning: signature not checked: no --key" in done.stderr
    assert "prompts were trained on and are left out" in done.stderr
    # The card, the artifact and evaluate say the same.
    metrics = json.loads((trained / "router.json").read_text())["metrics"]
    assert result["pools"] == metrics["pools"]


def test_predict_writes_one_line_a_prompt_in_order(routeiq, trained, tmp_path):
    data, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    data.write_text('{"id": "b", "prompt": "add the number 1"}\n{"id": "a", "prompt": ""}\n')
    done = routeiq("predict", "--artifact", trained, "--data", data, "--out", out)
    assert (done.returncode, done.stdout) == (0, f"{out}\n")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == ["b", "a"]
    for line in lines:
        assert set(line) == {"id", "predicted"}
        assert set(line["predicted"]) == {"all-70b", "code-13b", "maths-7b"}
        assert all(0 <= quality <= 1 for quality in line["predicted"].values())


def test_predict_without_a_file_prints_the_lines_and_keeps_the_ids_as_they_are(routeiq, trained, tmp_path):
    data, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    data.write_text('{"id": 7, "prompt": "add the number 1"}\n{"id": "7 \\ud800", "prompt": "write code"}\n')
    printed = routeiq("predict", "--artifact", trained, "--data", data)
    assert printed.returncode == 0, printed.stderr
    assert [json.loads(line)["id"] for line in printed.stdout.splitlines()] == [7, "7 \ud800"]
    done = routeiq("predict", "--artifact", trained, "--data", data, "--out", out, "--json")
    assert json.loads(done.stdout) == {
        "artifact": "tiny-v1",
        "models": ["all-70b", "code-13b", "maths-7b"],
        "out": str(out),
        "prompts": 2,
    }
    assert out.read_text() == printed.stdout


def test_the_default_strategy_is_the_one_that_the_documents_name(routeiq, small_file, tmp_path):
    out = tmp_path / "default-v1"
    done = routeiq("train", "--data", small_file, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["strategy"], result["out"]) == ("guarded", str(out))
    assert result["models"] == ["all-70b", "code-13b", "maths-7b"]
    assert json.loads((out / "router.json").read_text())["metrics"] == result["metrics"]


def test_costs_change_the_evaluation(routeiq, small_file, trained, tmp_path):
    costs = tmp_path / "costs.json"
    costs.write_text('{"all-70b": 1}')
    done = routeiq("evaluate", "--artifact", trained, "--data", small_file, "--costs", costs, "--json")
    assert json.loads(done.stdout)["costs"]["all-70b"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--data", "DATA", "--strategy", "magic", "--out", "new"],
            "error: magic: no such strategy",
        ),
        (["train", "--data", "absent", "--strategy", "knn", "--out", "new"], "error: absent: No such file"),
        (["evaluate", "--artifact", "absent", "--data", "DATA"], "error: absent: no folder of a model"),
        (
            ["predict", "--artifact", "TRAINED", "--data", "absent", "--out", "new"],
            "error: absent: No such file",
        ),
        (
            ["predict", "--artifact", "TRAINED", "--data", "DATA", "--out", "."],
            "error: .: a folder, want a file",
        ),
    ],
)
def test_a_fault_is_one_line_exit_1_and_nothing_written(
    routeiq, small_file, trained, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    names = {"DATA": small_file, "TRAINED": trained}
    done = routeiq(*(names.get(argument, argument) for argument in arguments))
    assert done.returncode == 1
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_or_foreign_target_is_refused_before_training(routeiq, small_file, tmp_path):
    (tmp_path / "holiday.txt").write_text("photos")
    done = routeiq("train", "--data", small_file, "--strategy", "ridge", "--out", tmp_path)
    assert done.returncode == 1
    assert "not empty, and no router artifact" in done.stderr
    assert "choosing" not in done.stderr


def test_usage_errors_exit_2(routeiq):
    assert routeiq("train").returncode == 2


class TestKey:  # A7
    @pytest.fixture
    def signed(self, trained, embedder_folder, tmp_path):
        import shutil

        key = PrivateKey.generate()
        (tmp_path / "key.pub").write_bytes(key.public.pem)
        for name, source in (("artifact", trained), ("embedder", embedder_folder)):
            shutil.copytree(source, tmp_path / name)
            sign_model_folder(tmp_path / name, key)
        return tmp_path

    @pytest.fixture
    def evaluate(self, signed, small_file):
        code = "from routeiq_appliance.cli.main import main; main(prog_name='routeiq')"
        command = [
            sys.executable, "-c", code, "router", "evaluate", "--artifact", signed / "artifact", "--data", small_file,
            "--embedder", signed / "embedder", "--cache", signed / "cache", "--key", signed / "key.pub", "--json",
        ]  # fmt: skip
        return lambda: subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)

    def test_what_the_key_signed_is_evaluated_without_a_warning(self, evaluate):
        done = evaluate()
        assert done.returncode == 0, done.stderr
        assert "signature not checked" not in done.stderr

    @pytest.mark.parametrize("part", ["artifact", "embedder"])
    def test_an_unsigned_folder_is_refused(self, evaluate, signed, part):
        (signed / part / "model.sig").unlink()
        done = evaluate()
        assert (done.returncode, done.stdout) == (1, "")
        assert f"{part}: not signed" in done.stderr

    @pytest.mark.parametrize("name", ["artifact/weights.safetensors", "embedder/onnx/model_int8.onnx"])
    def test_a_changed_file_is_refused_and_named(self, evaluate, signed, name):
        data = bytearray((signed / name).read_bytes())
        data[-1] ^= 1
        (signed / name).write_bytes(data)
        done = evaluate()
        assert (done.returncode, done.stdout) == (1, "")
        assert name.split("/", 1)[1] in done.stderr

    def test_another_key_is_refused(self, evaluate, signed):
        (signed / "key.pub").write_bytes(PrivateKey.generate().public.pem)
        assert evaluate().returncode == 1


def test_a_pickle_named_safetensors_is_refused_by_content(routeiq, trained, small_file, tmp_path):  # I5
    (tmp_path / "router.json").write_bytes((trained / "router.json").read_bytes())
    (tmp_path / "weights.safetensors").write_bytes(pickle.dumps({"a": 1}))
    done = routeiq("evaluate", "--artifact", tmp_path, "--data", small_file)
    assert done.returncode == 1
    assert "weights.safetensors: a Python pickle" in done.stderr
