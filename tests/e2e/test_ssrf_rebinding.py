"""A DNS server that changes its mind, and servers that redirect, lead no call of a user's deployment elsewhere (I4)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.rebinding import VICTIMS

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the program found in namespaces of its own: its network is its loopback device."""
    folder = tmp_path_factory.mktemp("dns")
    command = ["unshare", "--mount", "--net", sys.executable, "-m", "tests.e2e.rebinding", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    checks: dict[str, Any] = json.loads(done.stdout)
    return checks


def test_a_name_is_accepted_by_what_it_resolves_to(found: dict[str, Any]) -> None:
    assert found["accepted while it is public"]["outcome"] == "accepted"
    assert "loopback or private" in found["accepted as 127.0.0.1"]["outcome"]
    assert "loopback or private" in found["accepted as 10.66.0.1"]["outcome"]
    assert "refused always" in found["accepted as 169.254.169.254"]["outcome"]


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("upstream", ["direct openai", "library openai", "library anthropic"])
def test_a_name_that_resolves_otherwise_later_is_not_dialled(
    found: dict[str, Any], victim: str, upstream: str
) -> None:
    check = found[f"{upstream} rebound to {victim}"]
    assert check == {"outcome": "the upstream could not be reached or broke off", "victims": 0}


def test_of_several_addresses_only_the_allowed_one_is_dialled(found: dict[str, Any]) -> None:
    assert found["of several addresses the allowed one is dialled"] == {"outcome": "answered", "victims": 0}


@pytest.mark.parametrize("upstream", ["direct openai", "library openai", "library anthropic"])
def test_a_redirect_is_not_followed(found: dict[str, Any], upstream: str) -> None:
    checks = [check for name, check in found.items() if name.startswith(f"{upstream} redirected")]
    assert len(checks) == 3
    assert all(check["victims"] == 0 and check["outcome"] != "answered" for check in checks)


def test_a_redirect_does_not_go_over_a_connection_that_is_kept_open(found: dict[str, Any]) -> None:
    assert found["the operator's own address is called as before"]["victims"] == 1, (
        "the victim can be reached"
    )
    assert found["library redirected to a kept connection"]["victims"] == 0
