"""`routeiq router explain`: why a call went where it went, from the database or from the gateway that decided."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import click

from routeiq_appliance.cli.database import open_database
from routeiq_appliance.cli.support import emit, json_option
from routeiq_signing.errors import RouteIQError

__all__ = ["explain"]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


# The key goes to the address that was given: past no proxy of the environment, after no redirect.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
_SECONDS = 30
_MAX_BYTES = 1 << 20


@click.command()
@click.argument("decision_id", metavar="ID")
@click.option(
    "--url", help="Ask this gateway, with the admin key in LITELLM_MASTER_KEY; default: the database"
)
@json_option
def explain(decision_id: str, url: str | None, as_json: bool) -> None:
    """Tell why a call went where it went, what the runner-up was and what it would have cost.

    ID is the answer's `x-routeiq-decision-id`. Without --url the gateway's database is read (DATABASE_URL, else SQLite
    in ROUTEIQ_DATA_DIR).
    """
    found = _read(decision_id) if url is None else _ask(url, decision_id)
    emit(json.loads(json.dumps(found, default=_plain)), as_json=as_json, text=_text(found))


def _read(decision_id: str) -> Mapping[str, Any]:
    from routeiq_appliance.routing.explain import explain as explained  # noqa: PLC0415
    from routeiq_appliance.state.spend import spend_logs  # noqa: PLC0415

    engine = open_database()
    try:
        rows = spend_logs(engine, request_id=decision_id, limit=1)
    finally:
        engine.dispose()
    if not rows:
        raise RouteIQError(
            f"{decision_id[:64]}: no such decision here", hint="a call is kept some ms after its answer"
        )
    return explained(rows[0])


def _ask(url: str, decision_id: str) -> Mapping[str, Any]:
    from routeiq_appliance.config.variables import read_variable  # noqa: PLC0415

    key = read_variable("LITELLM_MASTER_KEY", os.environ)
    if key is None:
        raise RouteIQError(
            "LITELLM_MASTER_KEY: is not set", hint="set it, or LITELLM_MASTER_KEY_FILE, to an admin's key"
        )
    if urllib.parse.urlsplit(url).scheme not in {"http", "https"}:
        raise RouteIQError(f"{url[:128]}: is no http:// or https:// address")
    path = f"{url.rstrip('/')}/router/decisions/{urllib.parse.quote(decision_id, safe='')}"
    request = urllib.request.Request(path, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - checked above
    try:
        with _OPENER.open(request, timeout=_SECONDS) as response:
            found = json.loads(response.read(_MAX_BYTES), parse_float=Decimal)
    except urllib.error.HTTPError as error:
        raise RouteIQError(f"{url}: {_message(error)}") from None
    except (urllib.error.URLError, OSError) as error:
        raise RouteIQError(f"{url}: {getattr(error, 'reason', error)}") from None
    except ValueError:
        raise RouteIQError(f"{url}: its answer is no JSON; is it a gateway?") from None
    if not isinstance(found, dict) or "candidates" not in found:
        raise RouteIQError(f"{url}: its answer explains nothing; is it a gateway?")
    return found


def _message(error: urllib.error.HTTPError) -> str:
    try:
        told = json.loads(error.read(_MAX_BYTES))["error"]["message"]
    except (ValueError, KeyError, TypeError, OSError):
        told = error.reason
    return f"{error.code} {str(told)[:300]}"


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value.isoformat().replace("+00:00", "Z")


def _text(found: Mapping[str, Any]) -> str:
    """Return what a person reads."""
    tokens = f"{found['prompt_tokens']} + {found['completion_tokens']} tokens"
    answered = (
        f"{found['group'] or 'nobody'} ({found['deployment'] or '-'}): {found['status']} {found['outcome']}"
    )
    if found["estimated"]:
        tokens += " (estimated)"
    lines = [
        f"{found['id']}  {found['started_at']}",
        f"asked      {found['asked']}",
        f"answered   {answered}, {tokens}, {_money(found['spend'])}",
        f"because    {found['reason'] or 'no decision was made'}",
        f"strategy   {found['strategy'] or '-'}, artifact {found['artifact'] or '-'}, seed {_or(found['seed'])}",
    ]
    if found["objective"]:
        lines.append(f"objective  {found['objective']}, from {found['objective_from']}")
    if found["candidates"]:
        lines += [
            "",
            f"{'':>2} {'group':<24} {'score':>9} {'quality':>9} {'cost':>6} {'latency':>8} {'this call':>14}",
        ]
    for item in found["candidates"]:
        lines.append(
            f"{item['place']:>2} {item['group']:<24} {_number(item['score']):>9} {_number(item['quality']):>9} "
            f"{_number(item['cost'], 2):>6} {_number(item['latency'], 2):>8} {_money(item['spend']):>14}"
        )
    for name, label in (("filtered", "left out"), ("put_last", "put last"), ("passed_over", "passed over")):
        lines += [
            f"{label}  {item.get('group') or item.get('deployment')}: {item['reason']}"
            for item in found[name]
        ]
    lines += [f"undeclared  {item['group']}: {item['need']} (allowed)" for item in found["undeclared"]]
    lines += [
        f"attempt  {item['deployment']}: {item['outcome']}, {item['ms']} ms" for item in found["attempts"]
    ]
    other = found["runner_up"]
    if other is not None:
        behind = "" if other["behind"] is None else f", {_number(other['behind'])} behind"
        more = "" if other["difference"] is None else f", a difference of {_money(other['difference'])}"
        lines += [
            "",
            f"runner-up  {other['group']}{behind}; it would have cost {_money(other['spend'])}{more}",
        ]
    return "\n".join(lines)


def _money(value: Any) -> str:
    return "unpriced" if value is None else f"${Decimal(str(value)):.9f}"


def _number(value: Any, digits: int = 4) -> str:
    return "-" if value is None else f"{float(value):.{digits}f}"


def _or(value: Any) -> str:
    return "-" if value is None else str(value)
