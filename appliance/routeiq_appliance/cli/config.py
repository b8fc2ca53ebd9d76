"""`routeiq config`: check a configuration, show what holds and where it comes from, print its JSON Schema."""

import json
import os
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option

__all__ = ["config"]

_FILE = click.argument("file", type=click.Path(path_type=Path))


@click.group(cls=RouteIQGroup)
def config() -> None:
    """Check and show the gateway's configuration."""


@config.command()
@_FILE
@click.option(
    "--strict", is_flag=True, help="A variable that is not set here is a mistake, as for `routeiq serve`"
)
@json_option
@click.pass_context
def check(context: click.Context, file: Path, strict: bool, as_json: bool) -> None:
    """Check FILE and tell what it does; exit 1 and every mistake, with its line, when it is wrong.

    Variables that are not set on this host are listed; with --strict they are mistakes.
    """
    from routeiq_appliance.config.describe import summary  # noqa: PLC0415
    from routeiq_appliance.config.load import read_config, read_text  # noqa: PLC0415
    from routeiq_appliance.config.mistakes import ConfigMistakesError  # noqa: PLC0415
    from routeiq_appliance.errors import ConfigError  # noqa: PLC0415

    try:
        loaded = read_config(read_text(file), os.environ, name=str(file), unset_is_a_mistake=strict)
    except ConfigError as error:
        if not as_json:
            raise
        known = error.as_json() if isinstance(error, ConfigMistakesError) else [{"what": str(error)}]
        emit({"valid": False, "mistakes": known}, as_json=True, text="")
        context.exit(1)
    result = summary(loaded)
    emit({"valid": True, **result}, as_json=as_json, text="\n".join(_summary(str(file), result)))


@config.command()
@_FILE
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show every value that holds for FILE, defaults included, and where it comes from; secrets are redacted."""
    from routeiq_appliance.config.describe import values  # noqa: PLC0415
    from routeiq_appliance.config.load import read_config, read_text  # noqa: PLC0415

    loaded = read_config(read_text(file), os.environ, name=str(file), unset_is_a_mistake=False)
    found = values(loaded, os.environ)
    rows = [
        (item.name, _plain(item.value), " ".join(filter(None, (item.source, item.where)))) for item in found
    ]
    emit(
        {"values": [item.as_json() for item in found]},
        as_json=as_json,
        text="\n".join(_table(("NAME", "VALUE", "FROM"), rows)),
    )


@config.command()
def schema() -> None:
    """Print the JSON Schema of config.yaml, for editors."""
    from routeiq_appliance.config.schema import config_schema  # noqa: PLC0415

    emit(config_schema(), as_json=True, text="")


def _summary(name: str, result: dict[str, Any]) -> Iterable[str]:
    rows = [
        (group, item["id"], item["model"], item["address"] or "-", item["upstream"], _price(item["price"]))
        for group, members in result["groups"].items()
        for item in members
    ]
    yield from _table(
        ("GROUP", "DEPLOYMENT", "MODEL", "ADDRESS", "UPSTREAM", "DOLLARS (1M TOKENS IN, OUT)"), rows
    )
    yield ""
    yield f"balancing: {result['balancing']}; egress: {result['egress']}"
    yield from _list("other names", [f"{alias} is {group}" for alias, group in result["aliases"].items()])
    yield from _list("fallbacks", [_arrow(*item) for item in result["fallbacks"].items()])
    yield from _list("fallbacks of every other group", [", ".join(result["default_fallbacks"])])
    yield from _list(
        "when a call is too long", [_arrow(*i) for i in result["context_window_fallbacks"].items()]
    )
    yield from _list(
        "not set here", [f"{i['variable']} (line {i['line']}, {i['where']})" for i in result["not_set"]]
    )
    yield from _list("unpriced, calls are marked so", result["unpriced"])
    yield from _list(
        "not acted on",
        [f"{item['name']}{': ' + item['instead'] if item['instead'] else ''}" for item in result["ignored"]],
    )
    yield from _list("perhaps not meant", result["notes"])
    yield f"{name}: valid"


def _arrow(group: str, others: Sequence[str]) -> str:
    return f"{group} → {', '.join(others)}"


def _list(title: str, items: Sequence[str]) -> Iterable[str]:
    if any(items):
        yield f"{title}:"
        yield from (f"  {item}" for item in items)


def _price(price: dict[str, str] | None) -> str:
    if price is None:
        return "unpriced"
    words = {"input_token": "in", "output_token": "out", "second": "a second", "call": "a call"}
    parts = [
        # A million tokens, as prices are advertised.
        f"{(Decimal(amount) * (10**6 if name.endswith('token') else 1)).normalize():f} {words[name]}"
        for name, amount in price.items()
        if amount != "0"
    ]
    return ", ".join(parts) or "free"


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
