"""Decides where traces go: reads the values of OTEL_EXPORTER_OTLP_*, refuses what is not OTLP over HTTP. Pure."""

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from routeiq_appliance.egress.destinations import Destination, destination_of_url
from routeiq_appliance.errors import ConfigError

__all__ = ["Target", "read_target"]

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
_HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
_HTTP_HINT = "traces go by OTLP over HTTP, port 4318 of a collector: http://HOST:4318"
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")  # RFC 9110, 5.6.2, lower case


@dataclass(frozen=True, slots=True)
class Target:
    """A collector. `headers` may hold a credential: they are never shown."""

    secure: bool
    destination: Destination
    """For the egress guard, and where is dialled."""
    host: str
    """As configured: what the certificate must name."""
    path: str
    headers: dict[str, str] = field(repr=False)


def read_target(
    endpoint: str | None, *, traces_endpoint: str | None = None, protocol: str = "", headers: str = ""
) -> Target | None:
    """Return the collector, None when no endpoint is set; raises `ConfigError`.

    `endpoint` is OTEL_EXPORTER_OTLP_ENDPOINT (`/v1/traces` is added to its path), `traces_endpoint`
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT (taken as it is), `headers` OTEL_EXPORTER_OTLP_HEADERS (`name=value,…`).
    """
    url = traces_endpoint or endpoint
    if not url:
        return None
    name = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" if traces_endpoint else _ENDPOINT
    if protocol not in {"", "http/protobuf"}:
        raise ConfigError(
            f"{_PROTOCOL}: {protocol[:32]!r} is not spoken, only 'http/protobuf'",
            subject=_PROTOCOL,
            hint=_HTTP_HINT,
        )
    try:
        destination = destination_of_url(url)
        parts = urlsplit(url)
    except ConfigError:
        destination = None
    if destination is None or parts.scheme not in {"http", "https"} or parts.hostname is None:
        raise ConfigError(f"{name}: not a URL of the form http(s)://HOST:4318", subject=name, hint=_HTTP_HINT)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigError(
            f"{name}: only host, port and path are allowed",
            subject=name,
            hint=f"put a credential into {_HEADERS}",
        )
    if destination.port == 4317:
        raise ConfigError(
            f"{name}: port 4317 is OTLP over gRPC, which is not spoken", subject=name, hint=_HTTP_HINT
        )
    path = parts.path if traces_endpoint else parts.path.rstrip("/") + "/v1/traces"
    return Target(parts.scheme == "https", destination, parts.hostname, path or "/", _read_headers(headers))


def _read_headers(text: str) -> dict[str, str]:
    """Parse `name=value,name=value`, values percent-encoded; raises `ConfigError` that shows no value."""
    found: dict[str, str] = {}
    for number, item in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        name, separator, value = item.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        if not separator or not name or not _TOKEN.issuperset(name) or not _is_field(value):
            raise ConfigError(
                f"{_HEADERS}: entry {number} is not of the form name=value",
                subject=_HEADERS,
                hint="separate entries by commas; percent-encode commas and other signs in values",
            )
        found[name] = value
    return found


def _is_field(value: str) -> bool:
    return value.isascii() and value.isprintable()
