"""The schema of policy rules, in `config.yaml`, in a file of their own and in Redis alike. Strict and pure.

What belongs together (`then: rewrite` needs a target, a target exists) is checked in `document`.
"""

from typing import Annotated, Literal

from pydantic import Field

from routeiq_appliance.config.values import Strict, Whole

__all__ = ["Criteria", "Day", "PolicyMode", "PolicySection", "Rule", "RulesFile", "Size", "Window"]

PolicyMode = Literal["enforce", "dry-run"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Names = Annotated[list[_Name], Field(min_length=1, max_length=10_000)]
_Count = Annotated[Whole, Field(ge=0, le=1_000_000_000_000)]
_HOURS = r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"


class Window(Strict):
    """Hours of a day. One that ends before it begins goes on after midnight; its day is the one it began on."""

    days: Annotated[
        list[Day] | None, Field(min_length=1, description="`mon` … `sun`; default: every day")
    ] = None
    hours: Annotated[
        str, Field(pattern=_HOURS, description="`HH:MM-HH:MM`, from the first minute to the first one after")
    ] = "00:00-24:00"
    timezone: Annotated[str, Field(min_length=1, max_length=64, description="IANA name, `Europe/Berlin`")] = (
        "UTC"
    )


class Size(Strict):
    """Bounds, all of which must hold; both ends belong to the range."""

    min_bytes: Annotated[_Count | None, Field(description="Bytes of the request's body")] = None
    max_bytes: Annotated[_Count | None, Field(description="The same, at most")] = None
    min_messages: Annotated[_Count | None, Field(description="Messages of a conversation, else inputs")] = (
        None
    )
    max_messages: Annotated[_Count | None, Field(description="The same, at most")] = None
    min_tokens: Annotated[_Count | None, Field(description="Tokens in, estimated as bytes / 3")] = None
    max_tokens: Annotated[_Count | None, Field(description="The same, at most")] = None


class Criteria(Strict):
    """What a call must be: every criterion that is given holds, each by one of its values."""

    keys: Annotated[
        _Names | None, Field(description="Ids or aliases of keys; `master` is the master key")
    ] = None
    teams: Annotated[_Names | None, Field(description="Ids or aliases of teams")] = None
    users: Annotated[_Names | None, Field(description="Ids of users")] = None
    organizations: Annotated[_Names | None, Field(description="Ids of organizations")] = None
    roles: Annotated[
        list[Literal["admin", "viewer"]] | None, Field(min_length=1, description="Roles of keys")
    ] = None
    models: Annotated[
        _Names | None,
        Field(description="Models asked for, or the groups they are other names of; `*` and `?` stand for any text, "
                          "any character"),
    ] = None  # fmt: skip
    tags: Annotated[_Names | None, Field(description="Tags of the call, as its caller gives them")] = None
    time: Annotated[
        list[Window] | None, Field(min_length=1, max_length=64, description="Windows of time")
    ] = None
    size: Annotated[Size | None, Field(description="How much the call holds")] = None
    text: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=500)]] | None,
        Field(min_length=1, max_length=64,
              description="Regular expressions (RE2's syntax: no look-around, no back-references) found in what the "
                          "caller wrote"),
    ] = None  # fmt: skip
    text_of: Annotated[
        Literal["everybody", "user"],
        Field(description="Whose messages `text` reads: all, or those with the role `user`"),
    ] = "everybody"
    stream: Annotated[bool | None, Field(description="Whether the answer is streamed")] = None
    dialects: Annotated[
        list[Literal["openai", "anthropic"]] | None, Field(min_length=1, description="The API that is spoken")
    ] = None
    kinds: Annotated[_Names | None, Field(description="`chat`, `text`, `embedding`, …")] = None


class Rule(Strict):
    """One rule: for calls that are as `when` says and not as `unless` says, `then` is done."""

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="Told to callers and kept in records"
        ),
    ]
    when: Annotated[Criteria, Field(description="Default: every call")] = Criteria()
    unless: Annotated[Criteria | None, Field(description="The rule is passed over for such calls")] = None
    then: Annotated[
        Literal["allow", "deny", "rewrite", "force"],
        Field(description="`allow` and `deny` decide; `rewrite` asks for another model and goes on with the next rule; "
                          "`force` decides, and which model, tag or deployment answers"),
    ]  # fmt: skip
    message: Annotated[
        str | None, Field(min_length=1, max_length=500, description="`deny`: what the caller is told")
    ] = None
    model: Annotated[_Name | None, Field(description="`rewrite`, `force`: the model instead")] = None
    map: Annotated[
        dict[_Name, _Name] | None,
        Field(
            min_length=1, description="`rewrite`: model asked for → the model instead; others are left alone"
        ),
    ] = None
    tag: Annotated[_Name | None, Field(description="`force`: only deployments with this tag")] = None
    deployment: Annotated[_Name | None, Field(description="`force`: only this deployment")] = None
    beyond_key: Annotated[
        bool, Field(description="`rewrite`, `force`: also to a model that the key may not use")
    ] = False
    dry_run: Annotated[
        bool, Field(description="What it would do is recorded, and the next rule is asked")
    ] = False


class RulesFile(Strict):
    """A document of rules: a file, or what is kept in Redis. What is not given is as `routeiq.policy` says."""

    version: Annotated[
        Whole | None,
        Field(
            ge=0,
            le=2**53,
            description="In Redis: a document with a lower version than the one in force is refused",
        ),
    ] = None
    mode: Annotated[PolicyMode | None, Field(description="See `routeiq.policy.mode`")] = None
    default: Annotated[Literal["allow", "deny"] | None, Field(description="See `routeiq.policy.default`")] = (
        None
    )
    rules: Annotated[list[Rule], Field(max_length=1000, description="The rules, in order")]


class PolicySection(Strict):
    """`routeiq.policy`: which calls may run and with which model, where `ROUTEIQ_POLICY_ENABLED` switches it on."""

    mode: Annotated[
        PolicyMode, Field(description="`dry-run`: what rules would do is recorded, and no answer changes")
    ] = "enforce"
    default: Annotated[
        Literal["allow", "deny"], Field(description="What happens to a call that no rule decides")
    ] = "allow"
    file: Annotated[str | None, Field(min_length=1, description="YAML file of rules, instead of `rules`")] = (
        None
    )
    rules: list[Rule] = Field(
        default=[], max_length=1000, description="The rules, in order; see docs/policy.md"
    )
    refresh_seconds: Annotated[
        Whole,
        Field(
            ge=5,
            le=300,
            description="How often Redis is asked for rules (`routeiq:policy:rules`), with `REDIS_URL`",
        ),
    ] = 30
    text_chars: Annotated[
        Whole,
        Field(ge=1000, le=5_000_000,
              description="Longest text that patterns read; a longer one cannot be judged by them, and is denied"),
    ] = 500_000  # fmt: skip
