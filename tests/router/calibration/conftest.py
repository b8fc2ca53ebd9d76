"""The faulty server, as a fixture."""

import importlib.util
from pathlib import Path

import pytest


@pytest.fixture
def server():
    spec = importlib.util.spec_from_file_location("faulty_server", Path(__file__).with_name("server.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.serving() as running:
        yield running
