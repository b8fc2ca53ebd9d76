"""What the chart says runs: its pods, with the bundle's images, started as a kubelet would and on a sealed network.

There is no cluster here. User, environment, arguments, mounts, probes and their order come from the rendered objects;
volumes are made as a kubelet makes them (root's, the group of `fsGroup`, setgid). Not shown: scheduling, Services
(their names lead to the loopback) and a network plugin.
"""

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.bundle import Bundle
from tests.e2e.provision import podman_environ
from tests.e2e.sealed_site import Site, open_site

from routeiq_appliance.cli.demo.stack import MODEL_MAP

pytestmark = pytest.mark.e2e

NAME = "routeiq-gateway"
VALUES = {
    "image": {"pullPolicy": "Never"},
    "secrets": {
        "masterKey": "sk-chart-master",
        "pepper": "p" * 32,
        "postgresPassword": "pg-0123456789abcdef",
        "redisPassword": "rd-0123456789abcdef",
    },
    "config": {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": "openai/m", "api_base": "http://127.0.0.1:8081/v1"},
            }
            for name in ("small", "large")
        ],
        "routeiq": {
            "auto": {
                "artifact": "routers/minilm-llmrouter-v3",
                "model_map": MODEL_MAP,
            }
        },
    },
}
Objects = dict[tuple[str, str], dict[str, Any]]


class Kubelet:
    """Starts the containers of a pod template with podman."""

    def __init__(self, site: Site, objects: Objects) -> None:
        self._site = site
        self._objects = objects
        self._hosts = [f"--add-host={name}:127.0.0.1" for kind, name in objects if kind == "Service"]

    def run(self, pod: Mapping[str, Any], container: Mapping[str, Any]) -> str:
        """Run a container to its end (an init container, a Job) and return what it said."""
        name = str(container["name"])
        return self._site.podman(
            "run", "--rm", "--name", name, "--network=host", "--read-only", "--cap-drop=all",
            *self._options(pod, container), container["image"], *container.get("args", []),
        )  # fmt: skip

    def start(self, pod: Mapping[str, Any], container: Mapping[str, Any]) -> None:
        """Start a container that stays."""
        options = self._options(pod, container)
        self._site.start(container["name"], container["image"], *container.get("args", []), options=options)

    def wait(self, container: Mapping[str, Any], probe: str) -> None:
        """Probe until it passes."""
        self._site.wait_until(lambda: self.passes(container, probe), container["name"])

    def passes(self, container: Mapping[str, Any], probe: str) -> bool:
        """Probe once."""
        how = container[f"{probe}Probe"]
        if "exec" in how:
            command = ["podman", "exec", container["name"], *how["exec"]["command"]]
            return self._site.run(*command, check=False).returncode == 0
        port = next(
            item["containerPort"] for item in container["ports"] if item["name"] == how["httpGet"]["port"]
        )
        return self._site.http("GET", f"http://127.0.0.1:{port}{how['httpGet']['path']}")[0] == 200

    def _options(self, pod: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
        security = pod["securityContext"]
        options = [f"--user={security['runAsUser']}:{security['runAsGroup']}", *self._hosts]
        options += [f"--env={item['name']}={self._value(item)}" for item in container["env"]]
        volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
        for mount in container["volumeMounts"]:
            volume = volumes.get(mount["name"], {"persistentVolumeClaim": {}})
            if volume.get("emptyDir", {}).get("medium") == "Memory":
                options.append(f"--shm-size={volume['emptyDir']['sizeLimit'].removesuffix('i').lower()}")
                continue
            folder = self._folder(str(container["name"]), mount["name"], volume, security["fsGroup"])
            options.append(
                f"--volume={folder}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}"
            )
        return options

    def _value(self, item: Mapping[str, Any]) -> str:
        if "value" in item:
            return str(item["value"])
        reference = item["valueFrom"]["secretKeyRef"]
        return str(self._objects["Secret", reference["name"]]["stringData"][reference["key"]])

    def _folder(self, container: str, name: str, volume: Mapping[str, Any], group: int) -> Path:
        folder = self._site.folder / "volumes" / container / name
        folder.mkdir(parents=True)
        if "configMap" in volume:
            source = self._objects["ConfigMap", volume["configMap"]["name"]]
            for key, text in source.get("data", {}).items():
                (folder / key).write_text(text, encoding="utf-8")
            for key, raw in source.get("binaryData", {}).items():
                (folder / key).write_bytes(base64.b64decode(raw, validate=True))
        else:
            os.chown(folder, 0, group)
            folder.chmod(0o2770)
        return folder


@pytest.fixture(scope="module")
def own_site(scratch: Path, bundle: Bundle) -> Iterator[Site]:
    with open_site(scratch / "kube", podman_environ(scratch / "kube-podman")) as site:
        site.podman("load", "--quiet", "--input", str(bundle.tar), seconds=300)
        yield site


@pytest.fixture(scope="module")
def objects(
    helm: Callable[..., Any], bundle: Bundle, chart: Path, tmp_path_factory: pytest.TempPathFactory
) -> Objects:
    """The chart of this tree, with the bundle's own trust, given as the README says."""
    folder = tmp_path_factory.mktemp("chart")
    (folder / "values.yaml").write_text(yaml.safe_dump(VALUES), encoding="utf-8")
    for name in ("bundle.json", f"bundle.json.{bundle.keyid}.sigstore.json"):
        (folder / name).write_bytes(bundle.member(name))
    text = helm(
        "template", "routeiq", chart, "--namespace", "routeiq", "--values", folder / "values.yaml",
        "--set", f"trust.keyId={bundle.keyid}",
        "--set-file", f"trust.publicKey={bundle.key}",
        "--set-file", f"trust.bundleJson={folder / 'bundle.json'}",
        "--set-file", f"trust.signature={folder / f'bundle.json.{bundle.keyid}.sigstore.json'}",
    ).stdout  # fmt: skip
    documents = [item for item in yaml.safe_load_all(text) if item]
    return {(item["kind"], item["metadata"]["name"]): item for item in documents}


@pytest.fixture(scope="module")
def kubelet(own_site: Site, objects: Objects) -> Kubelet:
    return Kubelet(own_site, objects)


def pod_of(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    (found,) = [item for key, item in objects.items() if key[0] == kind and key[1].startswith(name)]
    spec: dict[str, Any] = found["spec"]["template"]["spec"]
    return spec


@pytest.fixture(scope="module")
def backends(kubelet: Kubelet, objects: Objects) -> None:
    """PostgreSQL and Redis as the chart starts them; their probes pass."""
    for name in ("postgresql", "redis"):
        pod = pod_of(objects, "StatefulSet", f"{NAME}-{name}")
        (container,) = pod["containers"]
        kubelet.start(pod, container)
        kubelet.wait(container, "readiness")
        assert kubelet.passes(container, "liveness")


def test_the_redis_probe_notices_a_wrong_password(
    backends: None, own_site: Site, objects: Objects
) -> None:  # B7
    (container,) = pod_of(objects, "StatefulSet", f"{NAME}-redis")["containers"]
    command = container["readinessProbe"]["exec"]["command"]
    done = own_site.run("podman", "exec", "--env=REDISCLI_AUTH=wrong", "redis", *command, check=False)
    assert done.returncode != 0


@pytest.fixture(scope="module")
def migrated(backends: None, kubelet: Kubelet, objects: Objects) -> str:
    """Before the Job the gateway's init container waits; after it, it does not."""
    gateway = pod_of(objects, "Deployment", NAME)
    (init,) = gateway["initContainers"]
    early = {**init, "name": "too-early", "args": [*init["args"][:-1], "0"]}
    with pytest.raises(AssertionError, match="database: schema is empty"):
        kubelet.run(gateway, early)
    job = pod_of(objects, "Job", f"{NAME}-migrate-")
    said = kubelet.run(job, job["containers"][0])
    kubelet.run(gateway, init)
    return said


def test_the_job_migrates(migrated: str) -> None:  # B8
    assert "migrated from empty to" in migrated


@pytest.fixture(scope="module")
def gateway(migrated: str, kubelet: Kubelet, objects: Objects) -> dict[str, Any]:
    pod = pod_of(objects, "Deployment", NAME)
    (container,) = pod["containers"]
    kubelet.start(pod, container)
    kubelet.wait(container, "startup")
    kubelet.wait(container, "readiness")
    found: dict[str, Any] = container
    return found


def test_the_gateway_is_ready_with_the_trust_of_the_chart(
    gateway: dict[str, Any], kubelet: Kubelet, own_site: Site
) -> None:  # A7, A10, B7
    assert kubelet.passes(gateway, "liveness")
    key = VALUES["secrets"]["masterKey"]  # type: ignore[index]
    status, models = own_site.http("GET", "http://127.0.0.1:4000/v1/models", key=key)
    assert status == 200
    assert {"small", "large"} <= {model["id"] for model in models["data"]}
    # The artifact was loaded: its files are those of the signed bundle.json that the chart mounted.
    assert "bundle.json by" in own_site.logs("gateway")


def test_metrics_are_where_the_annotations_say(
    gateway: dict[str, Any], own_site: Site, objects: Objects
) -> None:  # B6
    notes = objects["Deployment", NAME]["spec"]["template"]["metadata"]["annotations"]
    place = f"http://127.0.0.1:{notes['prometheus.io/port']}{notes['prometheus.io/path']}"
    assert own_site.http("GET", place)[0] == 200


def test_it_stops_within_its_grace(gateway: dict[str, Any], own_site: Site, objects: Objects) -> None:  # B6
    grace = pod_of(objects, "Deployment", NAME)["terminationGracePeriodSeconds"]
    own_site.podman("stop", f"--time={grace}", "gateway")
    assert own_site.podman("inspect", "--format={{.State.ExitCode}}", "gateway") == "0"
