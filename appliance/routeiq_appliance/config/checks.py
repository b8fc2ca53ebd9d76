"""What belongs together in a configuration: groups that are named exist, addresses are given, nothing is said twice.

Pure. Types and ranges are the schema's; whether artifacts verify is `routing/`'s.
"""

from collections.abc import Iterator

from routeiq_appliance.config.document import Path, dotted
from routeiq_appliance.config.mistakes import nearest
from routeiq_appliance.config.model_list import PRICES, LitellmParams, ModelEntry
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.params import DIRECT_PARAMS, is_for_the_proxy, not_direct
from routeiq_appliance.config.sections import LitellmSettings, Reliability, RouterSettings
from routeiq_appliance.config.values import Acted
from routeiq_appliance.egress.destinations import destination_of_url
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.policy.document import Known, rule_mistakes

__all__ = ["NO_GROUP", "cross_checks"]

NO_GROUP = "no group "
"""How the mistake begins that a name is no group's."""

# A name this near to one that is acted on is a misspelling. LiteLLM's own names are further apart, but for these.
_LITELLM_KNOWS = frozenset({"callbacks", "itpm", "otpm", "routing_strategy_args"})


def cross_checks(config: GatewayConfig) -> Iterator[tuple[Path, str]]:
    """Yield where and what, in no order."""
    groups = {entry.model_name for entry in config.model_list}
    yield from _auto(config, groups)
    yield from _entries(config)
    for section, settings in (
        ("router_settings", config.router_settings),
        ("litellm_settings", config.litellm_settings),
    ):
        if settings is not None:
            yield from _reliability(settings, (section,), groups | set(_aliases(config)))
    yield from _alias_checks(config, groups)
    yield from _twice(config)
    yield from _policy(config, groups)


def _auto(config: GatewayConfig, groups: set[str]) -> Iterator[tuple[Path, str]]:
    auto = config.routeiq.auto
    where: Path = ("routeiq", "auto")
    for number, group in enumerate(auto.candidates or []):
        if group not in groups:
            yield (*where, "candidates", number), _no_group(group, groups)
    for group in auto.model_map:
        if group not in groups:
            yield (*where, "model_map", group), _no_group(group, groups)
    if auto.strategy == "ml" and not auto.artifact:
        yield (*where, "strategy"), "`ml` needs an artifact; name its folder in `artifact`"
    if auto.objective is not None and "cost_weight" in auto.model_fields_set:
        yield (*where, "cost_weight"), "`objective` is given too, and says the same and more; keep one"


def _entries(config: GatewayConfig) -> Iterator[tuple[Path, str]]:
    given = {entry.model_info.id for entry in config.model_list}
    seen: set[str] = set()
    counts: dict[str, int] = {}
    for number, entry in enumerate(config.model_list):
        where: Path = ("model_list", number)
        counts[entry.model_name] = counts.get(entry.model_name, 0) + 1
        made = f"{entry.model_name}-{counts[entry.model_name]}"
        if entry.model_info.id is None:
            if made in given or made in seen:
                yield (
                    where,
                    f"its name would be `{made}`, which another deployment has; give it a `model_info.id`",
                )
            seen.add(made)
        elif entry.model_info.id in seen:
            yield (*where, "model_info", "id"), f"`{entry.model_info.id}` is given to two deployments"
        seen.add(entry.model_info.id or made)
        yield from _address(config, entry.litellm_params.api_base, (*where, "litellm_params"))
        yield from _misspelt(entry.litellm_params, (*where, "litellm_params"), DIRECT_PARAMS)
        yield from _misspelt(entry.model_info, (*where, "model_info"), frozenset())
        yield from _direct(entry, where)


def _address(config: GatewayConfig, api_base: str | None, where: Path) -> Iterator[tuple[Path, str]]:
    if api_base is None:
        if config.routeiq.egress == "sealed":
            yield where, "api_base: is missing; while sealed, every deployment names its address"
        return
    try:
        destination_of_url(api_base)
    except ConfigError as error:
        yield (*where, "api_base"), str(error)


def _direct(entry: ModelEntry, where: Path) -> Iterator[tuple[Path, str]]:
    if entry.model_info.upstream != "direct":
        return
    if entry.litellm_params.api_base is None:
        yield (*where, "model_info", "upstream"), "`direct` needs an `api_base` in litellm_params"
    if not entry.litellm_params.model.partition("/")[2]:
        yield (
            (*where, "litellm_params", "model"),
            "`direct` needs PROVIDER/NAME; NAME is what the server is asked for",
        )
    for name in not_direct(entry):
        yield (
            (*where, "litellm_params", name),
            "is not understood by `model_info.upstream: direct`; put it in `extra_body` to send it as it is",
        )


def _misspelt(settings: Acted, where: Path, more: frozenset[str]) -> Iterator[tuple[Path, str]]:
    """Yield unknown names that are nearly known ones: handed on or ignored, they would do nothing."""
    known = set(type(settings).model_fields) | more
    for name in settings.model_extra or {}:
        if name in known or name in _LITELLM_KNOWS:
            continue
        if dotted((name,)) != name and isinstance(settings, LitellmParams):
            yield (*where, name), "not a name; is there a space after the colon?"
        elif name == "base_url" and isinstance(settings, LitellmParams):
            yield (*where, name), "unknown name; did you mean `api_base`?"
        elif not name.startswith(PRICES) and nearest(name, known, cutoff=_cutoff(name)):
            yield (*where, name), "unknown name" + nearest(name, known)


def _cutoff(name: str) -> float:
    # LiteLLM has some eighty names for prices, each near another.
    return 0.93 if is_for_the_proxy(name) else 0.85


def _reliability(settings: Reliability, where: Path, groups: set[str]) -> Iterator[tuple[Path, str]]:
    yield from _misspelt(settings, where, frozenset())
    for kind in ("fallbacks", "context_window_fallbacks"):
        seen: set[str] = set()
        for number, entry in enumerate(getattr(settings, kind) or []):
            if not entry:
                yield (*where, kind, number), "names no group"
            for group, targets in entry.items():
                at: Path = (*where, kind, number, group)
                if group != "*" and group not in groups:
                    yield at, _no_group(group, groups)
                if group in seen:
                    yield at, "is given twice"
                seen.add(group)
                for position, target in enumerate(targets):
                    if target not in groups:
                        yield (*at, position), _no_group(target, groups)
                    elif target == group:
                        yield (*at, position), "falls back to itself"
    for number, group in enumerate(settings.default_fallbacks or []):
        if group not in groups:
            yield (*where, "default_fallbacks", number), _no_group(group, groups)


def _aliases(config: GatewayConfig) -> dict[str, str]:
    given = config.router.model_group_alias or {}
    return {alias: group for alias, group in given.items() if isinstance(group, str)}


def _alias_checks(config: GatewayConfig, groups: set[str]) -> Iterator[tuple[Path, str]]:
    where: Path = ("router_settings", "model_group_alias")
    for alias, group in _aliases(config).items():
        if group not in groups:
            yield (*where, alias), _no_group(group, groups)
        if alias in groups or alias == "auto":
            yield (
                (*where, alias),
                "is the name of a group already" if alias in groups else "`auto` is reserved",
            )


def _twice(config: GatewayConfig) -> Iterator[tuple[Path, str]]:
    """Yield deadlines that are said in two places: LiteLLM's would win, and ours do nothing."""
    said = config.routeiq.deadlines.model_fields_set
    router: RouterSettings = config.router
    litellm: LitellmSettings = config.litellm
    other = "router_settings.timeout" if router.timeout else "litellm_settings.request_timeout"
    if "total" in said and (router.timeout or litellm.request_timeout):
        yield ("routeiq", "deadlines", "total"), f"is also given as {other}; keep one"
    for name in ("first_token", "idle"):
        if name in said and router.stream_timeout:
            yield ("routeiq", "deadlines", name), "is also given as router_settings.stream_timeout; keep one"


def _policy(config: GatewayConfig, groups: set[str]) -> Iterator[tuple[Path, str]]:
    section = config.routeiq.policy
    where: Path = ("routeiq", "policy")
    if section.file is not None and section.rules:
        yield (*where, "file"), "rules are also given in `rules`; keep one"
    deployments: dict[str, str] = {}
    counts: dict[str, int] = {}
    for entry in config.model_list:
        group = entry.model_name
        counts[group] = counts.get(group, 0) + 1
        deployments[entry.model_info.id or f"{group}-{counts[group]}"] = group
    tags = frozenset(tag for entry in config.model_list for tag in entry.litellm_params.tags or ())
    known = Known(frozenset(groups), _aliases(config), deployments, tags)
    for path, what in rule_mistakes(section.rules, known):
        yield (*where, "rules", *path), what


def _no_group(group: str, groups: set[str]) -> str:
    return f"{NO_GROUP}`{group}` in model_list" + nearest(group, groups)
