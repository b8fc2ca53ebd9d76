"""Opens what is kept of models: the store, who judges, and what there is at the start."""

from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from routeiq_appliance.config.models import GatewayConfig
from routeiq_appliance.egress.ssrf import SsrfRules
from routeiq_appliance.settings import Settings
from routeiq_appliance.state.models import ModelStore
from routeiq_appliance.state.vault import Vault
from routeiq_appliance.stored.entries import Judge
from routeiq_appliance.stored.load import Models, ReadModels, configured_models, read_models

__all__ = ["Stored", "open_stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """What management and `live` need; `read` is None where models are not stored."""

    store: ModelStore
    judge: Judge
    models: Models
    read: ReadModels | None


def open_stored(settings: Settings, config: GatewayConfig, rules: SsrfRules, engine: sa.Engine) -> Stored:
    """Read what is stored; raises `StateError` when the database does not answer, or a row does not open."""
    secret = settings.store_key
    store = ModelStore(engine, None if secret is None else Vault(secret.get_secret_value().encode()))
    judge = Judge(config, rules)
    models = configured_models(config)
    if not settings.store_model_in_db:
        return Stored(store, judge, models, None)
    return Stored(store, judge, read_models(store, judge, models), partial(read_models, store, judge))
