"""Serving needs numpy, onnxruntime, tokenizers and safetensors, nothing heavier (design, section 6)."""

import pkgutil
import subprocess
import sys

import pytest

import routeiq_router

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(routeiq_router.__path__, "routeiq_router.")
    if not module.ispkg
)
HEAVY = (
    "sklearn",
    "scipy",
    "torch",
    "transformers",
    "pandas",
    "joblib",
    "routeiq_appliance",
    "routeiq_vendor",
)


@pytest.mark.parametrize("name", MODULES)
def test_each_module_says_what_it_offers(name):
    module = __import__(name, fromlist=["__all__"])
    assert module.__all__
    assert all(hasattr(module, offered) for offered in module.__all__)
    assert module.__doc__


def test_serving_imports_nothing_heavy_and_no_module_works_at_import(
    make_artifact, embedder_folder, tmp_path
):
    from routeiq_router.artifact import dump_artifact
    from routeiq_router.folder import write_artifact

    write_artifact(tmp_path / "a", dump_artifact(make_artifact("ensemble")))
    code = f"""
import sys, threading
from pathlib import Path
import {", ".join(MODULES)}
assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)
assert "onnxruntime" not in sys.modules
assert threading.active_count() == 1
from routeiq_router.folder import read_unsigned
from routeiq_router.router import Router
router = Router.load(read_unsigned(Path({str(tmp_path / "a")!r})), read_unsigned(Path({str(embedder_folder)!r})))
print(router.rank("add the number", {{"g": "maths-7b"}}).group)
assert not set({HEAVY}) & set(sys.modules), set({HEAVY}) & set(sys.modules)
"""
    assert subprocess.check_output([sys.executable, "-W", "error", "-c", code], text=True) == "g\n"
