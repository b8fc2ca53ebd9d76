"""The management API (FastAPI): keys, teams, users, spend; LiteLLM's paths and field names.

`api.server` has checked that the caller is an admin before it is reached. Whoever imports this package imports
FastAPI: 0.4 s that nothing else pays.
"""

from routeiq_appliance.api.management.app import build_management
from routeiq_appliance.api.management.fields import parse_duration
from routeiq_appliance.api.management.schemas import NOT_ENFORCED

__all__ = ["NOT_ENFORCED", "build_management", "parse_duration"]
