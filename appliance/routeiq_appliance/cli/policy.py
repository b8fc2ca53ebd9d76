"""`routeiq policy`: check rules, run a table of cases against them, sign them for Redis."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routeiq_appliance.cli.signer import SigningKey, signing_key_options
from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option

if TYPE_CHECKING:
    from routeiq_appliance.policy.document import Known
    from routeiq_appliance.policy.schema import Rule

__all__ = ["policy"]

_SLOW_SECONDS = 0.1
_FILE = click.argument("file", type=click.Path(path_type=Path))
_CONFIG = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="The gateway's config.yaml: models, deployments and tags that rules name must be in it",
)


@click.group(cls=RouteIQGroup)
def policy() -> None:
    """Check, test and sign policy rules."""


@policy.command()
@_FILE
@_CONFIG
@json_option
@click.pass_context
def check(context: click.Context, file: Path, config_file: Path | None, as_json: bool) -> None:
    """Check the rules in FILE; exit 1 and every mistake, with its line, when they are wrong."""
    from routeiq_appliance.config.load import read_text  # noqa: PLC0415
    from routeiq_appliance.config.mistakes import ConfigMistakesError  # noqa: PLC0415
    from routeiq_appliance.errors import ConfigError  # noqa: PLC0415
    from routeiq_appliance.policy.document import parse_rules, rule_notes  # noqa: PLC0415

    known = _known(config_file)
    try:
        found = parse_rules(read_text(file), name=str(file), known=known)
    except ConfigError as error:
        if not as_json:
            raise
        mistakes = error.as_json() if isinstance(error, ConfigMistakesError) else [{"what": str(error)}]
        emit({"valid": False, "mistakes": mistakes}, as_json=True, text="")
        context.exit(1)
    rows = [
        (str(number), rule.name, rule.then, "dry run" if rule.dry_run else "")
        for number, rule in enumerate(found.rules, 1)
    ]
    slow = list(_slow(found.rules))
    notes = list(rule_notes(found.rules, known)) if known is not None else []
    lines = [*_table(("", "RULE", "THEN", ""), rows)]
    lines += [
        f"{item['rule']}: a pattern can take {item['seconds']} s for the longest text; `+` is faster than `{{1,64}}`"
        for item in slow
    ]
    lines += [*notes, f"{file}: valid"]
    told = [{"name": rule.name, "then": rule.then, "dry_run": rule.dry_run} for rule in found.rules]
    emit({"valid": True, "rules": told, "slow": slow, "notes": notes}, as_json=as_json, text="\n".join(lines))


@policy.command()
@_FILE
@click.option(
    "--table", "table_file", required=True, type=click.Path(path_type=Path), help="YAML file of cases"
)
@_CONFIG
@json_option
@click.pass_context
def test(
    context: click.Context, file: Path, table_file: Path, config_file: Path | None, as_json: bool
) -> None:
    """Run a table of cases against the rules in FILE; exit 1 when one is not as expected."""
    from routeiq_appliance.config.load import read_text  # noqa: PLC0415
    from routeiq_appliance.policy.document import parse_cases, parse_rules  # noqa: PLC0415
    from routeiq_appliance.policy.rules import compile_rules  # noqa: PLC0415
    from routeiq_appliance.policy.table import run_cases  # noqa: PLC0415

    known = _known(config_file)
    found = parse_rules(read_text(file), name=str(file), known=known)
    cases = parse_cases(read_text(table_file), found.rules, name=str(table_file))
    rules = compile_rules(
        found.rules,
        default=found.default or "allow",
        aliases=known.aliases if known is not None else None,
        deployments=known.deployments if known is not None else None,
    )
    outcomes = run_cases(rules, cases)
    failed = sum(not outcome.passed for outcome in outcomes)
    rows = [
        (
            "pass" if outcome.passed else "FAIL",
            outcome.name,
            "error" if outcome.verdict.failed else outcome.verdict.action,
            outcome.verdict.rule or "-",
            outcome.verdict.model,
            "; ".join(f"{what}: expected {wanted}, got {got}" for what, wanted, got in outcome.wrong)
            or outcome.verdict.explanation,
        )
        for outcome in outcomes
    ]
    lines = [
        *_table(("", "CASE", "ACTION", "RULE", "MODEL", "WHY"), rows),
        f"{len(outcomes) - failed} passed, {failed} failed",
    ]
    emit(
        {"passed": failed == 0, "cases": [outcome.as_json() for outcome in outcomes]},
        as_json=as_json,
        text="\n".join(lines),
    )
    if failed:
        context.exit(1)


@policy.command()
@_FILE
@signing_key_options()
def sign(file: Path, signing_key: SigningKey) -> None:
    """Check the rules in FILE and print their signature: the value of `routeiq:policy:rules:sig` in Redis."""
    from routeiq_appliance.limits import DEFAULT_LIMITS  # noqa: PLC0415
    from routeiq_appliance.policy.document import parse_rules  # noqa: PLC0415
    from routeiq_signing.files import read_capped  # noqa: PLC0415
    from routeiq_signing.sigstore_bundle import message_bundle  # noqa: PLC0415

    raw = read_capped(file, DEFAULT_LIMITS.policy_bytes)
    parse_rules(raw.decode("utf-8", "replace"), name=str(file))
    key = signing_key.open()
    click.echo(message_bundle(key.public.keyid, raw, key.sign(raw)), nl=False)


def _slow(rules: "Iterable[Rule]") -> Iterable[dict[str, Any]]:
    """Yield the rules whose patterns would hold up a worker."""
    from routeiq_appliance.policy.patterns import slowest  # noqa: PLC0415
    from routeiq_appliance.policy.schema import PolicySection  # noqa: PLC0415

    for rule in rules:
        for criteria in (rule.when, rule.unless):
            for pattern in (criteria.text if criteria is not None else None) or ():
                seconds = slowest(pattern, PolicySection().text_chars, time.process_time)
                if seconds > _SLOW_SECONDS:
                    yield {"rule": rule.name, "pattern": pattern, "seconds": round(seconds, 1)}


def _known(config_file: Path | None) -> "Known | None":
    if config_file is None:
        return None
    from routeiq_appliance.config.deployments import deployments_of  # noqa: PLC0415
    from routeiq_appliance.config.load import read_config, read_text  # noqa: PLC0415
    from routeiq_appliance.config.policy import call_policy  # noqa: PLC0415
    from routeiq_appliance.policy.document import known_of  # noqa: PLC0415

    text = read_text(config_file)
    config = read_config(text, os.environ, name=str(config_file), unset_is_a_mistake=False).config
    return known_of(deployments_of(config), call_policy(config).aliases)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
