"""Lists what settings and configuration hold in confidence."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from routeiq_appliance.config.model_list import ModelEntry
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.settings import Settings

__all__ = ["entry_secrets", "secrets_of"]

_CONFIDENTIAL = re.compile(r"key|secret|token|password|credential", re.IGNORECASE)
_MIN_CHARS = 6
"""A secret of a few characters would cut words out of every line."""


def secrets_of(settings: Settings, config: GatewayConfig) -> list[str]:
    """Return what must never be seen in a log."""
    held = [
        settings.master_key,
        settings.pepper,
        settings.database_url,
        settings.redis_url,
        settings.otel_headers,
        settings.store_key,
    ]
    secrets = [item.get_secret_value() for item in held if item is not None]
    urls = [url.get_secret_value() for url in (settings.database_url, settings.redis_url) if url is not None]
    secrets += [urlsplit(url).password or "" for url in urls]
    secrets += entry_secrets(config.model_list)
    return [secret for secret in secrets if len(secret) >= _MIN_CHARS]


def entry_secrets(entries: Iterable[ModelEntry]) -> Iterator[str]:
    """Yield what deployments hold in confidence; some may be empty."""
    for entry in entries:
        given = entry.litellm_params
        yield given.api_key or ""
        yield from (str(value) for value in (given.extra_headers or {}).values())
        # Names that LiteLLM knows and we do not: `aws_secret_access_key`, `vertex_credentials`, …
        extra = given.model_extra or {}
        yield from (v for name, v in extra.items() if isinstance(v, str) and _CONFIDENTIAL.search(name))
