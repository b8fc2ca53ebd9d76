"""Wrong or missing values end in one clear message; nothing has a secret default."""

from typing import Any

import pytest


def without(values: dict[str, Any], section: str, key: str) -> dict[str, Any]:
    return {**values, section: {name: value for name, value in values[section].items() if name != key}}


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ("secrets", "masterKey", "secrets.masterKey: required"),
        ("secrets", "pepper", "secrets.pepper: required (32 characters or more)"),
        (
            "secrets",
            "postgresPassword",
            "secrets.postgresPassword: required with postgresql.enabled; there is no default",
        ),
        (
            "secrets",
            "redisPassword",
            "secrets.redisPassword: required with redis.enabled; there is no default",
        ),
        ("config", "model_list", "config.model_list: name at least one model"),
    ],
)
def test_a_missing_value_is_named(template, values, section: str, key: str, message: str) -> None:
    said = template(without(values["site"], section, key))
    assert said.startswith("REFUSED")
    assert message in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gateway": {"image": {"digest": "sha256:abc"}}}, "/gateway/image/digest"),
        ({"gateway": {"image": {"repository": "Up/Case"}}}, "/gateway/image/repository"),
        ({"gateway": {"image": {"tag": "a b"}}}, "/gateway/image/tag"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"image": {"pullSecrets": ["site"]}}, "/image/pullSecrets/0"),
        ({"secrets": {"upstream": {"NOT-A-NAME": "x"}}}, "invalid propertyName 'NOT-A-NAME'"),
        ({"networkPolicy": {"upstreams": [{"port": 8000}]}}, "/networkPolicy/upstreams/0"),
        ({"networkPolicy": {"upstreams": [{"cidr": "10.0.0.7/32"}]}}, "/networkPolicy/upstreams/0"),
        ({"networkPolicy": {"upstreams": [{"cidr": "llm.example", "port": 1}]}}, "/networkPolicy/upstreams/0"),
        ({"networkPolcy": {}}, "networkPolcy"),
        ({"gateway": {"replica": 3}}, "replica"),
        ({"gateway": {"env": {"DATABASE_URL": "x"}}}, "gateway.env.DATABASE_URL: another value of this chart"),
        ({"gateway": {"env": {"ROUTEIQ_METRICS_PORT": "1"}}}, "gateway.env.ROUTEIQ_METRICS_PORT: another value"),
        ({"config": {"routeiq": {"auto": {"artifact": "routers/x"}}}}, "trust: config.routeiq.auto.artifact"),
        ({"trust": {"publicKey": "-----BEGIN PUBLIC KEY-----\nx"}}, "trust.bundleJson: required"),
        ({"postgresql": {"enabled": False}}, "networkPolicy.database: with an external database say where"),
        (
            {"postgresql": {"enabled": False}, "networkPolicy": {"database": [{"cidr": "10.0.0.5/32", "port": 5432}]}},
            "secrets.databaseUrl: required when postgresql.enabled is false",
        ),
        (
            {"redis": {"enabled": False}, "secrets": {"redisUrl": "redis://10.0.0.6:6379"}},
            "networkPolicy.redis: with an external Redis say where",
        ),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named(template, values, change: dict[str, Any], message: str) -> None:
    said = template(values["site"], change)
    assert said.startswith("REFUSED")
    assert message in said


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("masterKey", "planted", "8 characters or more"),
        ("pepper", "planted", "32 characters or more"),
        ("postgresPassword", "planted", "16 characters or more out of A-Z a-z 0-9 . _ ~ -"),
        ("redisPassword", 'planted"planted"planted', "16 characters or more out of"),
        ("databaseUrl", "mysql://u:planted@10.0.0.5/db", "postgresql://user:password@host:5432/name"),
        ("redisUrl", "planted", "redis://:password@host:6379/0"),
    ],
)
def test_a_wrong_secret_is_named_and_not_shown(
    template, values, name: str, value: str, message: str
) -> None:  # I8
    said = template(values["site"], {"secrets": {name: value}})
    assert f"secrets.{name}: must be {message}" in said
    assert "planted" not in said


def test_no_secret_is_made_up(template) -> None:
    said = template(
        {"config": {"model_list": [{"model_name": "m", "litellm_params": {"model": "openai/m"}}]}}
    )
    assert said.startswith("REFUSED")
    assert "secrets.masterKey: required" in said


def test_an_existing_secret_replaces_all_values(render, values) -> None:  # B13
    secrets = {"existingSecret": "mine", "upstreamNames": ["SMALL_KEY"]}
    objects = render({**values["site"], "secrets": secrets})
    assert not [name for kind, name in objects if kind == "Secret"]
    names = {
        item["valueFrom"]["secretKeyRef"]["name"]
        for kind in (("Deployment", "routeiq-gateway"), ("StatefulSet", "routeiq-gateway-redis"))
        for container in objects[kind]["spec"]["template"]["spec"]["containers"]
        for item in container["env"]
        if "valueFrom" in item
    }
    assert names == {"mine"}
