"""Which destinations a configuration names, and the proof at start that nothing else answers."""

import logging
from collections.abc import Iterable

from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.egress.canaries import require_silence, try_canaries
from routeiq_appliance.egress.destinations import (
    Destination,
    Destinations,
    destination_of_url,
    parse_destination,
)
from routeiq_appliance.egress.given import GivenDials
from routeiq_appliance.egress.guard import Guard
from routeiq_appliance.egress.ssrf import parse_rules
from routeiq_appliance.limits import Limits
from routeiq_appliance.settings import Settings

__all__ = ["arm_guard", "destinations_of", "prove_silence"]

_LOG = logging.getLogger(__name__)


def destinations_of(settings: Settings, config: GatewayConfig) -> set[Destination]:
    """Return every destination that settings and configuration name: upstreams, database, Redis, collector."""
    bases = [entry.litellm_params.api_base for entry in config.model_list]
    secrets = [settings.database_url, settings.redis_url, settings.cache_redis_url]
    urls: Iterable[str | None] = [
        *bases,
        *(secret.get_secret_value() for secret in secrets if secret is not None),
        settings.otel_endpoint,
    ]
    return {destination_of_url(url) for url in urls if url}


def prove_silence(config: GatewayConfig, *, limits: Limits) -> None:
    """While sealed, try the canaries; raises `EgressError` when one answers."""
    if config.routeiq.egress != "sealed":
        _LOG.warning("egress OPEN: the configuration does not seal this gateway")
        return
    report = try_canaries(
        [parse_destination(item) for item in config.routeiq.canaries], seconds=limits.canary_seconds
    )
    require_silence(report)
    silent = [str(item) for item in report.tried]
    _LOG.info("egress sealed", extra={"canaries_silent": silent, "seconds": round(report.seconds, 3)})


def arm_guard(settings: Settings, config: GatewayConfig) -> Guard:
    """Return the guard over the configured destinations. The caller decides whether it watches the whole process.

    Raises `ConfigError` for lists of hosts and networks that are none.
    """
    sealed = config.routeiq.egress == "sealed"
    rules = parse_rules(
        sealed=sealed,
        allow_private=settings.ssrf_allow_private,
        hosts=settings.ssrf_hosts or "",
        networks=settings.ssrf_networks or "",
    )
    destinations = destinations_of(settings, config)
    _LOG.info("egress destinations", extra={"destinations": sorted(str(item) for item in destinations)})
    return Guard(Destinations(destinations), sealed=sealed, given=GivenDials(rules))
