"""What the chart's README tells people to type works."""

import re
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import yaml


def blocks(chart: Path, language: str) -> list[str]:
    text = (chart / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(body) for _, body in found]


def test_the_sites_values_render(render, chart: Path) -> None:
    (text,) = blocks(chart, "yaml")
    objects = render(yaml.safe_load(text.replace("sha256:…", f"sha256:{'0' * 64}")))
    (container,) = objects["Deployment", "routeiq-gateway"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"registry.site:5000/routeiq/routeiq-gateway@sha256:{'0' * 64}"


def test_the_secret_of_the_readme_is_what_the_pods_want(render, chart: Path, tmp_path: Path) -> None:
    (script,) = [block for block in blocks(chart, "console") if "create secret" in block]
    commands = "\n".join(line.removeprefix("$ ") for line in script.splitlines())
    kubectl = 'kubectl() { if [ "${4-}" = secret ]; then cat; fi; }\n'
    said = subprocess.run(
        ["bash", "-euc", kubectl + commands], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    secret = dict(line.partition("=")[::2] for line in said.splitlines() if line)
    objects: dict[Any, Any] = render("values-airgap.yaml")
    wanted = {
        item["valueFrom"]["secretKeyRef"]["key"]
        for (kind, _), found in objects.items()
        if kind in {"Deployment", "StatefulSet", "Job"}
        for container in found["spec"]["template"]["spec"]["containers"]
        for item in container["env"]
        if "valueFrom" in item
    }
    assert set(secret) == wanted
    host = re.fullmatch(r"postgresql://routeiq:\w+@([^:]+):5432/routeiq", secret["DATABASE_URL"])
    assert host is not None
    assert ("Service", host[1]) in objects
    assert secret["POSTGRES_PASSWORD"] in secret["DATABASE_URL"]


def test_every_value_is_explained(chart: Path) -> None:
    """Each section of values.yaml says what it is for, and the schema knows exactly these."""
    schema = yaml.safe_load((chart / "values.schema.json").read_text())
    values = yaml.safe_load((chart / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)
