"""Rules: order, rewriting, forcing, dry run; and that none of it raises, whatever rules and calls there are."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routeiq_appliance.policy.criteria import model_matcher
from routeiq_appliance.policy.document import rule_mistakes
from routeiq_appliance.policy.rules import RuleSet, compile_rules
from routeiq_appliance.policy.ruling import Ruling
from routeiq_appliance.policy.schema import Rule
from routeiq_appliance.policy.verdict import Facts, Verdict

_NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
_ALIASES = {"gpt-4": "cloud"}


def _rules(*rules: dict[str, Any], **options: Any) -> RuleSet:
    made = [Rule.model_validate({"name": f"r{number}", **rule}) for number, rule in enumerate(rules)]
    return compile_rules(made, aliases=_ALIASES, deployments={"cloud-1": "cloud"}, **options)


def _judge(rules: RuleSet, model: str = "cloud", **facts: Any) -> Verdict:
    return rules.case(Facts(**facts), _NOW).judge(model)


_CLOUD = {"models": ["cloud"]}


def test_the_first_rule_that_matches_decides() -> None:
    rules = _rules(
        {"when": {"teams": ["research"]}, "then": "allow"},
        {"when": _CLOUD, "then": "deny", "message": "no"},
        {"then": "allow"},
    )
    allowed = _judge(rules, teams=frozenset({"research"}))
    assert (allowed.action, allowed.rule, allowed.rules_evaluated) == ("allow", "r0", 1)
    denied = _judge(rules)
    assert (denied.action, denied.rule, denied.message, denied.rules_evaluated) == ("deny", "r1", "no", 2)
    assert _judge(rules, "local").rule == "r2"


@pytest.mark.parametrize("default", ["allow", "deny"])
def test_what_no_rule_decides_the_default_does(default: Any) -> None:
    verdict = _judge(_rules({"when": _CLOUD, "then": "deny"}, default=default), "local")
    assert (verdict.action, verdict.rule, verdict.rules_evaluated) == (default, None, 1)
    assert verdict.defaulted


def test_a_model_is_known_by_all_its_names() -> None:
    for name in ("cloud", "gpt-4"):
        rules = _rules({"when": {"models": [name]}, "then": "deny"})
        assert _judge(rules, "gpt-4").action == "deny"
    # But a group is not every other name of it.
    assert _judge(_rules({"when": {"models": ["gpt-4"]}, "then": "deny"}), "cloud").action == "allow"


def test_a_rewrite_goes_on_with_the_rules_after_it_and_comes_by_none_twice() -> None:
    rules = _rules(
        {"when": {"models": ["b"]}, "then": "deny"},
        {"when": {"models": ["a"]}, "then": "rewrite", "model": "b"},
        {"when": {"models": ["b"]}, "then": "rewrite", "map": {"b": "a"}},
        {"when": {"models": ["a"]}, "then": "rewrite", "model": "c"},
    )
    verdict = _judge(rules, "a")
    assert (verdict.action, verdict.model, verdict.rule) == ("rewrite", "c", "r3")
    assert verdict.explanation.startswith(
        "`r1` makes `b` of `a`; `r2` makes `a` of `b`; `r3` makes `c` of `a`"
    )


def test_a_map_leaves_other_models_alone_and_knows_groups_by_their_other_names() -> None:
    rules = _rules({"then": "rewrite", "map": {"cloud": "local"}})
    assert _judge(rules, "gpt-4").model == "local"
    assert (_judge(rules, "other").action, _judge(rules, "other").model) == ("allow", "other")


def test_a_rewritten_call_is_denied_like_any_other() -> None:
    rules = _rules(
        {"when": {"models": ["a"]}, "then": "rewrite", "model": "b"},
        {"when": {"models": ["b"]}, "then": "deny"},
    )
    assert (_judge(rules, "a").action, _judge(rules, "a").rule) == ("deny", "r1")
    assert _judge(_rules({"then": "rewrite", "model": "b"}, default="deny"), "a").action == "deny"


def test_unless_is_an_exception() -> None:
    rules = _rules({"when": _CLOUD, "unless": {"keys": ["boss"]}, "then": "deny"})
    assert _judge(rules).action == "deny"
    assert _judge(rules, keys=frozenset({"boss", "id"})).action == "allow"
    by_model = _rules({"unless": {"models": ["local*"]}, "then": "deny"})
    assert [_judge(by_model, name).action for name in ("cloud", "local-1")] == ["deny", "allow"]


@pytest.mark.parametrize(
    ("when", "facts", "holds"),
    [
        ({"users": ["u"]}, {"users": frozenset({"u"})}, True),
        ({"organizations": ["o"]}, {"organizations": frozenset({"p"})}, False),
        ({"roles": ["admin"]}, {"roles": frozenset({"admin"})}, True),
        ({"tags": ["eu", "us"]}, {"tags": frozenset({"us"})}, True),
        ({"size": {"min_bytes": 10}}, {"bytes": 9}, False),
        ({"size": {"min_bytes": 10, "max_bytes": 10}}, {"bytes": 10}, True),
        ({"size": {"max_messages": 2}}, {"messages": 3}, False),
        ({"size": {"min_tokens": 5}}, {"tokens": 5}, True),
        ({"stream": False}, {"stream": True}, False),
        ({"stream": False}, {}, True),
        ({"dialects": ["anthropic"]}, {}, False),
        ({"kinds": ["embedding"]}, {"kind": "embedding"}, True),
        ({"time": [{"days": ["mon"], "hours": "09:00-10:00"}]}, {}, True),
        ({"time": [{"days": ["sun"]}, {"hours": "10:00-11:00"}]}, {}, False),
        ({"text": ["a", "b"]}, {"text": "xb"}, True),
        ({"text": ["b"], "text_of": "user"}, {"text": "b", "user_text": "a"}, False),
        ({"keys": ["k"], "stream": True}, {"keys": frozenset({"k"})}, False),
    ],
)
def test_every_criterion_that_is_given_must_hold(
    when: dict[str, Any], facts: dict[str, Any], *, holds: bool
) -> None:
    assert (_judge(_rules({"when": when, "then": "deny"}), **facts).action == "deny") is holds


@pytest.mark.parametrize(
    ("names", "yes", "no"),
    [
        (["a"], ["a"], ["b", "A", "aa", ""]),
        (["gpt-*"], ["gpt-", "gpt-4"], ["gpt", "xgpt-4"]),
        (["*mini"], ["mini", "gpt-mini"], ["mini-x"]),
        (["a*b*c"], ["abc", "aXbYc", "abbcc"], ["ab", "acb", "abcX"]),
        (["a?c"], ["abc"], ["ac", "abbc"]),
        (["*"], ["", "anything"], []),
        (["*a*a"], ["aa", "aaa", "xaya"], ["a"]),
        (["x[1]*"], ["x[1]y"], ["x1y"]),
    ],
)
def test_models_by_globs(names: list[str], yes: list[str], no: list[str]) -> None:
    matches = model_matcher(names)
    assert all(matches(name) for name in yes)
    assert not any(matches(name) for name in no)


def test_what_cannot_be_judged_is_denied() -> None:
    rules = _rules({"when": {"text": ["x"]}, "then": "allow"}, {"then": "allow"})
    verdict = _judge(rules, unreadable="the request holds token ids")
    assert (verdict.action, verdict.failed, verdict.rule) == ("deny", True, "r0")
    assert "token ids" in verdict.explanation
    # What was found is found.
    assert not _judge(rules, text="x", unreadable="too long").failed
    # A fault that nobody foresaw.
    broken = _judge(_rules({"when": {"size": {"min_bytes": 1}}, "then": "allow"}), bytes=None)
    assert (broken.action, broken.failed) == ("deny", True)


def test_a_rule_in_dry_run_is_told_and_passed_over() -> None:
    rules = _rules(
        {"then": "deny", "dry_run": True},
        {"when": {"text": ["x"]}, "then": "force", "model": "local", "dry_run": True},
    )
    verdict = _judge(rules, unreadable="too long")
    assert (verdict.action, verdict.would) == ("allow", (("r0", "deny"), ("r1", "deny")))


def test_auto_is_left_to_its_candidates_when_no_rule_decides() -> None:
    rules = _rules({"when": {"models": ["local"]}, "then": "allow"}, default="deny")
    assert _judge(rules, "auto").action == "allow"
    case = rules.case(Facts(), _NOW)
    ruling = Ruling(rules, case, case.judge("auto"), "auto", 0.0)
    assert ruling.among(["cloud", "local"]) == ("local",)


def test_what_one_model_is_rewritten_to_is_no_other_ones_fallback() -> None:
    rules = _rules({"when": _CLOUD, "then": "rewrite", "model": "local"})
    case = rules.case(Facts(), _NOW)
    ruling = Ruling(rules, case, case.judge("gpt-4"), "gpt-4", 0.0)
    assert (ruling.group, ruling.permits("local"), ruling.permits("cloud")) == ("local", True, False)


def test_a_forced_deployment_has_its_group() -> None:
    verdict = _judge(_rules({"then": "force", "deployment": "cloud-1", "beyond_key": True}), "local")
    assert (verdict.action, verdict.model, verdict.deployment, verdict.beyond_key) == (
        "force",
        "cloud",
        "cloud-1",
        True,
    )


_NAMES = st.sampled_from(["a", "b", "admin", "auto", "gpt-4", "cloud", "local"])
_WHO = st.lists(_NAMES, min_size=1, max_size=3)


def _optional(**fields: Any) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


_CRITERIA = _optional(
    keys=_WHO,
    teams=_WHO,
    roles=st.just(["admin"]),
    tags=_WHO,
    models=st.lists(st.sampled_from(["a", "*", "g?t-*", "cloud", "auto"]), min_size=1, max_size=3),
    time=st.lists(
        _optional(
            days=st.lists(st.sampled_from(["mon", "sun"]), min_size=1),
            hours=st.sampled_from(["08:00-18:00", "22:00-06:00"]),
            timezone=st.sampled_from(["UTC", "Asia/Kathmandu"]),
        ),
        min_size=1,
        max_size=2,
    ),
    size=_optional(min_bytes=st.integers(0, 100), max_tokens=st.integers(0, 100)),
    text=st.lists(st.sampled_from(["a+$", "(?i)B", r"\d{3}"]), min_size=1, max_size=2),
    text_of=st.sampled_from(["user", "everybody"]),
    stream=st.booleans(),
    kinds=st.lists(st.sampled_from(["chat", "embedding"]), min_size=1),
)
_ACTIONS = st.one_of(
    st.just({"then": "allow"}),
    st.fixed_dictionaries({"then": st.just("deny")}, optional={"message": st.just("no")}),
    st.fixed_dictionaries(
        {"then": st.just("rewrite"), "model": _NAMES}, optional={"beyond_key": st.booleans()}
    ),
    st.fixed_dictionaries({"then": st.just("rewrite"), "map": st.dictionaries(_NAMES, _NAMES, min_size=1)}),
    st.fixed_dictionaries({"then": st.just("force"), "model": _NAMES}),
    st.fixed_dictionaries({"then": st.just("force"), "tag": _NAMES}),
    st.fixed_dictionaries({"then": st.just("force"), "deployment": _NAMES}),
)
_RULE = st.builds(
    lambda action, more: {**action, **more},
    _ACTIONS,
    _optional(when=_CRITERIA, unless=_CRITERIA, dry_run=st.booleans()),
)
_SETS = st.frozensets(_NAMES, max_size=2)
_FACTS = st.builds(
    Facts,
    keys=_SETS,
    teams=_SETS,
    users=_SETS,
    organizations=_SETS,
    roles=_SETS,
    tags=_SETS,
    bytes=st.integers(0, 2**70),
    messages=st.integers(0, 10),
    tokens=st.integers(0, 200),
    stream=st.booleans(),
    kind=st.sampled_from(["chat", "embedding", "?"]),
    text=st.text(),
    user_text=st.text(alphabet="ab1\ud800\0"),
    unreadable=st.sampled_from(["", "", "too long"]),
)
_INSTANTS = st.datetimes(timezones=st.just(UTC))
_MODELS = st.one_of(_NAMES, st.text(max_size=300))


@settings(max_examples=300, deadline=None)
@given(st.lists(_RULE, max_size=6), st.sampled_from(["allow", "deny"]), _FACTS, _INSTANTS, _MODELS)
def test_any_rules_judge_any_call_and_the_first_that_matches_decides(
    rules: list[dict[str, Any]], default: Any, facts: Facts, now: datetime, model: str
) -> None:
    compiled = _rules(*rules, default=default)
    list(rule_mistakes([each.rule for each in compiled.rules], None))
    verdict = compiled.case(facts, now).judge(model)
    assert 0 <= verdict.rules_evaluated <= len(rules)
    assert verdict == compiled.case(facts, now).judge(model)  # and the same again
    if verdict.defaulted:
        assert verdict.rules_evaluated == len(rules)
    elif verdict.rule is not None:
        # None of the rules after it has a say.
        shorter = _rules(*rules[: verdict.rules_evaluated], default=default)
        assert verdict == shorter.case(facts, now).judge(model)
        # Without a rewrite before it, the decision is that of the one rule alone.
        alone = rules[verdict.rules_evaluated - 1]
        if not any(rule["then"] == "rewrite" for rule in rules):
            name = f"r{verdict.rules_evaluated - 1}"
            again = _rules({**alone, "name": name}).case(facts, now).judge(model)
            assert (again.rule, again.action, again.failed) == (verdict.rule, verdict.action, verdict.failed)
    if verdict.action == "deny":
        assert verdict.rule is not None or verdict.defaulted


@settings(max_examples=200, deadline=None)
@given(st.lists(_RULE, max_size=6), st.sampled_from(["allow", "deny"]), _FACTS, _INSTANTS, _MODELS, _NAMES)
def test_a_dry_run_permits_everything_and_tells_what_enforcing_would_do(
    rules: list[dict[str, Any]], default: Any, facts: Facts, now: datetime, model: str, other: str
) -> None:
    dry, wet = (_rules(*rules, default=default, mode=mode) for mode in ("dry-run", "enforce"))
    case = dry.case(facts, now)
    ruling = Ruling(dry, case, case.judge(model), model, 0.0)
    assert ruling.refusal() is None
    assert ruling.permits(other)
    assert not ruling.binds(other)
    assert not ruling.beyond_key
    assert ruling.among(["a", other]) == ("a", other)
    assert ruling.headers == ()
    assert ruling.verdict == wet.case(facts, now).judge(model)
    assert ruling.record()["mode"] == "dry-run"


@settings(max_examples=200, deadline=None)
@given(st.lists(_RULE, max_size=6), _FACTS, _INSTANTS, _MODELS)
def test_rules_that_are_all_in_dry_run_are_no_rules(
    rules: list[dict[str, Any]], facts: Facts, now: datetime, model: str
) -> None:
    verdict = _rules(*({**rule, "dry_run": True} for rule in rules)).case(facts, now).judge(model)
    assert (verdict.action, verdict.model, verdict.rule) == ("allow", model, None)


@settings(max_examples=200, deadline=None)
@given(st.lists(_RULE, max_size=6), _FACTS, _INSTANTS, _NAMES, _NAMES)
def test_whatever_may_stand_in_was_not_denied_itself(
    rules: list[dict[str, Any]], facts: Facts, now: datetime, model: str, other: str
) -> None:
    compiled = _rules(*rules)
    case = compiled.case(facts, now)
    ruling = Ruling(compiled, case, case.judge(model), model, 0.0)
    if ruling.permits(other) and other != ruling.group:
        own = compiled.case(facts, now).judge(other)
        assert own.action != "deny"
        assert own.model == other
    assert "\0" not in str(ruling.record())
