"""`routeiq admin spend`: reports of what was spent, and whether the ledger and the budgets' table agree."""

import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

from routeiq_appliance.cli.database import open_database
from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option

__all__ = ["spend"]

_DAY = click.DateTime(["%Y-%m-%d"])


@click.group(cls=RouteIQGroup)
def spend() -> None:
    """Report what was spent, from the gateway's database (DATABASE_URL, else SQLite in ROUTEIQ_DATA_DIR)."""


@spend.command()
@click.option("--group-by", default="team", show_default=True,
              help="Any of day, organization, team, user, key, model, separated by commas")  # fmt: skip
@click.option("--from", "first", type=_DAY, help="First day, UTC")
@click.option("--to", "last", type=_DAY, help="Last day, UTC")
@click.option("--key", "key_id", help="Only this key, by its token id")
@click.option("--team", "team_id", help="Only this team")
@click.option("--user", "user_id", help="Only this user")
@click.option("--organization", "organization_id", help="Only this organization")
@click.option("--model", help="Only this group of models")
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values")
@click.option("--json", "form", flag_value="json", help="JSON")
@click.option("--table", "form", flag_value="table", default=True, help="A table for people (default)")
def report(
    group_by: str, first: datetime | None, last: datetime | None, form: str, **only: str | None
) -> None:
    """Print sums over calls; on stderr, whether they agree with what was charged.

    Calls without a price are counted under UNPRICED_REQUESTS and are in no sum.
    """
    from routeiq_appliance.pipeline.authenticate import MASTER_KEY_ID  # noqa: PLC0415
    from routeiq_appliance.reporting.columns import parse_groups  # noqa: PLC0415
    from routeiq_appliance.reporting.layouts import CsvLayout, JsonLayout, Layout, TableLayout  # noqa: PLC0415
    from routeiq_appliance.reporting.text import amount  # noqa: PLC0415
    from routeiq_appliance.reporting.write import write_report  # noqa: PLC0415
    from routeiq_appliance.state.reports import Wanted  # noqa: PLC0415

    groups = parse_groups(group_by)
    wanted = Wanted(**only, start=_midnight(first), end=_midnight(last, days=1))
    layouts: dict[str, Layout] = {
        "csv": CsvLayout(groups), "json": JsonLayout(groups, wanted), "table": TableLayout(groups),
    }  # fmt: skip
    engine = open_database()
    out = sys.stdout.buffer
    try:
        made = write_report(engine, layouts[form], wanted, out.write, uncharged=MASTER_KEY_ID)
    finally:
        engine.dispose()
    out.flush()
    account = made.account
    agree = "agrees with" if made.reconciled else "DIFFERS from"
    click.echo(
        f"{account.scope}: the ledger has ${amount(account.ledger)} ({amount(account.uncharged)} charged to nobody) and"
        f" {agree} what was charged, ${amount(account.spend)}; difference ${amount(account.difference)}",
        err=True,
    )


@spend.command()
@json_option
@click.pass_context
def reconcile(context: click.Context, as_json: bool) -> None:
    """Compare, per key, team, user and organization, the ledger with what was charged; exit 1 when any differs."""
    from routeiq_appliance.pipeline.authenticate import MASTER_KEY_ID  # noqa: PLC0415
    from routeiq_appliance.reporting.text import amount  # noqa: PLC0415
    from routeiq_appliance.state.reconcile import compare_all  # noqa: PLC0415
    from routeiq_appliance.state.reports import snapshot  # noqa: PLC0415

    engine = open_database()
    compared = 0
    differences: list[dict[str, Any]] = []
    try:
        with snapshot(engine) as connection:
            for account in compare_all(connection, uncharged=MASTER_KEY_ID):
                compared += 1
                if not account.reconciled:
                    differences.append({
                        "scope": account.scope, "ledger": amount(account.ledger), "spend_table": amount(account.spend),
                        "carried_over": amount(account.carried), "difference": amount(account.difference),
                    })  # fmt: skip
    finally:
        engine.dispose()
    lines = [
        f"{item['scope']}: the ledger has ${item['ledger']}, charged was ${item['spend_table']}:"
        f" ${item['difference']}"
        for item in differences
    ]
    last = f"{compared} compared, {len(differences)} differ"
    emit(
        {"compared": compared, "reconciled": not differences, "differences": differences},
        as_json=as_json,
        text="\n".join([*lines, last]),
    )
    if differences:
        context.exit(1)


def _midnight(day: datetime | None, *, days: int = 0) -> datetime | None:
    if day is None:
        return None
    whole = date(day.year, day.month, day.day)
    if days and whole >= date.max:
        return None
    return datetime.combine(whole + timedelta(days=days), datetime.min.time(), UTC)
