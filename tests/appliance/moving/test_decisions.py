"""What becomes of LiteLLM's rows: nothing is allowed more than before, nothing is lost without a word."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routeiq_appliance.money import pico
from routeiq_appliance.moving import tables
from routeiq_appliance.moving.decide import Decider
from routeiq_appliance.moving.keys import key_name, key_outcome
from routeiq_appliance.moving.models import Secrets, model_entry
from routeiq_appliance.moving.outcome import Carried, Held, Outcome
from routeiq_appliance.moving.people import Named, Terms, team_outcome, user_outcome
from routeiq_appliance.moving.staging import Staging, open_staging
from routeiq_appliance.moving.values import UnfitError, Values, read_array
from routeiq_appliance.state.pepper import key_digest

NOW = datetime(2026, 11, 21, 12, 30, 15, 250_000, tzinfo=UTC)
PEPPER = b"p" * 32
SECRET = "sk-made-by-litellm"
TOKEN = hashlib.sha256(SECRET.encode()).hexdigest()
NOTHING = Named()
STRICT, UNSAFE = Terms(NOW, unsafe=False), Terms(NOW, unsafe=True)


def key(terms: Terms = STRICT, named: Named = NOTHING, /, **columns: str | None) -> Outcome:
    return key_outcome(Values({"token": TOKEN, **columns}), named, PEPPER, terms)


def carried(outcome: Outcome) -> Carried:
    assert isinstance(outcome, Carried), outcome
    return outcome


def reason(outcome: Outcome) -> str:
    assert isinstance(outcome, Held), outcome
    return outcome.reason


def test_the_digest_is_that_of_the_old_secret() -> None:  # L4
    assert carried(key()).values["digest"] == key_digest(PEPPER, SECRET)
    assert carried(key()).values["digest"] == hmac.new(PEPPER, bytes.fromhex(TOKEN), "sha256").hexdigest()


@given(st.decimals(0, 9_000_000, allow_nan=False, places=12))
def test_spend_is_exact_to_the_last_decimal(amount: Decimal) -> None:  # L4
    assert carried(key(spend=str(amount))).spent == pico(amount)


@pytest.mark.parametrize("text", ["0.1", "1e-05", "12.345678901234", "0.30000000000000004", "1E+3", "5e-324"])
def test_spend_as_postgresql_prints_it(text: str) -> None:
    assert carried(key(spend=text)).spent == pico(Decimal(text))


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("spend", "NaN", "spend: not a finite number"),
        ("spend", "Infinity", "spend: not a finite number"),
        ("spend", "9000001", "spend: more than 9000000 dollars cannot be kept"),
        ("spend", "1e999999999", "spend: more than"),
        ("spend", "x" * 500, "spend: not a finite number"),
        ("max_budget", "abc", "max_budget: not a finite number"),
        ("rpm_limit", "1.5", "rpm_limit: not a whole number"),
        ("rpm_limit", "9" * 5000, "rpm_limit: not a whole number"),
        ("expires", "infinity", "expires: not a time between 1970 and 9999"),
        ("expires", "0044-03-15 00:00:00 BC", "expires: not a time"),
        ("budget_duration", "1y", "budget_duration: not a duration that is known here"),
        ("key_alias", "a\nb", "key_alias: holds characters that cannot be printed"),
        ("key_alias", "a" * 257, "key_alias: longer than 256 characters"),
        ("team_id", "t" * 129, "team_id: longer than 128 characters"),
        ("models", "{a,{b}}", "models: not a list of texts"),
        ("models", "a,b", "models: not a list of texts"),
        ("metadata", "{", "metadata: not JSON"),
        ("metadata", "[1]", "metadata: not a JSON object"),
        ("metadata", "[" * 100_000, "metadata: not JSON"),
        ("metadata", '{"a": NaN}', "metadata: not JSON"),
        ("metadata", '{"a": "\\u0000"}', "metadata: holds the character U+0000"),
        ("metadata", json.dumps({"a": "x" * 70_000}), "metadata: longer than 64 KiB"),
        ("model_max_budget", '{"m": {"budget_limit": "x"}}', "model_max_budget: holds what is no amount"),
        (
            "metadata",
            '{"model_rpm_limit": {"m": 1.5}}',
            "metadata.model_rpm_limit: holds what is no whole number",
        ),
        ("blocked", "maybe", "blocked: not a boolean"),
    ],
)
def test_a_key_with_a_value_that_cannot_be_kept_stays_behind(column: str, value: str, why: str) -> None:
    assert reason(key(**{column: value})).startswith(why)
    assert isinstance(key(UNSAFE, **{column: value}), Held)


@pytest.mark.parametrize(
    ("columns", "lost"),
    [
        ({"tpd_limit": "5"}, "tokens a day"),
        ({"allowed_routes": "{/key/info}"}, "a list of allowed routes"),
        ({"allowed_routes": "{llm_api_routes,/key/info}"}, "a list of allowed routes"),
        ({"key_type": "made-up"}, "a type of key that is not known"),
        ({"project_id": "p1"}, "the limits of a project"),
        ({"policies": "{strict}"}, "guardrail policies"),
        ({"budget_limits": '[{"budget_duration": "1d", "max_budget": 1}]'}, "budgets over several periods"),
        (
            {"model_max_budget": '{"m": {"budget_limit": 1, "time_period": "1d"}}'},
            "a model's budget with a period",
        ),
        ({"metadata": '{"guardrails": ["pii"]}'}, "guardrails"),
        ({"metadata": '{"enforced_params": ["user"]}'}, "required request fields"),
        ({"metadata": '{"tag_rpm_limit": {"a": 1}}'}, "requests a minute per tag"),
        ({"metadata": '{"model_itpm_limit": {"a": 1}}'}, "input tokens a minute per model"),
        ({"metadata": '{"end_user_budget_id": "b"}'}, "budgets of end users"),
    ],
)
def test_a_key_with_a_limit_that_is_not_enforced_here_stays_behind(
    columns: dict[str, str], lost: str
) -> None:  # L4
    assert reason(key(**columns)) == f"not enforced here: {lost}"
    assert f"not enforced any more: {lost}" in carried(key(UNSAFE, **columns)).changes


@pytest.mark.parametrize(
    ("columns", "change"),
    [
        ({"aliases": '{"a": "b"}'}, "its model aliases are not followed"),
        ({"permissions": '{"get_spend_routes": true}'}, "further permissions are not granted"),
        ({"auto_rotate": "t"}, "it is not rotated any more"),
        (
            {"metadata": '{"logging": [{"callback_vars": {"langfuse_secret": "planted"}}]}'},
            "callbacks of its own",
        ),
        ({"metadata": '{"routeiq": {"strategy": "x"}}'}, "`metadata.routeiq` is acted on here"),
        ({"models": "{openai/*}"}, "a pattern in `models`"),
        (
            {"model_max_budget": '{"m": {"budget_limit": 1}}'},
            "the budgets of its models begin with nothing spent",
        ),
        ({"metadata": '{"temp_budget_increase": 5}'}, "the temporary increase"),
    ],
)
def test_what_is_different_and_allows_no_more_is_told(columns: dict[str, str], change: str) -> None:
    outcome = carried(key(**columns))
    assert [text for text in outcome.changes if text.startswith(change)]
    assert "planted" not in str(outcome.values)
    assert "routeiq" not in outcome.values["metadata"]


@pytest.mark.parametrize(
    ("models", "kept"),
    [
        (None, []), ("{}", []), ("{a,b,a}", ["a", "b"]), ("{all-proxy-models,a}", []), ("{all-team-models}", []),
        ("{*}", []), ("{no-default-models}", ["no-default-models"]), ("{openai/*}", ["openai/*"]),
        ('{"a b","c\\"d"}', ["a b", 'c"d']),
    ],
)  # fmt: skip
def test_a_list_of_models_never_becomes_empty_by_leaving_names_out(
    models: str | None, kept: list[str]
) -> None:
    assert carried(key(models=models)).values["models"] == kept


@pytest.mark.parametrize(
    ("routes", "kind"),
    [
        ("{llm_api_routes}", "llm_api"),
        ("{management_routes}", "management"),
        ("{info_routes}", "read_only"),
        ("{}", None),
    ],
)
def test_groups_of_routes_are_types_of_keys(routes: str, kind: str | None) -> None:
    assert carried(key(allowed_routes=routes)).values["key_type"] == kind


def test_a_period_ends_when_litellms_would_have() -> None:  # L4
    outcome = carried(
        key(budget_duration="30d", budget_reset_at="2026-12-01 00:00:00", max_budget="1", spend="0.5")
    )
    assert outcome.period == int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
    assert outcome.values["budget_anchor"] == datetime(2026, 11, 1, tzinfo=UTC)
    late = carried(key(budget_duration="1d", budget_reset_at="2026-11-01 00:00:00", spend="0.5"))
    # LiteLLM was down when it was due: what was spent belongs to a period that is over.
    assert late.period == int(datetime(2026, 10, 31, tzinfo=UTC).timestamp())
    never = carried(key(budget_duration="1d", spend="0.5"))
    assert never.period == int(NOW.timestamp())


def test_a_named_budget_says_what_the_key_leaves_open() -> None:
    budget = Values({
        "budget_id": "b", "max_budget": "5", "budget_duration": "7d", "rpm_limit": "3",
        "budget_reset_at": "2026-11-28 00:00:00",
    })  # fmt: skip
    week = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp())
    open_ = carried(key(STRICT, Named(budget=budget), budget_id="b", spend="1"))
    assert (open_.values["max_budget"], open_.values["budget_id"], open_.period) == (None, "b", week)
    amount = carried(key(STRICT, Named(budget=budget), budget_id="b", max_budget="1", spend="1"))
    assert (amount.values["max_budget"], amount.values["budget_duration"], amount.period) == (
        10**12,
        "7d",
        week,
    )
    period = carried(key(STRICT, Named(budget=budget), budget_id="b", budget_duration="1d"))
    assert (period.values["max_budget"], period.values["budget_duration"]) == (5 * 10**12, "1d")


def test_limits_below_zero_let_nothing_through() -> None:
    outcome = carried(
        key(max_budget="-1", rpm_limit="-5", tpm_limit=str(10**18), max_parallel_requests="9999999")
    )
    values = outcome.values
    assert (values["max_budget"], values["rpm_limit"], values["tpm_limit"]) == (0, 0, 10**12)
    assert values["max_parallel_requests"] == 1_000_000


@pytest.mark.parametrize("token", ["sk-planted-secret", "", "A" * 64, "a" * 63, "a" * 64 + "\n"])
def test_a_token_that_is_no_hash_is_neither_carried_nor_shown(token: str) -> None:
    row = Values({"token": token, "key_name": token})
    outcome = key_outcome(row, Named(), PEPPER, UNSAFE)
    assert "no SHA-256" in reason(outcome)
    assert outcome.name == "(no hash)" == key_name(row)


def test_roles_of_users_are_carried_where_they_exist() -> None:
    for role, kept in (
        ("proxy_admin", "proxy_admin"),
        ("internal_user", "internal_user"),
        ("org_admin", None),
    ):
        outcome = carried(user_outcome(Values({"user_id": "u", "user_role": role}), Named(), STRICT))
        assert outcome.values["role"] == kept
    assert (
        "password"
        not in carried(user_outcome(Values({"user_id": "u", "password": "x"}), Named(), STRICT)).values
    )


def test_a_teams_limits_per_model_are_not_enforced_here() -> None:
    row = Values({"team_id": "t", "metadata": '{"model_rpm_limit": {"m": 1}}'})
    assert reason(team_outcome(row, Named(), STRICT)).startswith(
        "not enforced here: requests a minute per model"
    )
    held = Values({"models": "{m}", "blocked_tools": "{}"})
    assert reason(team_outcome(Values({"team_id": "t"}), Named(permission=held), STRICT)).endswith(
        "object permission"
    )


def _decide(rows: dict[str, list[dict[str, Any]]], terms: Terms = STRICT) -> dict[str, list[Outcome]]:
    with open_staging() as staging:
        for table, values in rows.items():
            for row in values:
                staging.put(table, "\n".join(str(row[name]) for name in tables.CARRIED[table]), row)
        return _all(staging, terms)


def _all(staging: Staging, terms: Terms) -> dict[str, list[Outcome]]:
    from routeiq_appliance.moving.run import KINDS

    decider = Decider(staging, PEPPER, terms)
    return {
        kind: [
            outcome
            for table in sources
            for row in staging.rows(table)
            for outcome in decider.decide(kind, table, row)
        ]
        for kind, sources in KINDS.items()
    }


def test_what_belongs_to_a_row_that_stays_behind_stays_too() -> None:  # L4
    rows: dict[str, list[dict[str, Any]]] = {
        tables.BUDGETS: [{"budget_id": "b", "tpd_limit": "1"}],
        tables.ORGANIZATIONS: [{"organization_id": "o", "organization_alias": "o", "budget_id": "b"}],
        tables.TEAMS: [{"team_id": "t", "organization_id": "o", "members": "{u}"}],
        tables.USERS: [{"user_id": "u", "policies": "{p}"}],
        tables.KEYS: [
            {"token": "1" * 64, "team_id": "t"}, {"token": "2" * 64, "user_id": "u"},
            {"token": "3" * 64, "budget_id": "b"}, {"token": "4" * 64, "organization_id": "o"}, {"token": "5" * 64},
        ],
    }  # fmt: skip
    found = _decide(rows)
    assert [reason(outcome) for outcome in found["keys"][:4]] == [
        "its team was not carried", "its user was not carried", "its budget was not carried",
        "its organization was not carried",
    ]  # fmt: skip
    carried(found["keys"][4])
    assert reason(found["teams"][0]) == "its organization was not carried"
    assert found["members"] == []
    assert all(
        isinstance(outcome, Carried) for outcomes in _decide(rows, UNSAFE).values() for outcome in outcomes
    )


def test_a_members_budget_is_its_own_or_the_teams_default() -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        tables.BUDGETS: [{"budget_id": "own", "max_budget": "1"}, {"budget_id": "default", "max_budget": "2"},
                         {"budget_id": "odd", "allowed_models": "{m}"}],
        tables.TEAMS: [{"team_id": "t", "metadata": '{"team_member_budget_id": "default"}',
                        "members_with_roles": '[{"user_id": "a", "role": "admin"}, {"user_id": "b", "role": "user"}]'}],
        tables.TEAM_MEMBERS: [{"team_id": "t", "user_id": "a", "budget_id": "own", "spend": "0.5"},
                              {"team_id": "t", "user_id": "c", "budget_id": "odd"},
                              {"team_id": "t2", "user_id": "d", "budget_id": "own"}],
        tables.KEYS: [{"token": "1" * 64, "team_id": "t", "user_id": "c"}, {"token": "2" * 64, "team_id": "t"}],
    }  # fmt: skip
    found = _decide(rows)
    members = [(row.values["user_id"], row.values["role"], row.values["max_budget"], row.spent)
               for row in found["members"] if isinstance(row, Carried)]  # fmt: skip
    assert members == [("a", "admin", 10**12, 5 * 10**11), ("b", "user", 2 * 10**12, 0)]
    assert reason(found["members"][2]) == "its budget was not carried"
    assert reason(found["keys"][0]) == "its user's membership of its team was not carried"
    carried(found["keys"][1])


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=5))
def test_arrays_are_read_as_postgresql_prints_them(items: list[str]) -> None:
    # Quoting every element is allowed, and what `array_out` does for the awkward ones.
    text = "{" + ",".join('"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"' for item in items) + "}"
    assert read_array(text) == items


@given(st.text(max_size=30))
def test_no_text_does_more_than_be_no_array(text: str) -> None:
    found = read_array(text)
    assert found is None or all(isinstance(item, str) for item in found)


@given(st.dictionaries(st.sampled_from(["spend", "max_budget", "expires", "models", "metadata", "rpm_limit",
                                        "budget_duration", "budget_reset_at", "model_max_budget", "blocked"]),
                       st.text(max_size=30)))  # fmt: skip
def test_no_row_does_more_than_stay_behind(columns: dict[str, str]) -> None:
    outcome = key(**columns)
    if isinstance(outcome, Carried):
        assert outcome.spent >= 0
        json.dumps(outcome.values["metadata"])


def test_a_stored_model_without_a_salt_key_is_a_skeleton_of_what_can_be_read() -> None:
    sealed = "v2:gcm:AAAA"
    params = {
        "model": sealed,
        "api_key": sealed,
        "api_base": "http://h/v1",
        "rpm": 3,
        "aws_region_name": None,
    }
    row = Values({"model_name": "m", "model_info": "{}", "litellm_params": json.dumps(params)})
    entry = model_entry(row, lambda _name: None, None, Secrets())
    assert entry.fault is not None
    assert entry.value["litellm_params"] == {
        "model": "PROVIDER/MODEL", "api_key": "os.environ/M_API_KEY", "api_base": "http://h/v1", "rpm": 3,
    }  # fmt: skip
    with pytest.raises(UnfitError, match="it is blocked there"):
        model_entry(Values({"model_name": "m", "blocked": "t"}), lambda _name: None, None, Secrets())


def test_two_credentials_are_two_variables_and_one_is_one() -> None:
    secrets = Secrets()
    assert [secrets.variable("A", value) for value in ("x", "y", "x")] == ["A", "A_2", "A"]
    assert "y" not in repr(secrets)
