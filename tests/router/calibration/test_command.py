"""`routeiq router calibrate`, as a user calls it, against a server that answers, fails and lies."""

import json
import os

import pytest
from click.testing import CliRunner

from routeiq_appliance.cli.router import router
from routeiq_router.artifact import dump_artifact
from routeiq_router.folder import read_unsigned, write_artifact
from routeiq_router.router import Router
from routeiq_signing.keys import generate_key_files, load_public_key
from routeiq_signing.model_trust import verify_model_folder

KEY = "sk-of-the-tests"


@pytest.fixture
def suite(tmp_path, server):
    path = tmp_path / "own.jsonl"
    lines = []
    for n in range(40):
        prompt = (
            f"add the number {n} plus {n}" if n % 2 else f"write code function that sorts the list number{n}"
        )
        server.right[prompt] = f"It is {n + n}."
        lines.append(
            {
                "id": f"own-{n}",
                "prompt": prompt,
                "answer": n + n,
                "check": "number",
                "skill": "own",
                "difficulty": 1,
            }
        )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def site(tmp_path, make_artifact, embedder_folder, suite, server, monkeypatch):
    """Return a function that runs the command; `None` for an option leaves it out."""
    for name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, os.environ.get(name, "1"))  # so that they are put back
    monkeypatch.setenv("ROUTEIQ_API_KEY", KEY)
    monkeypatch.setattr("routeiq_appliance.cli.calibrate_ask._FIRST_WAIT", 0.0)
    base = tmp_path / "base"
    write_artifact(base, dump_artifact(make_artifact("ridge")))

    def run(*arguments: str, **options):
        given = {
            "artifact": base, "out": tmp_path / "site-v1", "url": server.url, "models": "good,bad", "suite": suite,
            "embedder": embedder_folder, "cache": tmp_path / "cache", **options,
        }  # fmt: skip
        spelled = [part for name, value in given.items() if value is not None
                   for part in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip
        shipped = () if "--shipped" in arguments else ("--no-shipped",)
        return CliRunner().invoke(router, ["calibrate", *spelled, *shipped, *arguments])

    return run


def test_a_signed_artifact_for_the_groups_by_name(site, tmp_path, embedder_folder):
    # D3
    passphrase, key = tmp_path / "passphrase", tmp_path / "site.key"
    passphrase.write_text("of the site")
    generate_key_files(key, b"of the site")
    done = site("--json", key=key, passphrase_file=passphrase)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["ranking"] == ["good", "bad"]
    assert report["groups"]["good"]["correct"] == 40
    files = verify_model_folder(tmp_path / "site-v1", key=load_public_key(tmp_path / "site.key.pub")).files
    loaded = Router.load(files, read_unsigned(embedder_folder))
    assert loaded.digest == report["artifact"]["digest"]
    assert loaded.rank("add the number 3 plus 4", {"bad": "bad", "good": "good"}).group == "good"
    assert loaded.rank("add the number 3 plus 4", {"other": None, "bad": "bad"}).ranking[-1].group == "other"


def test_the_table_tells_who_answered_what(site, tmp_path):
    done = site()
    assert done.exit_code == 0, done.output
    assert "expected ranking, where cost does not count: good > bad" in done.stdout
    assert "not signed, so no gateway loads it" in done.stderr
    assert "# site-v1" in (tmp_path / "site-v1" / "README.md").read_text()


def test_the_shipped_suite_is_asked_beside_the_sites_own(site, server):
    done = site("--shipped", "--json", prompts="24", models="good")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["suite"]["prompts"] == 64
    assert server.asked == {"good": 64}


def test_what_failed_is_missing_and_asked_again_with_resume(site, server, tmp_path):
    done = site(models="good,dying", concurrency="1")
    assert done.exit_code == 0, done.output
    assert "dying: 35 answers are missing, mostly: 500" in done.stderr
    assert "it was asked no more" in done.stderr
    assert "not calibrated: 5 answers, want 30" in done.stdout
    assert server.asked["dying"] == 5 + 10 * 4
    again = site("--resume", "--json", models="good,dying", concurrency="1")
    assert again.exit_code == 0, again.output
    assert server.asked["good"] == 40  # not once more


def test_a_journal_cut_off_in_a_line_is_continued(site, server, tmp_path):
    assert site().exit_code == 0
    journal = tmp_path / "site-v1.answers.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[: len(whole) // 2])
    before = server.asked.total()
    assert site("--resume").exit_code == 0
    assert 0 < server.asked.total() - before < 80
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert len({(line.get("group"), line.get("id")) for line in lines if "id" in line}) == 80


def test_an_earlier_run_is_not_overwritten(site, tmp_path):
    assert site().exit_code == 0
    kept = (tmp_path / "site-v1" / "router.json").read_bytes()
    done = site()
    assert done.exit_code == 1
    assert "site-v1: exists already" in done.stderr
    other = site(out=tmp_path / "missing" / "site-v1")
    assert (other.exit_code, "no such folder" in other.stderr) == (1, True)
    assert (tmp_path / "site-v1" / "router.json").read_bytes() == kept


def test_resume_replaces_nothing_that_it_did_not_make(site, tmp_path):
    done = site("--resume", out=tmp_path / "base")
    assert (done.exit_code, "base: exists already" in done.stderr) == (1, True)


def test_another_suite_is_not_mixed_in(site, tmp_path, suite):
    assert site().exit_code == 0
    suite.write_text("".join(suite.read_text().splitlines(keepends=True)[:35]))
    done = site("--resume")
    assert done.exit_code == 1
    assert "its answers are for suite" in done.stderr


def test_models_that_say_nothing_or_nonsense_are_known_to_be_bad(site):
    done = site("--json", models="good,empty,endless")
    assert done.exit_code == 0, done.output
    groups = json.loads(done.stdout)["groups"]
    assert [groups[name]["correct"] for name in ("good", "empty", "endless")] == [40, 0, 0]
    assert groups["empty"]["interval"][1] < groups["good"]["interval"][0]


def test_a_fallbacks_answers_are_nobodys(site):
    done = site(models="fallen-back")
    assert done.exit_code == 1
    assert "no group answered 30 of 40 prompts" in done.stderr


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        ({"models": None}, 2, "give either --models"),
        ({"models": "a=,b"}, 2, "is not GROUP or GROUP=NAME"),
        ({"models": "a,a"}, 2, "is given twice"),
        ({"url": "ftp://nowhere"}, 1, "--url: is no http"),
        ({"artifact": "/nowhere"}, 1, "/nowhere"),
        ({"suite": "/nowhere"}, 1, "/nowhere"),
        ({"suite": None}, 2, "--no-shipped asks nothing"),
        ({"api_key_file": "/nowhere"}, 1, "/nowhere"),
        ({"key": "/nowhere"}, 1, "/nowhere"),
        ({"trust_key": "/nowhere"}, 1, "/nowhere"),
        ({"max_tokens": "0"}, 2, "--max-tokens"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_call(site, server, tmp_path, change, code, told):
    done = site(**change)
    assert done.exit_code == code, done.output
    assert told in done.stderr
    assert "Traceback" not in done.output
    assert server.asked.total() == 0
    assert not (tmp_path / "site-v1").exists()


def test_too_small_a_suite_is_said_before_the_first_call(site, server):
    done = site("--shipped", suite=None, prompts="29")
    assert done.exit_code == 1
    assert "29 prompts to ask, want at least 30" in done.stderr
    assert server.asked.total() == 0


def test_a_wrong_passphrase_is_said_before_the_first_call(site, server, tmp_path):
    passphrase, key = tmp_path / "passphrase", tmp_path / "site.key"
    passphrase.write_text("another")
    generate_key_files(key, b"of the site")
    done = site(key=key, passphrase_file=passphrase)
    assert done.exit_code == 1
    assert server.asked.total() == 0


def test_a_wrong_api_key_ends_the_run_and_is_not_shown(site, server, tmp_path):
    file = tmp_path / "api.key"
    file.write_text("sk-not-this-one\n")
    done = site(api_key_file=file, concurrency="1")
    # A key that the environment has too is no matter: the file was named.
    assert done.exit_code == 1
    assert "401 no such key" in done.stderr
    assert "sk-not-this-one" not in done.output
    assert server.asked.total() <= 2


def test_groups_of_a_configuration_are_asked_by_their_names(site, server, tmp_path):
    config = tmp_path / "config.yaml"
    entry = {
        "litellm_params": {
            "model": "openai/x",
            "api_base": "http://127.0.0.1:9/v1",
            "api_key": "os.environ/NOT_SET_HERE",
        }
    }
    embeddings = {"model_name": "vectors", **entry, "model_info": {"mode": "embedding"}}
    groups = [{"model_name": "good", **entry}, {"model_name": "bad", **entry}, embeddings]
    config.write_text(json.dumps({"model_list": groups, "routeiq": {"egress": "sealed"}}))
    done = site("--json", models=None, config=config)
    assert done.exit_code == 0, done.output
    assert set(server.asked) == {"good", "bad"}
