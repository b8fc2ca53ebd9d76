"""LiteLLM's stored models → entries of `model_list`, with each credential apart. Pure.

LiteLLM encrypts every text in `litellm_params`, the model's name as well. With its salt key they are opened; without
it an entry is a skeleton: names, and `os.environ/NAME` in the places of what could not be read.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from routeiq_appliance.config.model_list import PRICES
from routeiq_appliance.moving.sealed import SealedError, unseal
from routeiq_appliance.moving.values import UnfitError, Values

__all__ = ["Entry", "Secrets", "model_entry"]

_CONFIDENTIAL = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)
_CREDENTIAL = "litellm_credential_name"
_ENVIRONMENT = "os.environ/"
_SEALED = re.compile(r"v2:gcm:.*|[A-Za-z0-9_+/-]{54,}={0,2}", re.DOTALL)
"""A box's nonce and tag are forty bytes."""
_NAME = re.compile(r"[^A-Z0-9]+")
_INFO = ("id", "mode", *PRICES)
_NO_KEY = "its parameters are encrypted, and LITELLM_SALT_KEY is not set: a skeleton was written"
_WRONG_KEY = "its parameters do not open with LITELLM_SALT_KEY: a skeleton was written"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of `model_list`. `fault` says why it is only a skeleton."""

    name: str
    value: dict[str, Any]
    fault: str | None
    changes: tuple[str, ...] = ()


@dataclass(slots=True)
class Secrets:
    """Variable → what it holds; the same credential is one variable."""

    values: dict[str, str] = field(default_factory=dict, repr=False)

    def variable(self, wanted: str, value: str) -> str:
        """Return the name of the variable that holds `value`."""
        number, name = 1, wanted
        while self.values.setdefault(name, value) != value:
            number += 1
            name = f"{wanted}_{number}"
        return name


def model_entry(
    values: Values,
    credential: Callable[[str], Mapping[str, Any] | None],
    salt_key: str | None,
    secrets: Secrets,
) -> Entry:
    """Return the entry for a row of LiteLLM_ProxyModelTable; raises `UnfitError`.

    `credential` returns `credential_values` of the row of LiteLLM_CredentialsTable of that name.
    """
    name = values.name("model_name", most=128)
    if name is None:
        raise UnfitError("model_name: is missing")
    if values.flag("blocked"):
        raise UnfitError("it is blocked there")
    opener = _Opener(salt_key, secrets, _variable(name))
    given = values.object("litellm_params")
    params = {key: opener.value(key, value) for key, value in given.items() if value is not None}
    named = params.pop(_CREDENTIAL, None)
    if isinstance(named, str) and not opener.failed:
        found = credential(named)
        if found is None:
            raise UnfitError("litellm_credential_name: there is no credential of this name")
        params = {key: opener.value(key, value) for key, value in found.items()} | params
    info = values.object("model_info")
    entry: dict[str, Any] = {"model_name": name, "litellm_params": {"model": "PROVIDER/MODEL", **params}}
    kept = {key: info[key] for key in _INFO if info.get(key) is not None}
    if kept:
        entry["model_info"] = kept
    told = []
    if info.get("team_id"):
        told.append("it is a team's own there: name its group in `models` of that team")
    if info.get("access_groups"):
        told.append("access groups give nobody models here: name the group in `models` of keys and teams")
    fault = None
    if opener.failed:
        fault = _NO_KEY if salt_key is None else _WRONG_KEY
    return Entry(name, entry, fault, tuple(told))


class _Opener:
    """Opens the values of one row; puts credentials into variables."""

    def __init__(self, salt_key: str | None, secrets: Secrets, prefix: str) -> None:
        self._salt_key = salt_key
        self._secrets = secrets
        self._prefix = prefix
        self.failed = False

    def value(self, name: str, value: Any) -> Any:
        """Return what is written for a parameter."""
        if isinstance(value, dict):
            return {key: self.value(f"{name}_{key}", item) for key, item in value.items()}
        if not isinstance(value, str):
            return value
        plain = self._plain(value)
        variable = f"{self._prefix}_{_variable(name)}"
        if plain is None:
            self.failed = True
            return "PROVIDER/MODEL" if name == "model" else f"{_ENVIRONMENT}{variable}"
        if plain.startswith(_ENVIRONMENT) or name == _CREDENTIAL or not _CONFIDENTIAL.search(name):
            return plain
        return f"{_ENVIRONMENT}{self._secrets.variable(variable, plain)}"

    def _plain(self, value: str) -> str | None:
        """Return the value, opened when it is sealed; None when it is and does not open."""
        if self._salt_key is not None:
            try:
                return unseal(value, self._salt_key)
            except SealedError:
                pass
        # LiteLLM takes what does not open for what it is; a text of this form would be a strange address or name.
        return None if _SEALED.fullmatch(value) else value


def _variable(text: str) -> str:
    name = _NAME.sub("_", text.upper()).strip("_")[:60] or "MODEL"
    return f"M_{name}" if name[0].isdigit() else name
