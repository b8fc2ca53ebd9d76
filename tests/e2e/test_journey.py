"""The whole journey on real parts: bundle → verify → registry → three containers on a sealed host → a routed answer.

Read from top to bottom: each fixture is a step that an operator takes, each test what must be true after it. What is
asserted about egress holds for all of it, from the first command on the site to the last.
"""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.e2e.bundle import Bundle
from tests.e2e.gateway import lay_trust, start
from tests.e2e.sealed_site import Site

from routeiq_appliance.cli.demo.ask import PROMPTS
from routeiq_appliance.cli.demo.prepare import Prepared
from routeiq_appliance.cli.demo.stack import gateway_config, run_llm
from routeiq_appliance.cli.sealed.sensor import Reading

pytestmark = pytest.mark.e2e

GATEWAY = "http://127.0.0.1:4000"
IMAGES = ("routeiq-gateway", "routeiq-postgres", "routeiq-redis")
CLIENT = Path(__file__).with_name("client.py")


# 1. The tar arrives; stock Python says yes before anything of it runs.


@pytest.fixture(scope="module")
def before(site: Site) -> Reading:
    """The counters before the first command."""
    return site.sensor.read()


@pytest.fixture(scope="module")
def accepted(bundle: Bundle, site: Site, before: Reading) -> Bundle:
    # -I -S: no site-packages, no environment; what a site's own Python has.
    done = site.run(
        sys.executable,
        "-I",
        "-S",
        str(bundle.verifier),
        str(bundle.tar),
        "--key",
        str(bundle.key),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return bundle


def test_the_verifier_and_the_command_agree(accepted: Bundle) -> None:
    routeiq = [sys.executable, "-m", "routeiq_appliance.cli", "bundle", "verify", str(accepted.tar), "--json"]
    done = subprocess.run([*routeiq, "--key", str(accepted.key)], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["accepted"] is True
    assert report["digest"] == accepted.digest


# 2. The site has no repository: the mirror command runs from the image itself.


@dataclass(frozen=True)
class Mirrored:
    """Where the bundle is in the site's registry, and the mirror's own report."""

    prefix: str
    report: dict[str, Any]

    def reference(self, image: dict[str, str]) -> str:
        """The image in the registry, by manifest digest."""
        return f"{self.prefix}/{image['name']}@{image['digest']}"


@pytest.fixture(scope="module")
def mirrored(accepted: Bundle, site: Site) -> Iterator[Mirrored]:
    site.podman("load", "--quiet", "--input", str(accepted.tar))
    with site.registry() as address:
        # The verified copy of the tar needs a disk; a container's /tmp is memory.
        work = site.folder / "mirror-work"
        work.mkdir(mode=0o777)
        work.chmod(0o777)
        report = site.podman(
            "run", "--rm", "--network=host", "--read-only", "--cap-drop=all",
            f"--volume={accepted.tar.parent}:/media:ro", f"--volume={work}:/work",
            accepted.image("routeiq-gateway")["tag"],
            "bundle", "mirror", f"/media/{accepted.tar.name}", "--to", f"{address}/routeiq",
            "--key", f"/media/{accepted.key.name}", "--plain-http", "--work-dir", "/work", "--json",
        )  # fmt: skip
        # What was loaded from the tar goes: from here on, images come from the registry.
        site.podman("rmi", "--all", "--force")
        yield Mirrored(f"{address}/routeiq", json.loads(report))


def test_everything_in_the_bundle_is_in_the_registry(
    accepted: Bundle, mirrored: Mirrored, site: Site
) -> None:
    manifest = accepted.manifest
    named = [(image["name"], image["digest"]) for image in manifest["images"]]
    named += [(image["name"], image["sbom"]) for image in manifest["images"]]
    named += [(f"models/{model['name'].lower()}", model["digest"]) for model in manifest["models"]]
    named += [(f"charts/{manifest['chart']['name']}", manifest["chart"]["digest"])]
    for name, digest in named:
        found = site.run(
            "skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{mirrored.prefix}/{name}@{digest}"
        )
        # skopeo itself checks that the bytes have this digest.
        assert json.loads(found.stdout)["schemaVersion"] == 2
    assert mirrored.report["bundle"] == accepted.digest
    assert len(mirrored.report["artifacts"]) >= len(named) + len(
        manifest["models"]
    )  # each model's signature too


# 3. Three containers, pulled by digest, on a network that reaches nothing.


@dataclass(frozen=True)
class Running:
    """The gateway's admin key, and a key made for an application."""

    master: str
    key: str


@pytest.fixture(scope="module")
def pulled(accepted: Bundle, mirrored: Mirrored, site: Site) -> dict[str, str]:
    """Image name → reference by digest, pulled."""
    references = {name: mirrored.reference(accepted.image(name)) for name in IMAGES}
    for reference in references.values():
        site.podman("pull", "--quiet", "--tls-verify=false", reference)
    return references


def test_pulled_images_are_those_of_the_bundle(accepted: Bundle, pulled: dict[str, str], site: Site) -> None:
    for name, reference in pulled.items():
        assert site.podman("image", "inspect", "--format={{.Digest}} sha256:{{.Id}}", reference) == (
            f"{accepted.image(name)['digest']} {accepted.image(name)['image_id']}"
        )


@pytest.fixture(scope="module")
def llm_key() -> str:
    return secrets.token_hex(16)


@pytest.fixture(scope="module")
def llm(prepared: Prepared, site: Site, llm_key: str) -> Iterator[str]:
    """The real LLM's server, on the same sealed network; yields its URL."""
    with run_llm(
        prepared.llm_python,
        prepared.gguf,
        inside=site.network.sealed,
        port=8081,
        api_key=llm_key,
        scratch=site.folder,
    ):
        yield "http://127.0.0.1:8081"


@pytest.fixture(scope="module")
def stores(accepted: Bundle, pulled: dict[str, str], site: Site) -> str:
    """PostgreSQL and Redis, healthy; yields the URL of the database."""
    password = secrets.token_hex(16)
    start(site, "postgres", pulled["routeiq-postgres"], {"POSTGRES_PASSWORD": password})
    start(site, "redis", pulled["routeiq-redis"], {"REDIS_PASSWORD": secrets.token_hex(16)})
    site.wait_healthy("postgres", accepted.health_check("routeiq-postgres"))
    site.wait_healthy("redis", accepted.health_check("routeiq-redis"))
    return f"postgresql://routeiq:{password}@127.0.0.1:5432/routeiq"


@pytest.fixture(scope="module")
def running(
    accepted: Bundle, pulled: dict[str, str], stores: str, llm: str, llm_key: str, site: Site
) -> Running:
    """The gateway as the bundle has it: models baked in, vouched for by the mounted `bundle.json`."""
    trust = lay_trust(accepted, site.folder / "trust")
    config = site.folder / "config.yaml"
    config.write_text(yaml.safe_dump(gateway_config(llm)), encoding="utf-8")
    master = f"sk-{secrets.token_hex(16)}"
    environ = {
        "LITELLM_MASTER_KEY": master,
        "DATABASE_URL": stores,
        "ROUTEIQ_PEPPER": secrets.token_hex(32),
        "ROUTEIQ_TRUST_KEY": "/app/trust/routeiq.pub",
        "LLM_API_KEY": llm_key,
    }
    image = pulled["routeiq-gateway"]
    start(site, "migrate", image, environ, "admin", "migrate")
    assert site.podman("wait", "migrate") == "0", site.logs("migrate")
    mounts = [f"--volume={trust}:/app/trust:ro", f"--volume={config}:/app/config/config.yaml:ro"]
    start(site, "gateway", image, environ, options=mounts)
    site.wait_healthy("gateway", accepted.health_check("routeiq-gateway"))
    site.wait_until(lambda: site.http("GET", f"{GATEWAY}/health/readiness")[0] == 200, "gateway")
    status, made = site.http(
        "POST", f"{GATEWAY}/key/generate", {"key_alias": "app", "duration": "1h"}, key=master
    )
    assert status == 200, made
    return Running(master, made["key"])


def test_containers_run_without_root_and_without_capabilities(running: Running, site: Site) -> None:  # A14
    for name, user in (("gateway", 65532), ("postgres", 70), ("redis", 65532)):
        pid = site.podman("inspect", "--format={{.State.Pid}}", name)
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        )
        assert {int(number) for number in status["Uid"].split()} == {user}
        assert int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert site.podman("inspect", "--format={{.HostConfig.ReadonlyRootfs}}", name) == "true"


def test_the_gateway_says_what_it_verified(running: Running, site: Site, accepted: Bundle) -> None:
    lines = [json.loads(line) for line in site.logs("gateway").splitlines() if line.startswith("{")]
    verified = {
        line["model"]: line["vouched_by"] for line in lines if line.get("message") == "model verified"
    }
    assert verified == {
        "all-MiniLM-L6-v2": f"bundle.json by {accepted.keyid}",
        "minilm-llmrouter-v3": f"bundle.json by {accepted.keyid}",
    }


def test_nobody_is_let_in_without_a_key(running: Running, site: Site) -> None:
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    for key in ("", "sk-guessed-000000000000"):
        status, answer = site.http("POST", f"{GATEWAY}/v1/chat/completions", body, key=key)
        assert status == 401
        assert answer["error"]["code"]


# 4. A routed answer from a real LLM.


@pytest.fixture(scope="module")
def answers(running: Running, site: Site) -> dict[str, dict[str, Any]]:
    """What the openai package got, by the group that the artifact should choose."""
    found = {}
    for prompt in PROMPTS:
        done = site.run(
            sys.executable, str(CLIENT), f"{GATEWAY}/v1", prompt.text, environ={"OPENAI_API_KEY": running.key}
        )
        found[prompt.group] = json.loads(done.stdout)
    return found


def test_auto_is_routed_by_the_signed_artifact(answers: dict[str, dict[str, Any]]) -> None:
    for group, answer in answers.items():
        for kind in ("whole", "stream"):
            headers = answer[kind]["headers"]
            assert headers["x-routeiq-model"] == group
            assert headers["x-routeiq-deployment"] == f"{group}-1"
            assert headers["x-routeiq-strategy"].startswith("ml-")
            assert headers["x-routeiq-decision-id"]
            assert float(headers["x-routeiq-score"])


def test_a_real_llm_answered(answers: dict[str, dict[str, Any]]) -> None:
    small = answers["small"]
    assert "Paris" in small["whole"]["text"]
    # Temperature 0: the stream says the same, in pieces.
    assert small["stream"]["text"] == small["whole"]["text"]
    assert small["stream"]["chunks"] > 3
    assert small["whole"]["tokens"] > 3
    assert "def " in answers["large"]["whole"]["text"]
    assert small["models"] == ["auto", "large", "small"]


def test_tools_and_refusals_pass_through(answers: dict[str, dict[str, Any]]) -> None:
    for answer in answers.values():
        assert answer["with_tool"] in {"stop", "length"}
        # The upstream has no embeddings: its refusal arrives in OpenAI's shape, without its address.
        assert answer["refusal"]["status"] >= 400
        assert answer["refusal"]["error"]["code"]
        assert "8081" not in json.dumps(answer["refusal"])


def test_every_call_is_in_the_ledger_with_its_decision(
    answers: dict[str, dict[str, Any]], site: Site
) -> None:
    query = 'SELECT json_agg(row_to_json(c)) FROM (SELECT id, "group", status, stream, decision FROM calls) c'
    wanted = {
        answer[kind]["headers"]["x-routeiq-decision-id"]: (group, kind == "stream")
        for group, answer in answers.items()
        for kind in ("whole", "stream")
    }
    rows: dict[str, dict[str, Any]] = {}

    def settled() -> bool:
        text = site.podman("exec", "postgres", "/usr/bin/sh", "-c", _PSQL, "sh", query)
        rows.update({row["id"]: row for row in json.loads(text or "null") or []})
        return wanted.keys() <= rows.keys()

    site.wait_until(settled, "gateway", seconds=15)
    for call, (group, stream) in wanted.items():
        assert (rows[call]["group"], rows[call]["stream"], rows[call]["status"]) == (group, stream, 200)
        assert rows[call]["decision"]["strategy"].startswith("ml-")


_PSQL = 'PGPASSWORD=$POSTGRES_PASSWORD exec psql -U routeiq -d routeiq -At -c "$1"'


# 5. Nothing left, and the sensor would have seen it.


def test_no_packet_left_the_site(
    answers: dict[str, dict[str, Any]], running: Running, before: Reading, site: Site
) -> None:  # A1
    gateway = site.http("GET", f"{GATEWAY}/health/readiness")[1]
    assert gateway["egress"] == {"mode": "sealed", "refused": 0}
    after = site.sensor.read()
    assert after.inside.left - before.inside.left == 0, after.seen
    assert after.outside.left - before.outside.left == 0, after.seen
    # Three canaries that a kernel without IPv6 can try, one SYN each: the gateway did look whether it is sealed.
    assert after.canaries - before.canaries == 3


def test_stopping_sends_nothing_either(
    answers: dict[str, dict[str, Any]], before: Reading, site: Site
) -> None:
    site.podman("stop", "--time=20", "gateway")
    assert site.podman("inspect", "--format={{.State.ExitCode}}", "gateway") == "0", site.logs("gateway")
    assert site.sensor.read().left == before.left


def test_the_counters_would_have_seen_a_packet(before: Reading, site: Site) -> None:
    assert site.sensor.control() >= 3
    after = site.sensor.read()
    assert after.inside.left > before.inside.left
    assert after.outside.left > before.outside.left
    assert any("203.0.113.1" in entry for entry in after.seen)
