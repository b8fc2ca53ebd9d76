"""A migrated database of either kind, and rows put into it as the shipper puts them."""

from tests.appliance.management.conftest import managed  # noqa: F401 - a fixture here too
