"""The chart as sites render it: with secrets of its own, pre-loaded in an air gap, or with an external database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Objects = dict[tuple[str, str], dict[str, Any]]
"""{(kind, name): object}."""

SITE = {
    "secrets": {
        "masterKey": "sk-master-123456",
        "pepper": "0123456789abcdef0123456789abcdef",
        "postgresPassword": "pg-0123456789abcdef",
        "redisPassword": "rd-0123456789abcdef",
        "upstream": {"SMALL_KEY": "sk-small"},
    },
    "config": {
        "model_list": [
            {
                "model_name": "small",
                "litellm_params": {
                    "model": "openai/small",
                    "api_base": "http://10.0.0.7:8000/v1",
                    "api_key": "os.environ/SMALL_KEY",
                    "timeout": 600,
                },
            }
        ],
        "routeiq": {"egress": "sealed"},
    },
    "image": {"pullSecrets": [{"name": "site-registry"}]},
    "networkPolicy": {
        "upstreams": [{"cidr": "10.0.0.7/32", "port": 8000}],
        "metricsFrom": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        ],
    },
}
EXTERNAL = {
    "postgresql": {"enabled": False},
    "redis": {"enabled": False},
    "secrets": {
        "databaseUrl": "postgresql://u:p@10.0.0.5:5432/routeiq",
        "redisUrl": "redis://:p@10.0.0.6:6379/0",
    },
    "networkPolicy": {
        "database": [{"cidr": "10.0.0.5/32", "port": 5432}],
        "redis": [{"cidr": "10.0.0.6/32", "port": 6379}],
    },
}
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n"
TRUST = {
    "trust": {"publicKey": PUBLIC_KEY, "bundleJson": '{"a":"ü"}', "signature": '{"s":1}', "keyId": "a" * 64}
}
DIGESTS = {
    part: {"image": {"digest": f"sha256:{letter * 64}"}}
    for part, letter in (("gateway", "a"), ("postgresql", "b"), ("redis", "c"))
}


@pytest.fixture(scope="session")
def flags(chart: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str | Path]]:
    """Return helm's flags for values given as dicts (later ones win) or as files of the chart."""

    def make(*values: dict[str, Any] | str) -> list[str | Path]:
        folder = tmp_path_factory.mktemp("values")
        made: list[str | Path] = []
        for number, value in enumerate(values):
            path = chart / value if isinstance(value, str) else folder / f"{number}.yaml"
            if not isinstance(value, str):
                path.write_text(yaml.safe_dump(value))
            made += ["--values", path]
        return made

    return make


@pytest.fixture(scope="session")
def template(helm, chart: Path, flags) -> Callable[..., str]:  # type: ignore[no-untyped-def]
    """Return helm's own text for values."""

    def run(*values: dict[str, Any] | str, release: str = "routeiq") -> str:
        done = helm("template", release, chart, "--namespace", "routeiq", *flags(*values), check=False)
        return done.stdout if done.returncode == 0 else f"REFUSED {done.stderr}"

    return run


@pytest.fixture(scope="session")
def render(template) -> Callable[..., Objects]:  # type: ignore[no-untyped-def]
    """Return the rendered objects for values."""

    def run(*values: dict[str, Any] | str, release: str = "routeiq") -> Objects:
        text = template(*values, release=release)
        assert not text.startswith("REFUSED"), text
        objects = [document for document in yaml.safe_load_all(text) if document]
        found = {(item["kind"], item["metadata"]["name"]): item for item in objects}
        assert len(found) == len(objects)
        return found

    return run


VALUES = {"site": SITE, "external": EXTERNAL, "trust": TRUST, "digests": DIGESTS}
CASES: dict[str, tuple[dict[str, Any] | str, ...]] = {
    "default": (SITE, TRUST),
    "airgap": ("values-airgap.yaml",),
    "airgap-by-digest": ("values-airgap.yaml", {"image": {"pullPolicy": "IfNotPresent"}, **DIGESTS}),
    "external-database": (SITE, EXTERNAL),
}


@pytest.fixture(scope="session", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[dict[str, Any] | str, ...]:
    """The values of each way to install."""
    return CASES[request.param]


@pytest.fixture(scope="session")
def objects(case, render) -> Objects:  # type: ignore[no-untyped-def]
    """The objects of each way to install."""
    rendered: Objects = render(*case)
    return rendered


@pytest.fixture(scope="session")
def values() -> dict[str, dict[str, Any]]:
    return VALUES
