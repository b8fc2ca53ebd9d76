"""Reads the stored models and makes the table of all models, the configuration's and these. Blocking; no event loop.

A row that may not be served (its address is refused by now, its id is the configuration's since) is passed over with
the reason; a row that does not open is an error, for nobody can say what would be missing.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from routeiq_appliance.config.model_list import ModelEntry
from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.config.secrets import entry_secrets
from routeiq_appliance.errors import CallError
from routeiq_appliance.pipeline.types import Deployment
from routeiq_appliance.state.models import ModelRecord, ModelStore
from routeiq_appliance.stored.entries import Judge, merged
from routeiq_appliance.stored.table import Groups, groups_of

__all__ = ["NOTHING_STORED", "Models", "ReadModels", "configured_models", "read_models"]

_LOG = logging.getLogger(__name__)
_MIN_SECRET = 12


@dataclass(frozen=True, slots=True)
class Models:
    """What is configured and stored, as of one generation of the store."""

    generation: str
    config: GatewayConfig
    """With the stored entries that are served."""
    groups: Groups
    records: Mapping[str, ModelRecord] = field(default_factory=dict)
    entries: Mapping[str, tuple[datetime, ModelEntry]] = field(default_factory=dict)
    """Id → when the row was written, and its entry."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Id → why the row is not served."""

    @property
    def secrets(self) -> list[str]:
        """What stored entries hold in confidence; not what is so short that a caller could cut words out of the log."""
        found = entry_secrets(entry for _, entry in self.entries.values())
        return [secret for secret in found if len(secret) >= _MIN_SECRET]

    @property
    def deployments(self) -> dict[str, Deployment]:
        """Deployments by id."""
        return {member.id: member for members in self.groups.values() for member in members}


NOTHING_STORED = ""
"""The generation where nothing is stored, and nobody looks."""
ReadModels = Callable[[Models], Models]


def configured_models(config: GatewayConfig) -> Models:
    """Return the configuration's models alone."""
    return Models(NOTHING_STORED, config, groups_of(config, frozenset(), {}))


def read_models(store: ModelStore, judge: Judge, before: Models) -> Models:
    """Return what is there now; what did not change since `before` is not judged again. Raises `StateError`."""
    generation, records = store.read()
    entries: dict[str, tuple[datetime, ModelEntry]] = {}
    refused: dict[str, str] = {}
    for record in records:
        known = before.entries.get(record.id)
        if known is not None and known[0] == record.updated_at:
            entries[record.id] = known
            continue
        try:
            entry = judge.entry(record.name, record.params, record.info, record.id)
        except CallError as error:
            refused[record.id] = str(error)
            if before.refused.get(record.id) != str(error):
                _LOG.warning(
                    "stored model is not served", extra={"deployment": record.id, "reason": str(error)}
                )
            continue
        entries[record.id] = (record.updated_at, entry)
    config = merged(judge.config, [entry for _, entry in entries.values()])
    groups = groups_of(config, frozenset(entries), before.deployments)
    return Models(generation, config, groups, {item.id: item for item in records}, entries, refused)
