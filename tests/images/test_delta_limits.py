"""What changes is carried alone: the limits of `benchmarks/delta_size.py`, held against the layers of a build."""

import json
import os
import tarfile
from typing import Any

import pytest
from tests.e2e.bundle import make_bundle

from routeiq_images.application import WHEELS
from routeiq_images.layer_plan import MAX_LAYERS
from routeiq_signing.progress import QuietProgress
from routeiq_vendor.wheels.store import WheelStore, load_lock
from routeiq_vendor.workspace import Workspace

pytestmark = pytest.mark.build
DOCUMENTS = 400_000  # bytes; bundle.json, sums, configuration, SBOMs, provenance, signatures: what every change changes


@pytest.fixture(scope="module")
def layers() -> dict[str, dict[str, int]]:
    """Image → comment of a layer → compressed bytes."""
    with tarfile.open(make_bundle().tar) as archive:

        def read(path: str) -> Any:
            return json.load(archive.extractfile(path))  # type: ignore[arg-type]

        found = {}
        for image in read("bundle.json")["images"]:
            manifest = read(f"blobs/sha256/{image['digest'][7:]}")
            config = read(f"blobs/sha256/{image['image_id'][7:]}")
            pairs = zip(config["history"], manifest["layers"], strict=True)
            found[image["name"]] = {history["created_by"]: layer["size"] for history, layer in pairs}
    return found


def test_no_image_has_too_many_layers(layers: dict[str, dict[str, int]]) -> None:
    assert max(len(names) for names in layers.values()) <= MAX_LAYERS


def test_a_changed_wheel_costs_at_most_twice_itself_and_2_mb(layers: dict[str, dict[str, int]]) -> None:
    workspace = Workspace.find(os.environ)
    store = WheelStore(workspace.pool, workspace.torch_index)
    lock = load_lock(workspace.locks / "gateway.txt")
    wheels = {
        wheel.name: wheel.size for wheel in store.fetch(lock, "gateway.txt", QuietProgress(), offline=True)
    }
    gateway = layers["routeiq-gateway"]
    plan = {name: f"wheels: {layer}" for name, layer in WHEELS.layers(wheels).items()}
    assert {name for name in gateway if name.startswith("wheels: ")} <= {
        *plan.values()
    }  # every file has an owner
    for name, layer in plan.items():
        if layer in gateway:
            assert gateway[layer] + DOCUMENTS <= 2 * wheels[name] + 2_000_000, name


def test_a_changed_line_of_ours_costs_at_most_2_mb(layers: dict[str, dict[str, int]]) -> None:
    gateway = layers["routeiq-gateway"]
    code = [size for name, size in gateway.items() if name.startswith("RouteIQ: code ")]
    assert max(code) + gateway["RouteIQ: metadata and command"] + DOCUMENTS <= 2_000_000
