"""Fixtures on real parts: the bundle of this tree, a sealed site, the LLM; made once for all end-to-end tests."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.bundle import Bundle, make_bundle
from tests.e2e.provision import podman_environ, require_host
from tests.e2e.sealed_site import Site, open_site

from routeiq_appliance.cli.demo.prepare import Prepared, prepare
from routeiq_signing.progress import QuietProgress
from routeiq_vendor.workspace import Workspace


@pytest.fixture(scope="session", autouse=True)
def _host() -> None:
    require_host()


@pytest.fixture(scope="session")
def bundle(_host: None) -> Bundle:
    """What `make bundle` makes of this tree."""
    return make_bundle()


@pytest.fixture(scope="session")
def scratch(_host: None) -> Iterator[Path]:
    """A short path (Unix sockets of containers are in it), on a disk that holds three images twice."""
    folder = Path(tempfile.mkdtemp(prefix="riq-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def site(scratch: Path) -> Iterator[Site]:
    """An empty site: no image loaded, nothing running, counters at zero."""
    environ = podman_environ(scratch / "podman")
    with open_site(scratch / "site", environ) as site:
        yield site


@pytest.fixture(scope="session")
def prepared(_host: None) -> Prepared:
    """The real LLM, and models signed by the development key."""
    return prepare(Workspace.find(os.environ), QuietProgress(), offline=False)
