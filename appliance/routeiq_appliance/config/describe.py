"""Tells what a configuration does: the summary of `config check`, the values of `config show`. Pure.

No secret is shown: of `litellm_params` only the fields named here and numbers, never text that could be a credential,
and of a value from the environment only the variable's name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel

from routeiq_appliance.config.deployments import deployments_of, unpriced
from routeiq_appliance.config.document import Path, dotted
from routeiq_appliance.config.ignored import ignored, instead, notes
from routeiq_appliance.config.load import Loaded
from routeiq_appliance.config.model_list import PRICES
from routeiq_appliance.config.models import IGNORED_SECTIONS
from routeiq_appliance.config.policy import call_policy
from routeiq_appliance.config.values import own_first
from routeiq_appliance.money import dollars
from routeiq_appliance.pipeline.types import Deployment, Price
from routeiq_appliance.settings import SECRETS, Settings

__all__ = ["REDACTED", "Value", "summary", "values"]

REDACTED = "(redacted)"
_TOKENS = ("input_token", "output_token")
_PRICED = (*_TOKENS, "second", "call")
_SHOWN_PARAMS = frozenset({
    *PRICES, "api_base", "drop_params", "max_parallel_requests", "max_retries", "model", "order", "rpm",
    "stream_timeout", "tags", "timeout", "tpm", "weight",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Value:
    """One value that holds, and where it comes from; `where` is the line, the variable, or nothing."""

    name: str
    value: Any
    source: Literal["file", "default", "environment", "derived"]
    where: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)


def summary(loaded: Loaded) -> dict[str, Any]:
    """Return groups with deployments, fallbacks, and what is ignored, unpriced, not set or seldom meant."""
    config, policy = loaded.config, call_policy(loaded.config)
    unset = {path[1]: variable for path, variable in loaded.unset.items() if path[3:] == ("model",)}
    hidden = {path[1] for path in loaded.unset if path[3:] == ("api_base",)}
    places = _places(loaded)
    return {
        "groups": {
            group: [
                _deployment(
                    deployment,
                    unset.get(places[group][number]),
                    places[group][number] in hidden,
                    config.model_list[places[group][number]].litellm_params.model,
                )
                for number, deployment in enumerate(members)
            ]
            for group, members in deployments_of(config).items()
        },
        "balancing": policy.balancing,
        "fallbacks": {group: list(others) for group, others in policy.fallbacks.items()},
        "default_fallbacks": list(policy.default_fallbacks),
        "context_window_fallbacks": {
            **{group: list(others) for group, others in policy.context_window_fallbacks.items()},
            **({"*": list(found)} if (found := policy.default_context_window_fallbacks) else {}),
        },
        "aliases": dict(policy.aliases),
        "egress": config.routeiq.egress,
        "ignored": [{"name": name, "instead": instead(name)} for name in ignored(config)],
        "unpriced": unpriced(config),
        "not_set": [
            {"line": loaded.document.line(path), "where": dotted(path), "variable": variable}
            for path, variable in loaded.unset.items()
        ],
        "notes": list(notes(config)),
    }


def values(loaded: Loaded, environ: Mapping[str, str]) -> list[Value]:
    """Return every value of the environment and the file, defaults included, then what follows for deployments."""
    found = [*_settings(environ), *_section(loaded, loaded.config, ())]
    for members in deployments_of(loaded.config).values():
        found += [item for deployment in members for item in _derived(deployment)]
    return found


def _places(loaded: Loaded) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for number, entry in enumerate(loaded.config.model_list):
        places.setdefault(entry.model_name, []).append(number)
    return places


def _deployment(deployment: Deployment, variable: str | None, hidden: bool, model: str) -> dict[str, Any]:
    return {
        "id": deployment.id,
        "model": f"os.environ/{variable}" if variable else model,
        "address": None if hidden or deployment.destination is None else str(deployment.destination),
        "upstream": deployment.upstream,
        "price": _price(deployment.price),
    }


def _price(price: Price | None) -> dict[str, str] | None:
    if price is None:
        return None
    return {
        name: f"{dollars(amount).normalize():f}"
        for name in _PRICED
        if (amount := getattr(price, name)) or name in _TOKENS
    }


def _settings(environ: Mapping[str, str]) -> Iterator[Value]:
    for field in Settings.model_fields.values():
        name = str(field.alias)
        source: Literal["environment", "default"] = "environment"
        if name in SECRETS and environ.get(f"{name}_FILE"):
            yield Value(name, REDACTED, source, f"{name}_FILE")
        elif environ.get(name):
            yield Value(name, REDACTED if name in SECRETS else _harmless(environ[name]), source, name)
        else:
            default = None if field.is_required() else field.default
            yield Value(name, default if isinstance(default, int | float | None) else str(default), "default")


def _harmless(text: str) -> str:
    return _without_credentials(text) if "://" in text else text


def _section(loaded: Loaded, model: BaseModel, path: Path) -> Iterator[Value]:
    for name, field in own_first(type(model)):
        if not path and name in IGNORED_SECTIONS:
            continue
        at: Path = (*path, name)
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _section(loaded, value, at)
        elif value is None and (nested := _model(field.annotation)) is not None:
            yield from _section(loaded, nested(), at)
        elif isinstance(value, list) and value and isinstance(value[0], BaseModel):
            for number, item in enumerate(value):
                yield from _section(loaded, item, (*at, number))
        elif value is not None or at in loaded.unset:
            yield _value(loaded, at, value)
    if path[:1] == ("model_list",) and path[2:] == ("litellm_params",):
        yield from (
            _value(loaded, (*path, str(name)), value) for name, value in (model.model_extra or {}).items()
        )


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the section that an annotation `Section | None` allows."""
    kinds = [kind for kind in get_args(annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return kinds[0] if kinds else None


def _value(loaded: Loaded, path: Path, value: Any) -> Value:
    variable = loaded.variables.get(path) or loaded.unset.get(path)
    if variable:
        state = "" if path in loaded.variables else ", not set"
        return Value(dotted(path), f"os.environ/{variable}", "environment", f"{variable}{state}")
    line = loaded.document.lines.get(path)
    shown = _shown(path, value)
    return (
        Value(dotted(path), shown, "default")
        if line is None
        else Value(dotted(path), shown, "file", f"line {line}")
    )


def _shown(path: Path, value: Any) -> Any:
    name = path[-1]
    if path[2:3] == ("litellm_params",):
        if name == "api_base":
            return _without_credentials(value)
        if name not in _SHOWN_PARAMS and not isinstance(value, bool | int | float):
            return REDACTED
    if path == ("router_settings", "model_group_alias"):
        return {alias: group for alias, group in value.items() if isinstance(group, str)}
    return f"{value:f}" if name in PRICES else value


def _without_credentials(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return REDACTED
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _derived(deployment: Deployment) -> Iterator[Value]:
    for name in ("upstream", "connect_timeout", "timeout", "first_token_timeout", "stream_timeout", "retries", "weight",
                 "order"):  # fmt: skip
        yield Value(f"{deployment.id}: {name}", getattr(deployment, name), "derived")
    yield Value(f"{deployment.id}: price", _price(deployment.price) or "unpriced", "derived")
