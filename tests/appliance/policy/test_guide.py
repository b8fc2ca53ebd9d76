"""The examples of docs/policy.md are what they say."""

import re
from datetime import datetime
from pathlib import Path

from routeiq_appliance.policy.document import parse_cases, parse_rules
from routeiq_appliance.policy.rules import compile_rules
from routeiq_appliance.policy.table import run_cases
from routeiq_appliance.policy.verdict import Facts

_GUIDE = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")


def _block(name: str) -> str:
    found = re.search(rf"```yaml\n(# {re.escape(name)}\n.*?)```", _GUIDE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_guides_rules_pass_the_guides_cases() -> None:
    rules = parse_rules(_block("rules.yaml"), name="rules.yaml")
    cases = parse_cases(_block("cases.yaml"), rules.rules, name="cases.yaml")
    assert [outcome.wrong for outcome in run_cases(compile_rules(rules.rules), cases)] == [()]


def test_the_guides_working_hours_are_those() -> None:
    rules = compile_rules(parse_rules(_block("rules.yaml"), name="rules.yaml").rules)
    batch = Facts(keys=frozenset({"batch"}), tokens=1000)
    for instant, action in (("2026-11-23T12:00:00Z", "allow"), ("2026-11-22T12:00:00Z", "deny")):
        assert rules.case(batch, datetime.fromisoformat(instant)).judge("gpt-4o").action == action
    assert rules.case(batch, datetime.fromisoformat("2026-11-22T12:00:00Z")).judge("other").action == "allow"
