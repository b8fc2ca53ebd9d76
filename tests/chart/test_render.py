"""What the rendered objects must say, however the chart is installed."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

VERSIONS = ("1.29", "1.32", "1.35")
NAME = "routeiq-gateway"


def pods(objects: dict[tuple[str, str], Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (name, pod template) of everything that starts pods."""
    for (kind, name), item in objects.items():
        if kind in {"Deployment", "StatefulSet", "Job"}:
            yield name, item["spec"]["template"]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def gateway(objects: dict[tuple[str, str], Any]) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment", NAME]["spec"]["template"]
    return found


def policy(objects: dict[tuple[str, str], Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = objects["NetworkPolicy", f"{NAME}-{name}"]["spec"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(objects, version: str) -> None:  # B5
    for item in objects.values():
        kubernetes_validate.validate(item, version, strict=True)


def test_the_validator_notices_a_mistake(objects) -> None:
    broken = json.loads(json.dumps(objects["Deployment", NAME]))
    broken["spec"]["replicaz"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[0], strict=True)


def test_no_object_names_an_external_host(objects) -> None:  # A10
    text = json.dumps(list(objects.values()))
    hosts = set(re.findall(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|io|org|net|dev|cloud|ai|sh)\b", text))
    # Prefixes of labels, annotations and API groups; none is a host that anything dials.
    assert hosts <= {
        "app.kubernetes.io",
        "helm.sh",
        "kubernetes.io",
        "networking.k8s.io",
        "prometheus.io",
    }
    allowed = (
        "internal-registry.corp.local",
        "routeiq.local",
        "svc.cluster.local",
    )
    for url in re.findall(r"[a-z+]+://[^\s\"\\]+", text):
        host = re.sub(r"^[a-z+]+://(?:[^@/]*@)?([^:/]+).*$", r"\1", url)
        assert host.startswith("10.") or host.endswith((*allowed, "-postgresql", "-redis")), url


def test_images_come_from_the_site_only(objects) -> None:  # A9, A10
    names = {container["image"] for _, pod in pods(objects) for container in containers(pod)}
    assert all(name.startswith(("routeiq.local/", "internal-registry.corp.local/routeiq/")) for name in names)


def test_each_image_can_be_another(render, values) -> None:  # A9: every image name is a setting
    other = {
        part: {
            "image": {
                "registry": f"r{number}.site:5000/p",
                "repository": "x/y",
                "tag": "9",
                "pullPolicy": "Never",
            }
        }
        for number, part in enumerate(("gateway", "postgresql", "redis"))
    }
    objects = render(values["site"], other)
    names = {container["image"] for _, pod in pods(objects) for container in containers(pod)}
    assert names == {f"r{number}.site:5000/p/x/y:9" for number in range(3)}
    assert {c["imagePullPolicy"] for _, pod in pods(objects) for c in containers(pod)} == {"Never"}


def test_a_digest_wins_over_the_tag(render, values) -> None:  # A9: pinned by digest
    objects = render(values["site"], values["digests"], {"gateway": {"image": {"tag": "ignored"}}})
    names = {container["image"] for _, pod in pods(objects) for container in containers(pod)}
    assert names == {
        f"routeiq.local/routeiq-gateway@sha256:{'a' * 64}",
        f"routeiq.local/routeiq-postgres@sha256:{'b' * 64}",
        f"routeiq.local/routeiq-redis@sha256:{'c' * 64}",
    }


def test_the_air_gap_file_needs_nothing_else(render, chart) -> None:  # A10
    version = yaml.safe_load((chart / "Chart.yaml").read_text())["appVersion"]
    objects = render("values-airgap.yaml")
    assert ("Secret", NAME) not in objects
    for container in gateway(objects)["spec"]["containers"]:
        assert container["image"] == f"internal-registry.corp.local/routeiq/routeiq-gateway:{version}"
    assert {c["imagePullPolicy"] for _, pod in pods(objects) for c in containers(pod)} == {"Never"}
    assert "routeiq-trust" in json.dumps(gateway(objects)["spec"]["volumes"])


def test_every_pod_may_pull_from_the_sites_registry(render, values) -> None:
    objects = render(values["site"])
    found = {name: pod["spec"]["imagePullSecrets"] for name, pod in pods(objects)}
    assert len(found) == 4
    assert any("-migrate-" in name for name in found)
    assert all(secrets == [{"name": "site-registry"}] for secrets in found.values())
    assert objects["ServiceAccount", NAME]["imagePullSecrets"] == [{"name": "site-registry"}]


def test_pods_are_hardened(objects) -> None:  # A14
    uids = {}
    for name, pod in pods(objects):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert not any("hostPath" in volume for volume in spec.get("volumes", []))
        uids[name] = spec["securityContext"]["runAsUser"]
        for container in containers(pod):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "privileged": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} <= set(container["resources"])
    assert {uid for name, uid in uids.items() if "postgresql" in name} <= {70}
    assert {uid for name, uid in uids.items() if "postgresql" not in name} == {65532}
    assert objects["ServiceAccount", NAME]["automountServiceAccountToken"] is False


def test_service(objects) -> None:  # B5
    spec = objects["Service", NAME]["spec"]
    assert spec["type"] == "ClusterIP"
    assert [(port["port"], port["targetPort"]) for port in spec["ports"]] == [(4000, "http")]
    assert spec["selector"].items() <= gateway(objects)["metadata"]["labels"].items()


def test_rollout(objects) -> None:  # B6
    deployment = objects["Deployment", NAME]["spec"]
    assert deployment["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
    }
    pod = gateway(objects)
    assert pod["spec"]["terminationGracePeriodSeconds"] == 35
    annotations = pod["metadata"]["annotations"]
    assert {name: annotations[f"prometheus.io/{name}"] for name in ("scrape", "port", "path")} == {
        "scrape": "true",
        "port": "9464",
        "path": "/metrics",
    }
    assert len(annotations["checksum/config"]) == len(annotations["checksum/secret"]) == 64


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        ({"config": {"routeiq": {"egress": "open"}}}, {"checksum/config"}),
        ({"secrets": {"masterKey": "sk-another-key"}}, {"checksum/secret"}),
        ({"secrets": {"existingSecret": "another"}}, {"checksum/secret"}),
        ({"trust": {"existingConfigMap": "another"}}, {"checksum/trust"}),
        ({"gateway": {"replicas": 5}}, set()),
    ],
)
def test_a_change_rolls_the_pods(render, values, change: dict[str, Any], moved: set[str]) -> None:  # B6
    before = gateway(render(values["site"]))["metadata"]["annotations"]
    after = gateway(render(values["site"], change))["metadata"]["annotations"]
    assert {name for name in before if before[name] != after[name]} == moved


def test_probes(objects) -> None:  # B7
    (container,) = gateway(objects)["spec"]["containers"]
    paths = {name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")}
    assert paths == {
        "startup": {"path": "/_health/live", "port": "http"},
        "liveness": {"path": "/health/liveliness", "port": "http"},
        "readiness": {"path": "/health/readiness", "port": "http"},
    }
    startup, liveness, readiness = (container[f"{name}Probe"] for name in paths)
    assert startup["periodSeconds"] * startup["failureThreshold"] == 120
    assert (liveness["initialDelaySeconds"], liveness["periodSeconds"]) == (15, 30)
    assert (readiness["initialDelaySeconds"], readiness["periodSeconds"]) == (10, 10)


def test_the_schema_is_migrated_once_and_waited_for(objects) -> None:  # B8
    (job,) = [item for (kind, _), item in objects.items() if kind == "Job"]
    (migrate,) = job["spec"]["template"]["spec"]["containers"]
    assert migrate["args"] == ["admin", "migrate", "--wait", "300"]
    assert [item["name"] for item in migrate["env"]] == ["DATABASE_URL"]
    (wait,) = gateway(objects)["spec"]["initContainers"]
    assert wait["args"] == ["admin", "wait", "--seconds", "300"]
    assert wait["image"] == migrate["image"] == gateway(objects)["spec"]["containers"][0]["image"]


def test_another_image_is_another_job(render, values) -> None:  # B8: a Job cannot be changed
    def job(*more: dict[str, Any]) -> list[str]:
        return [name for kind, name in render(values["site"], *more) if kind == "Job"]

    assert job() == job({"gateway": {"replicas": 4}})
    assert job() != job(values["digests"])


def test_resources_of_the_base(render, values) -> None:  # B9
    (container,) = gateway(render(values["site"]))["spec"]["containers"]
    assert container["resources"] == {
        "requests": {"cpu": "500m", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }


def test_nothing_is_open_but_what_is_named(objects) -> None:  # B12
    deny = policy(objects, "deny")
    assert deny == {
        "podSelector": {"matchLabels": {"app.kubernetes.io/instance": "routeiq"}},
        "policyTypes": ["Ingress", "Egress"],
    }
    for _, pod in pods(objects):
        assert deny["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    for (kind, _), item in objects.items():
        if kind == "NetworkPolicy":
            assert item["spec"]["policyTypes"] == ["Ingress", "Egress"]
            for rule in [*item["spec"].get("ingress", []), *item["spec"].get("egress", [])]:
                assert rule["ports"]
                assert rule.get("from") or rule.get("to")
                assert all(peer for peer in rule.get("from") or rule["to"])


def ports(rules: list[dict[str, Any]]) -> list[int]:
    return [port["port"] for rule in rules for port in rule["ports"]]


def test_the_gateway_reaches_backends_dns_and_listed_upstreams(render, values) -> None:  # B12
    objects = render(values["site"])
    spec = policy(objects, "gateway")
    assert ports(spec["egress"]) == [53, 53, 5432, 6379, 8000]
    assert spec["egress"][-1]["to"] == [{"ipBlock": {"cidr": "10.0.0.7/32"}}]
    assert spec["egress"][0]["to"] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]
    for rule, component in zip(spec["egress"][1:3], ("postgresql", "redis"), strict=True):
        (peer,) = rule["to"]
        backend = objects["StatefulSet", f"{NAME}-{component}"]["spec"]["template"]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= backend.items()
    assert ports(spec["ingress"]) == [4000, 9464]
    assert spec["ingress"][0]["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}}
    ]


def test_backends_are_reached_by_the_gateway_and_reach_nothing(render, values) -> None:  # B12
    objects = render(values["site"])
    for component, port, callers in (("postgresql", 5432, 2), ("redis", 6379, 1)):
        spec = policy(objects, component)
        assert "egress" not in spec
        assert ports(spec["ingress"]) == [port]
        assert len(spec["ingress"][0]["from"]) == callers
        assert gateway(objects)["metadata"]["labels"].items() >= (
            spec["ingress"][0]["from"][0]["podSelector"]["matchLabels"].items()
        )
    assert ports(policy(objects, "migrate")["egress"]) == [53, 53, 5432]
    assert "ingress" not in policy(objects, "migrate")


def test_external_backends_are_reached_by_address(render, values) -> None:  # B12
    objects = render(values["site"], values["external"])
    assert not [name for kind, name in objects if kind == "StatefulSet"]
    spec = policy(objects, "gateway")
    assert [rule["to"][0].get("ipBlock") for rule in spec["egress"]][1:] == [
        {"cidr": "10.0.0.5/32"},
        {"cidr": "10.0.0.6/32"},
        {"cidr": "10.0.0.7/32"},
    ]


def test_https_to_the_outside_is_shut_by_default(render, values) -> None:  # B12
    assert 443 not in ports(policy(render(values["site"]), "gateway")["egress"])
    opened = policy(render(values["site"], {"networkPolicy": {"allowHttpsExternal": True}}), "gateway")
    (rule,) = [rule for rule in opened["egress"] if ports([rule]) == [443]]
    assert "10.0.0.0/8" in rule["to"][0]["ipBlock"]["except"]


def test_without_callers_and_dns_no_rule_means_everybody(render, values) -> None:  # B12
    nobody = {
        "networkPolicy": {"ingressFrom": [], "metricsFrom": [], "dns": {"enabled": False}, "upstreams": []}
    }
    objects = render(values["site"], nobody, {"redis": {"enabled": False}})
    assert policy(objects, "gateway")["ingress"] == []
    assert ports(policy(objects, "gateway")["egress"]) == [5432]
    for item in objects.values():
        kubernetes_validate.validate(item, VERSIONS[-1], strict=True)


def test_secrets_reach_only_who_needs_them(render, values) -> None:  # I8
    objects = render(values["site"])
    text = {kind_name: json.dumps(item) for kind_name, item in objects.items()}
    planted = [value for value in values["site"]["secrets"].values() if isinstance(value, str)] + ["sk-small"]
    for value in planted:
        assert [key for key, item in text.items() if value in item] == [("Secret", NAME)]
    names = {name: [item["name"] for c in containers(pod) for item in c["env"] if "valueFrom" in item]
             for name, pod in pods(objects)}  # fmt: skip
    assert names[f"{NAME}-postgresql"] == ["POSTGRES_PASSWORD"]
    assert names[f"{NAME}-redis"] == ["REDIS_PASSWORD", "REDISCLI_AUTH"]
    assert names[NAME] == [
        "DATABASE_URL",
        "LITELLM_MASTER_KEY",
        "ROUTEIQ_PEPPER",
        "DATABASE_URL",
        "REDIS_URL",
        "SMALL_KEY",
    ]
    secret = objects["Secret", NAME]["stringData"]
    assert (
        secret["DATABASE_URL"] == f"postgresql://routeiq:pg-0123456789abcdef@{NAME}-postgresql:5432/routeiq"
    )
    assert secret["REDIS_URL"] == f"redis://:rd-0123456789abcdef@{NAME}-redis:6379/0"


def test_configuration_reaches_the_gateway_as_it_is(render, values) -> None:  # L3
    data = render(values["site"])["ConfigMap", NAME]["data"]["config.yaml"]
    assert yaml.safe_load(data) == values["site"]["config"]


def test_trust_keeps_every_byte(render, values) -> None:  # A7
    objects = render(values["site"], values["trust"])
    trust = values["trust"]["trust"]
    found = {
        name: base64.b64decode(item)
        for name, item in objects["ConfigMap", f"{NAME}-trust"]["binaryData"].items()
    }
    assert found == {
        "routeiq.pub": trust["publicKey"].encode(),
        "bundle.json": trust["bundleJson"].encode(),
        f"bundle.json.{'a' * 64}.sigstore.json": trust["signature"].encode(),
    }
    (container,) = gateway(objects)["spec"]["containers"]
    assert {"name": "trust", "mountPath": "/app/trust", "readOnly": True} in container["volumeMounts"]
    environ = {item["name"]: item.get("value") for item in container["env"]}
    assert environ["ROUTEIQ_TRUST_KEY"] == "/app/trust/routeiq.pub"
    assert environ["ROUTEIQ_BUNDLE_JSON"] == "/app/trust/bundle.json"


def test_variables_are_the_gateways(render, values) -> None:  # L2: none hidden, none made up
    from routeiq_appliance.settings import Settings

    known = {field.alias for field in Settings.model_fields.values()} | {"REDIS_URL", "SMALL_KEY"}
    (container,) = gateway(render(values["site"], values["trust"]))["spec"]["containers"]
    assert {item["name"] for item in container["env"]} <= known


def test_backends_keep_their_data(render, values) -> None:
    objects = render(
        values["site"], {"postgresql": {"persistence": {"storageClass": "fast", "size": "50Gi"}}}
    )
    (claim,) = objects["StatefulSet", f"{NAME}-postgresql"]["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert claim["spec"]["resources"]["requests"]["storage"] == "50Gi"
    mounts = {
        name: {mount["mountPath"] for mount in containers(pod)[0]["volumeMounts"]}
        for name, pod in pods(objects)
    }
    assert mounts[f"{NAME}-postgresql"] == {"/var/lib/postgresql/data", "/tmp", "/dev/shm"}
    assert mounts[f"{NAME}-redis"] == {"/data", "/tmp"}


def test_long_release_names_give_valid_names(render, values) -> None:
    objects = render(values["site"], release="a" * 53)
    assert all(len(name) <= 63 for _, name in objects)
    for item in objects.values():
        kubernetes_validate.validate(item, VERSIONS[0], strict=True)


def test_rendering_twice_gives_the_same_text(template, values) -> None:  # B18: a diff shows changes only
    assert template(values["site"]) == template(values["site"])
