"""What settings and configuration make of the cache."""

from pathlib import Path
from typing import Any

import pytest

from routeiq_appliance.cache.opening import open_cache
from routeiq_appliance.config.load import parse_config
from routeiq_appliance.config.routeiq_section import CacheSection
from routeiq_appliance.egress.arming import destinations_of
from routeiq_appliance.errors import ConfigError
from routeiq_appliance.settings import Settings, load_settings
from routeiq_appliance.telemetry.metrics import Metrics

PEPPER = b"p" * 32
_MODEL = (
    "model_list:\n  - {model_name: m, litellm_params: {model: openai/m, api_base: 'http://127.0.0.1:9/v1'}}\n"
)


@pytest.fixture(autouse=True)
def _no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


def _settings(tmp_path: Path, **more: Any) -> Settings:
    base = {"LITELLM_MASTER_KEY": "sk-master-key", "ROUTEIQ_DATA_DIR": tmp_path}
    return load_settings({**base, **more})


def _open(settings: Settings, **section: Any) -> Any:
    return open_cache(settings, CacheSection(**section), PEPPER, Metrics())


def test_it_is_off_unless_it_is_switched_on(tmp_path: Path) -> None:  # L5
    settings = _settings(tmp_path)
    assert settings.cache_enabled is False
    assert _open(settings) is None


def test_without_redis_it_is_in_memory(tmp_path: Path) -> None:
    cache = _open(_settings(tmp_path, ROUTEIQ_CACHE_ENABLED="true"), ttl=60, max_entry_bytes=2048)
    assert cache.redis is None
    assert (cache.bounds.ttl, cache.bounds.max_entry_bytes) == (60, 2048)


@pytest.mark.parametrize(
    ("own", "shared", "wrong"),
    [
        ("redis://127.0.0.1:1/x", "redis://127.0.0.1:2/0", "ROUTEIQ_CACHE_REDIS_URL"),
        (None, "redis://127.0.0.1:2/x", "REDIS_URL"),
    ],
)
def test_its_own_redis_comes_before_the_shared_one(
    tmp_path: Path, own: str | None, shared: str, wrong: str
) -> None:
    given = {"ROUTEIQ_CACHE_ENABLED": True, "ROUTEIQ_CACHE_REDIS_URL": own, "REDIS_URL": shared}
    with pytest.raises(ConfigError, match=f"^{wrong} names a database that is not a number"):
        _open(_settings(tmp_path, **{name: value for name, value in given.items() if value}))


def test_an_address_that_is_no_redis_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ROUTEIQ_CACHE_REDIS_URL: must begin with") as caught:
        _settings(tmp_path, ROUTEIQ_CACHE_REDIS_URL="http://:secret@cache:6379")
    assert "secret" not in str(caught.value)


def test_its_redis_is_a_destination_of_the_sealed_gateway(tmp_path: Path) -> None:
    settings = _settings(tmp_path, ROUTEIQ_CACHE_REDIS_URL="rediss://:p@cache.internal:6380/0")
    assert "cache.internal:6380" in {str(d) for d in destinations_of(settings, parse_config(_MODEL, {}))}


@pytest.mark.parametrize(
    "cache",
    [
        "scope: organization",
        "when: sometimes",
        "ttl: 0",
        "ttl: true",
        "max_entry_bytes: 12",
        "size: 5",
        "max_bytes: -1",
    ],
)
def test_a_mistake_in_the_section_is_told(cache: str) -> None:
    with pytest.raises(ConfigError, match=r"routeiq\.cache"):
        parse_config(f"{_MODEL}routeiq: {{cache: {{{cache}}}}}\n", {})
