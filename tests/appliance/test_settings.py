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


def test_every_variable_has_a_default_but_the_master_key() -> None:  # L2
    settings = load_settings({"LITELLM_MASTER_KEY": "sk-master-key"})
    assert (settings.breaker_failures, settings.breaker_seconds, settings.max_concurrent_requests) == (
        5,
        30,
        0,
    )
    assert (settings.otel_service_name, settings.otel_traces_exporter) == ("routeiq-gateway", "otlp")
    assert settings.redis_url is None
    assert settings.otel_endpoint is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("REDIS_URL", "http://planted", "REDIS_URL: must begin with `redis://` or `rediss://`"),
        ("ROUTEIQ_CB_FAILURE_THRESHOLD", "0", "ROUTEIQ_CB_FAILURE_THRESHOLD: input should be greater"),
        ("ROUTEIQ_CB_TIMEOUT_SECONDS", "nan", "ROUTEIQ_CB_TIMEOUT_SECONDS: input should be"),
        ("ROUTEIQ_MAX_CONCURRENT_REQUESTS", "-1", "ROUTEIQ_MAX_CONCURRENT_REQUESTS: input should be greater"),
        ("OTEL_TRACES_EXPORTER", "jaeger", "OTEL_TRACES_EXPORTER: input should be 'otlp' or 'none'"),
        ("OTEL_TRACES_SAMPLER_ARG", "2", "OTEL_TRACES_SAMPLER_ARG: input should be less"),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://u:planted@h",
            "OTEL_EXPORTER_OTLP_ENDPOINT: string should match",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "planted:4317", "OTEL_EXPORTER_OTLP_ENDPOINT: string should match"),
    ],
)
def test_a_variable_out_of_range_is_named(name: str, value: str, message: str) -> None:  # L1
    with pytest.raises(ConfigError) as caught:
        load_settings({"LITELLM_MASTER_KEY": "sk-master-key", name: value})
    assert message in str(caught.value)
    assert "planted" not in str(caught.value)


@pytest.mark.parametrize("strategy", ["auto", "ml", "round-robin", "declared-order", "random", "least-busy"])
def test_every_strategy_can_be_chosen(strategy: str) -> None:
    assert (
        load_settings({"LITELLM_MASTER_KEY": "sk-master-key", "ROUTEIQ_STRATEGY": strategy}).strategy
        == strategy
    )
