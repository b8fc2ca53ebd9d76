"""docs/carry.md says what to type; here it is typed."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.signing.conftest import make_bundle

from routeiq_appliance.cli.main import main
from routeiq_signing.keys import PrivateKey

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "carry.md"


def typed() -> list[tuple[str, str]]:
    """Return (command, what it must print) of every console block."""
    found: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], ""))
            else:
                found[-1] = (found[-1][0], line)
    return found


def routeiq(line: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, shlex.split(line)[1:])
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROUTEIQ_TRUST_STATE", raising=False)
    key = PrivateKey.generate()
    (tmp_path / "routeiq.pub").write_bytes(key.public.pem)
    old = make_bundle(key, layer=b"layer" * 9999, program=b"old")
    new = make_bundle(key, layer=b"layer" * 9999, program=b"new")
    old.write(tmp_path / "routeiq-0.1.0-linux-amd64.tar")
    new.write(tmp_path / "routeiq-0.2.0-linux-amd64.tar")
    return tmp_path


def test_what_the_guide_types_works(place: Path) -> None:
    commands = typed()
    assert len(commands) >= 12
    for line, expected in commands:
        if not line.startswith("routeiq "):
            subprocess.run(line, shell=True, check=True, cwd=place)
            continue
        code, output = routeiq(line)
        assert expected in output, line
        assert code == (1 if expected.startswith("error: ") else 0), f"{line}: {output}"
    whole = (place / "routeiq-0.2.0-linux-amd64.tar").read_bytes()
    for name in ("routeiq-0.2.0-linux-amd64.tar", "joined.tar", "restored.tar"):
        assert (place / "site" / name).read_bytes() == whole
    assert not (place / "site" / "other.tar").exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("routeiq bundle verify routeiq-0.2.0-linux-amd64.tar --old routeiq-0.1.0-linux-amd64.tar --key routeiq.pub",
         "is no delta"),
        ("routeiq bundle delta routeiq-0.1.0-linux-amd64.tar routeiq.pub --out d", "routeiq.pub: "),
        ("routeiq bundle delta none.tar routeiq-0.2.0-linux-amd64.tar --out d", "none.tar: No such file"),
        ("routeiq bundle apply routeiq-0.1.0-linux-amd64.tar routeiq-0.2.0-linux-amd64.tar --out x --key routeiq.pub",
         "not a delta"),
        ("routeiq bundle apply routeiq-0.1.0-linux-amd64.tar routeiq-0.2.0-linux-amd64.tar --out x", "no key"),
        ("routeiq bundle split routeiq-0.1.0-linux-amd64.tar --size 1 --out p", "at least 4096"),
        ("routeiq bundle split routeiq-0.1.0-linux-amd64.tar --size 9X --out p", "not a size"),
        ("routeiq bundle split --check .", "parts.json: No such file"),
        ("routeiq bundle join . --out x", "parts.json: No such file"),
    ],
)  # fmt: skip
def test_a_refusal_is_one_line_and_exit_1(place: Path, line: str, said: str) -> None:
    before = sorted(place.iterdir())
    code, output = routeiq(line)
    assert (code, said in output) == (1, True), output
    assert sorted(place.iterdir()) == before


@pytest.mark.parametrize(
    "line",
    [
        "routeiq bundle split routeiq-0.1.0-linux-amd64.tar --out p",
        "routeiq bundle split routeiq-0.1.0-linux-amd64.tar --check p",
        "routeiq bundle split routeiq-0.1.0-linux-amd64.tar --size 1M --out p --parity 99",
        "routeiq bundle join p --out x --root --key routeiq.pub",
        "routeiq bundle apply a b",
    ],
)
def test_wrong_usage_is_exit_2(place: Path, line: str) -> None:
    assert routeiq(line)[0] == 2


def test_a_delta_in_parts_is_joined_without_a_key_and_then_applied(place: Path) -> None:
    for line in (
        "routeiq bundle delta routeiq-0.1.0-linux-amd64.tar routeiq-0.2.0-linux-amd64.tar --out a.delta",
        "routeiq bundle split a.delta --size 4096 --out p --parity 1",
    ):
        assert routeiq(line)[0] == 0
    code, output = routeiq("routeiq bundle join p --out b.delta --key routeiq.pub")
    assert (code, "is a delta" in output, (place / "b.delta").exists()) == (1, True, False)
    code, output = routeiq("routeiq bundle join p --out b.delta")
    assert (code, "NOT VERIFIED" in output) == (0, True)
    code, output = routeiq(
        "routeiq bundle apply routeiq-0.1.0-linux-amd64.tar b.delta --out n.tar --key routeiq.pub --json"
    )
    assert (code, '"accepted": true' in output) == (0, True)
    assert (place / "n.tar").read_bytes() == (place / "routeiq-0.2.0-linux-amd64.tar").read_bytes()


def test_parts_are_deleted_after_the_whole_was_verified_and_not_before(place: Path) -> None:
    assert routeiq("routeiq bundle split routeiq-0.2.0-linux-amd64.tar --size 20K --out p")[0] == 0
    parts = sorted((place / "p").iterdir())
    (place / "other.pub").write_bytes(PrivateKey.generate().public.pem)
    for line in ("join p --out n.tar --delete-parts", "join p --out n.tar --key other.pub --delete-parts"):
        assert routeiq(f"routeiq bundle {line}")[0] == 1
        assert (sorted((place / "p").iterdir()), (place / "n.tar").exists()) == (parts, False)
    assert routeiq("routeiq bundle join p --out n.tar --key routeiq.pub --delete-parts")[0] == 0
    assert list((place / "p").iterdir()) == []
