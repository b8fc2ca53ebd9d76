"""Why the gateway does not act on a setting of LiteLLM's, and what to use instead. Pure.

A test takes the names from the installed LiteLLM: a new version's settings fail it until they are explained.
"""

from collections.abc import Mapping

from routeiq_appliance.config.explained.general import GENERAL
from routeiq_appliance.config.explained.library import LIBRARY
from routeiq_appliance.config.explained.others import MODEL_INFO, PARAM_PREFIXES, PARAMS, SECTIONS
from routeiq_appliance.config.explained.router import ROUTER

__all__ = ["SECTIONS", "explanation"]

_PRICE = "only a price per token, per second or per call is counted"
_OWN_VARIABLES = "set it where the gateway is started"


def _by_name(reasons: Mapping[str, str]) -> dict[str, str]:
    return {name: reason for reason, names in reasons.items() for name in names.split()}


_SETTINGS = {
    "general_settings": _by_name(GENERAL),
    "litellm_settings": _by_name(LIBRARY),
    "router_settings": _by_name(ROUTER),
}
_PARAMS, _INFO = _by_name(PARAMS), _by_name(MODEL_INFO)


def explanation(name: str) -> str | None:
    """Return why the setting of this dotted name is not acted on; None when it is no setting of LiteLLM's."""
    section, _, rest = name.removeprefix("model_list[].").partition(".")
    if section in _SETTINGS:
        return _SETTINGS[section].get(rest)
    if section == "environment_variables":
        return _OWN_VARIABLES
    if section == "litellm_params":
        return _param(rest)
    if section == "model_info":
        return _INFO.get(rest) or (_PRICE if "_cost_per_" in rest or "token_cost" in rest else None)
    return SECTIONS.get(section)


def _param(name: str) -> str | None:
    known = _PARAMS.get(name)
    if known is not None:
        return known
    if name.startswith(PARAM_PREFIXES):
        return "`model: auto` and `routeiq.auto` choose a model"
    return _PRICE if "_cost_per_" in name or "token_cost" in name else None
