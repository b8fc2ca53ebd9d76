"""Documents of rules and tables of cases: every mistake at once, with its line; the command that tells them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from routeiq_appliance.cli.main import main
from routeiq_appliance.config.load import parse_config
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.policy.document import Known, parse_rules
from routeiq_signing.keys import generate_key_files, load_public_key

_KNOWN = Known(frozenset({"local", "cloud"}), {"gpt-4": "cloud"}, {"cloud-1": "cloud"}, frozenset({"eu"}))
_GOOD = """version: 3
default: deny
rules:
  - name: office
    when:
      teams: [research]
      time: [{days: [mon, tue, wed, thu, fri], hours: 08:00-18:00, timezone: Europe/Berlin}]
    then: allow
  - {name: secret, when: {text: ['(?i)confidential'], models: [cloud*]}, then: force, model: local}
"""
_A = "rules:\n  - {name: a, "
_CASE = "cases:\n  - {name: a, model: m, "
_CASES = """
cases:
  - name: at work
    who: {team: research}
    model: cloud
    time: 2026-11-23T09:00:00+01:00
    expect: {action: allow, rule: office}
  - name: at night
    who: {team: research}
    model: cloud
    time: "2026-11-23T22:00:00Z"
    text: Confidential!
    expect: {action: force, model: local}
  - name: others
    model: local
    time: 2026-11-23T09:00:00+01:00
    expect: {action: deny}
"""
_CONFIG = """
model_list:
  - model_name: local
    litellm_params: {model: openai/local, api_base: http://127.0.0.1:9/v1, tags: [eu]}
  - model_name: cloud
    litellm_params: {model: openai/cloud, api_base: http://127.0.0.1:9/v1}
"""


def _run(*arguments: Any) -> Result:
    return CliRunner().invoke(main, ["policy", *map(str, arguments)])


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(_GOOD)
    return path


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    path = tmp_path / "cases.yaml"
    path.write_text(_CASES)
    return path


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "r: is empty"),
        ("- a", "r:1: must be a mapping with `rules`"),
        ("rules: []\nmodes: x", "r:2: modes: unknown name; did you mean `mode`?"),
        ("mode: enforce", "r:1: rules: is missing"),
        (_A + "then: alow}", "r:2: rules[0].then: must be 'allow', 'deny', 'rewrite' or 'force'; did you"),
        ("rules:\n  - {name: a b, then: allow}", "r:2: rules[0].name: string should match pattern"),
        (
            _A + "then: deny, when: {team: [x]}}",
            "r:2: rules[0].when.team: unknown name; did you mean `teams`",
        ),
        (_A + "then: deny}\n  - {name: a, then: deny}", "r:3: rules[1].name: `a` is given to two rules"),
        (_A + "then: rewrite}", "`rewrite` needs one of: model, map"),
        (_A + "then: force, model: local, tag: eu}", "`force` needs one of: model, tag, deployment"),
        (_A + "then: allow, model: local}", "rules[0].model: is for `then: rewrite` and `force`"),
        (_A + "then: allow, message: x}", "rules[0].message: is for `then: deny`"),
        (_A + "then: deny, beyond_key: true}", "beyond_key: is for `then: rewrite` and `force`"),
        (_A + "then: rewrite, model: lokal}", "no group `lokal` in model_list; did you mean `local`?"),
        (_A + "then: rewrite, map: {x: lokal}}", "rules[0].map.x: no group `lokal`"),
        (_A + "then: force, deployment: cloud-2}", "no deployment `cloud-2`; did you mean `cloud-1`?"),
        (_A + "then: force, tag: us}", "no deployment has the tag `us`"),
        (
            "rules:\n  - name: a\n    when:\n      text:\n        - ok\n        - '('\n    then: deny",
            "r:6: rules[0].when.text[1]: cannot",
        ),
        (_A + "when: {time: [{timezone: Mars/Base}]}, then: deny}", "`Mars/Base` is no time zone"),
        (_A + "when: {time: [{hours: 8-18}]}, then: deny}", "hours: string should match pattern"),
        (
            _A + "when: {size: {min_bytes: 2, max_bytes: 1}}, then: deny}",
            "size.min_bytes: is above max_bytes",
        ),
        (_A + "when: {kinds: [chats]}, then: deny}", "no kind of call is `chats`; did you mean `chat`?"),
        (
            _A + "when: {dialects: [opnai]}, then: deny}",
            "must be 'openai' or 'anthropic'; did you mean `openai`?",
        ),
        (_A + "when: {roles: [admn]}, then: deny}", "must be 'admin' or 'viewer'; did you mean `admin`?"),
        (_A + "unless: {}, then: deny}", "unless: is empty"),
        (_A + "when: {text_of: user}, then: deny}", "text_of: says whose"),
        (_A + "when: {teams: x}, then: deny}", "when.teams: input should be a valid list"),
        (_A + "when: {stream: 1}, then: deny}", "when.stream: input should be a valid boolean"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, mistake: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, name="r", known=_KNOWN)
    assert mistake in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    text = "rules:\n  - {name: a, then: rewrite}\n  - {name: a, then: deny, tag: x}\n"
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, name="r", known=_KNOWN)
    assert len(str(caught.value).splitlines()) == 4


def test_rules_in_the_configuration_are_checked_with_it() -> None:
    inline = "routeiq:\n  policy:\n    file: x\n    rules:\n      - {name: a, then: force, tag: us}\n"
    with pytest.raises(ConfigError) as caught:
        parse_config(_CONFIG + inline, {})
    assert "config.yaml:11: routeiq.policy.rules[0].tag: no deployment has the tag `us`" in str(caught.value)
    assert "routeiq.policy.file: rules are also given in `rules`; keep one" in str(caught.value)


def test_check_tells_the_rules(rules: Path, tmp_path: Path) -> None:
    result = _run("check", rules)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "   RULE    THEN",
        "1  office  allow",
        "2  secret  force",
        f"{rules}: valid",
    ]
    config = tmp_path / "config.yaml"
    config.write_text(_CONFIG.replace("model_name: local", "model_name: here"))
    result = _run("check", rules, "--config", config)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{rules}:9: rules[1].model: no group `local` in model_list" in result.stderr
    told = json.loads(_run("check", rules, "--config", config, "--json").stdout)
    assert (told["valid"], told["mistakes"][0]["line"]) == (False, 9)


def test_check_names_models_that_there_are_none_of(rules: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(_CONFIG)
    rules.write_text("rules:\n  - {name: a, when: {models: [clod, 'x*', local]}, then: deny}\n")
    result = _run("check", rules, "--config", config)
    assert (result.exit_code, result.stdout.splitlines()[2:4]) == (
        0,
        ["a: there is no model `clod`; did you mean `cloud`?", "a: there is no model `x*`"],
    )


def test_a_table_is_run(rules: Path, cases: Path) -> None:
    result = _run("test", rules, "--table", cases)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[:1] for line in lines[1:4]] == [["pass"]] * 3
    assert lines[-1] == "3 passed, 0 failed"


def test_a_case_that_fails_is_told_and_is_exit_1(rules: Path, cases: Path) -> None:
    cases.write_text(_CASES.replace("{action: allow, rule: office}", "{action: deny, rule: secret}"))
    result = _run("test", rules, "--table", cases)
    assert result.exit_code == 1
    assert "FAIL  at work" in result.stdout
    assert "action: expected deny, got allow; rule: expected secret, got office" in result.stdout
    told = json.loads(_run("test", rules, "--table", cases, "--json").stdout)
    assert [case["passed"] for case in told["cases"]] == [False, True, True]
    assert told["cases"][0]["wrong"][0] == {"what": "action", "expected": "deny", "got": "allow"}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("cases: []", "cases: list should have at least 1 item"),
        (_CASE + "expect: {action: allow}}", ":2: cases[0].time: is missing, and rules"),
        (_CASE + "time: 2026-11-23 09:00, expect: {action: allow}}", "needs its distance from UTC"),
        (_CASE + "time: soon, expect: {action: allow}}", "must be a time"),
        (
            _CASE + "time: 2026-11-23T09:00:00Z, expect: {action: deny, rule: ofice}}",
            "did you mean `office`?",
        ),
    ],
)
def test_a_mistake_in_a_table_is_told(rules: Path, cases: Path, text: str, mistake: str) -> None:
    cases.write_text(text)
    result = _run("test", rules, "--table", cases)
    assert result.exit_code == 1
    assert mistake in result.stderr


def test_a_signature_is_made_over_the_file(rules: Path, tmp_path: Path) -> None:
    from routeiq_appliance.policy.keeper import signed

    key, secret = tmp_path / "policy.key", tmp_path / "pass"
    secret.write_text("a passphrase")
    secret.chmod(0o600)
    generate_key_files(key, b"a passphrase")
    result = _run("sign", rules, "--key", key, "--passphrase-file", secret)
    assert result.exit_code == 0, result.output
    public = load_public_key(tmp_path / "policy.key.pub")
    signed(rules.read_bytes(), result.stdout_bytes, public)
    with pytest.raises(ConfigError, match="not the signature"):
        signed(rules.read_bytes() + b"\n", result.stdout_bytes, public)
