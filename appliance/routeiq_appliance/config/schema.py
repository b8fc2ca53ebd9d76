"""The JSON Schema of `config.yaml`, for editors; a test compares docs/config.schema.json with it. Pure.

It knows names and types; what belongs together (`checks`) only the gateway can tell.
"""

from typing import Any

from routeiq_appliance.config.models import GatewayConfig

__all__ = ["config_schema"]

_FROM_ENVIRONMENT = {
    "type": "string",
    "pattern": "^os\\.environ/.+",
    "description": "Taken from this environment variable",
}


def config_schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) as plain values."""
    schema = GatewayConfig.model_json_schema()
    params = schema["$defs"]["LitellmParams"]["properties"]
    for name, field in params.items():
        if field.get("type") == "string":
            continue
        kinds = field.get("anyOf", [])
        if not any(kind.get("type") == "string" for kind in kinds):
            field["anyOf"] = [*kinds, _FROM_ENVIRONMENT]
        params[name] = field
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "config.yaml of the RouteIQ gateway",
    }
