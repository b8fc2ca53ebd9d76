"""Documentation that is generated or promised is compared with the code (L2)."""

import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import routeiq_appliance
from routeiq_appliance.config.reference import render_keys, render_variables

DOCUMENT = Path(__file__).parents[2] / "docs" / "configuration.md"
_MODULES = [
    item.name
    for item in pkgutil.walk_packages(routeiq_appliance.__path__, "routeiq_appliance.")
    if ".cli" not in item.name and ".migrations" not in item.name
]


@pytest.mark.parametrize("table", [render_variables(), render_keys()], ids=["variables", "keys"])
def test_the_configuration_document_holds_every_variable_and_key(table: str) -> None:
    assert table in DOCUMENT.read_text(encoding="utf-8"), (
        "docs/configuration.md: out of date; put in what `python -m routeiq_appliance.config.reference` prints"
    )


@pytest.mark.parametrize("name", _MODULES)
def test_every_module_declares_what_it_offers(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    if not hasattr(module, "__path__"):
        assert all(hasattr(module, item) for item in module.__all__)


def test_light_commands_do_not_import_the_gateways_weight() -> None:
    program = """
import sys
import routeiq_appliance.app, routeiq_appliance.serving
heavy = {"litellm", "onnxruntime", "numpy", "fastapi", "openai"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
