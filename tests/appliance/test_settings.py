import pytest

from routeiq_appliance.errors import ConfigError
from routeiq_appliance.settings import load_settings


def test_every_mistake_is_named_and_no_value_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:  # L1, I8
    monkeypatch.setenv("LITELLM_MASTER_KEY", "short")
    monkeypatch.setenv("ROUTEIQ_METRICS_PORT", "seventy")
    monkeypatch.setenv("ROUTEIQ_STRATEGY", "magic")
    with pytest.raises(ConfigError) as caught:
        load_settings()
    text = str(caught.value)
    assert "LITELLM_MASTER_KEY: value should have at least 8 items" in text
    assert "ROUTEIQ_METRICS_PORT" in text
    assert "ROUTEIQ_STRATEGY: input should be" in text
    assert "short" not in text
    assert "seventy" not in text


def test_the_master_key_is_required() -> None:
    with pytest.raises(ConfigError, match="LITELLM_MASTER_KEY: required, not set"):
        load_settings()


def test_secrets_do_not_show_in_the_representation() -> None:  # I8
    settings = load_settings(
        {"LITELLM_MASTER_KEY": "sk-planted-secret", "DATABASE_URL": "postgresql://u:planted@h/d"}
    )
    assert "planted" not in repr(settings)
