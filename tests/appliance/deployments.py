"""Makes deployments for tests of what is done with them; none of them is ever called."""

from typing import Any

from routeiq_appliance.pipeline.types import Deployment

__all__ = ["deployment"]


def deployment(name: str, **fields: Any) -> Deployment:
    """Return a deployment with id `name`."""
    given: dict[str, Any] = {
        "id": name, "group": "g", "mode": None, "params": {}, "destination": None, "upstream": "direct",
        "provider": "openai", "model": "m", "connect_timeout": 1.0, "timeout": 1.0, "first_token_timeout": 1.0,
        "stream_timeout": 1.0, "retries": 0,
    }  # fmt: skip
    return Deployment(**{**given, **fields})
