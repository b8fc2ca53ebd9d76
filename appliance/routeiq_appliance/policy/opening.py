"""Composes the policy from settings and configuration; without `ROUTEIQ_POLICY_ENABLED` there is none."""

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from routeiq_appliance.config.load import read_text
from routeiq_appliance.limits import Limits
from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.policy.document import Known, known_of, parse_rules
from routeiq_appliance.policy.gate import PolicyGate
from routeiq_appliance.policy.keeper import PolicyKeeper
from routeiq_appliance.policy.redis import RULES_KEY, RedisRules
from routeiq_appliance.policy.rules import RuleSet, compile_rules
from routeiq_appliance.policy.schema import PolicySection, RulesFile
from routeiq_appliance.settings import Settings
from routeiq_appliance.telemetry.metrics import Metrics
from routeiq_signing.keys import load_public_key

__all__ = ["compile_file", "open_policy"]

_LOG = logging.getLogger(__name__)


def open_policy(
    settings: Settings,
    section: PolicySection,
    groups: Mapping[str, Sequence[Deployment]],
    aliases: Mapping[str, str],
    limits: Limits,
    metrics: Metrics,
) -> PolicyKeeper | None:
    """Return the policy, not yet connected; raises `ConfigError` with every mistake of the rules' file."""
    if not settings.policy_enabled:
        if section.rules or section.file:
            _LOG.warning("policy rules are configured and not in force: ROUTEIQ_POLICY_ENABLED is not set")
        return None
    known = known_of(groups, aliases)
    # What the store keeps is not known yet, and comes and goes.
    named = None if settings.store_model_in_db else known
    configured = RulesFile(rules=section.rules)
    if section.file is not None:
        path = Path(section.file)
        configured = parse_rules(read_text(path, limits=limits), name=str(path), known=named, limits=limits)
    gate = PolicyGate(compile_file(configured, section, known), text_chars=section.text_chars)
    source, key = None, None
    if settings.redis_url is not None:
        source = RedisRules(settings.redis_url.get_secret_value(), max_bytes=limits.policy_bytes)
        key = load_public_key(settings.policy_key) if settings.policy_key is not None else None
    keeper = PolicyKeeper(
        gate,
        source,
        partial(parse_rules, name=RULES_KEY, known=named, limits=limits),
        lambda file: compile_file(file, section, known),
        key=key,
        max_bytes=limits.policy_bytes,
        seconds=section.refresh_seconds,
    )
    metrics.watch_degraded("policy", lambda: int(keeper.degraded))
    return keeper


def compile_file(file: RulesFile, section: PolicySection, known: Known) -> RuleSet:
    """Compile a document; what it does not say is as the section says."""
    return compile_rules(
        file.rules,
        default=file.default or section.default,
        mode=file.mode or section.mode,
        aliases=known.aliases,
        deployments=known.deployments,
        version=file.version,
    )
