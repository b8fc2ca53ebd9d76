"""docs/key-ceremony.md says what to type; here it is typed, in its order, and its output compared (A7, A16)."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.signing.conftest import SmallBundle

from routeiq_appliance.cli.main import main
from routeiq_signing.keys import load_private_key
from routeiq_signing.trust.state import StateFolder

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "key-ceremony.md"
TAR = Path("dist/routeiq-0.1.0-linux-amd64.tar")


def steps() -> Iterator[tuple[str, list[str]]]:
    """Yield each command of the guide and the lines that it shows as output."""
    for block in re.findall(r"```console\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        lines = block.splitlines()
        starts = [at for at, line in enumerate(lines) if line.startswith("$ ")]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
            yield lines[start].removeprefix("$ "), lines[start + 1 : end]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to type in."""
    (tmp_path / "passphrase").write_text("secret\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KEY_PASSPHRASE_FILE", "passphrase")
    monkeypatch.setenv("ROUTEIQ_TRUST_STATE", "trust")
    monkeypatch.delenv("KEY", raising=False)
    return tmp_path


def make_bundle(bundle: SmallBundle, key: str) -> str:
    """Stand in for `make bundle KEY=…`, which takes a minute: the small bundle, signed by that key."""
    TAR.parent.mkdir(exist_ok=True)
    bundle.with_manifest(sequence=1).signed_by(load_private_key(Path(key), lambda: b"secret")).write(TAR)
    return ""


def type_in(command: str, bundle: SmallBundle) -> str:
    fingerprint = "FINGERPRINT"
    if fingerprint in command:
        said = subprocess.run(["sha256sum", "1.root.json"], capture_output=True, text=True, check=True).stdout
        command = command.replace(fingerprint, said[:64])
    program, *arguments = shlex.split(command)
    if program == "make":
        return make_bundle(bundle, arguments[1].removeprefix("KEY="))
    assert program == "routeiq"
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, f"{command}\n{done.output}"
    return done.stdout


def test_every_command_of_the_guide_in_its_order(desk: Path, small_bundle: SmallBundle) -> None:
    typed = 0
    for command, shown in steps():
        output = type_in(command, small_bundle).splitlines()
        for line, wanted in zip(output, shown, strict=False):
            pattern = ".*".join(re.escape(part) for part in wanted.split("…"))
            assert re.fullmatch(pattern, line), f"{command}\n{line}\n{wanted}"
        assert len(output) >= len(shown)
        typed += 1
    assert typed > 25
    assert (desk / "trust" / "journal.jsonl").read_text().count('"event": "root"') == 2
    assert StateFolder(desk / "trust").load().channels["test"].sequence == 1


def run(*arguments: str, expect: int = 0) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == expect, done.output
    return done.stderr if expect else done.stdout


def test_two_release_keys_hand_the_metadata_over(desk: Path, small_bundle: SmallBundle) -> None:
    for name in ("a", "b", "r1", "r2"):
        run("key", "generate", "--out", f"{name}.key")
    run("trust", "new-root", "--out", "1.root.json", "--key", "a.key.pub", "--key", "b.key.pub", "--threshold", "2",
        "--release-key", "r1.key.pub", "--release-key", "r2.key.pub", "--release-threshold", "2")  # fmt: skip
    for name in ("a", "b"):
        run("trust", "sign", "1.root.json", "--key", f"{name}.key")
    make_bundle(small_bundle, "r1.key")
    run("trust", "targets", str(TAR), "--root", "1.root.json", "--key", "r1.key")
    attach = ("trust", "attach", str(TAR), "--root", "1.root.json", "--key", "r1.key")
    before = TAR.read_bytes()
    assert "timestamp was signed by 1/2 keys" in run(*attach, expect=1)
    assert TAR.read_bytes() == before
    files = [f"{TAR}.tuf/{name}.json" for name in ("timestamp", "snapshot", "targets")]
    said = run("trust", "sign", *files, "--root", "1.root.json", "--key", "r2.key")
    assert said.count("signed by     2 of 2 that it needs") == 3
    assert "has no say in it" in run(
        "trust", "sign", *files, "--root", "1.root.json", "--key", "a.key", expect=1
    )
    digest = run(*attach).splitlines()[-1]
    assert "trust     root 1: release keys 2 of 2" not in run(
        "bundle", "verify", str(TAR), "--root", expect=1
    )
    said = run("trust", "init", "1.root.json", "--fingerprint", "0" * 64, expect=1)
    assert "do not go on" in said
    prompt = CliRunner().invoke(
        main, ["trust", "init", "1.root.json", "--accept-fingerprint-prompt"], input=f"{'0' * 64}\n"
    )
    assert prompt.exit_code == 1
    sums = subprocess.run(["sha256sum", "1.root.json"], capture_output=True, text=True, check=True).stdout
    prompt = CliRunner().invoke(
        main, ["trust", "init", "1.root.json", "--accept-fingerprint-prompt"], input=sums[:64] + "\n"
    )
    assert prompt.exit_code == 0, prompt.output
    said = run("bundle", "verify", str(TAR), "--root")
    assert "trust     root 1: release keys 2 of 2, root keys 2 of 2" in said
    assert f"accepted  {digest}" in said


def test_options_that_contradict_each_other_are_refused(desk: Path) -> None:
    run("key", "generate", "--out", "a.key")
    assert "goes with --root" in run(
        "bundle", "verify", "x.tar", "--key", "a.key.pub", "--allow-rollback", "y", expect=2
    )
    assert "exclude each other" in run("bundle", "verify", "x.tar", "--key", "a.key.pub", "--root", expect=2)
    assert "wants a reason" in run("bundle", "verify", "x.tar", "--root", "--allow-rollback", " ", expect=2)
    assert "no key to verify with" in run("bundle", "verify", "x.tar", expect=1)
    assert "give --fingerprint HEX" in run("trust", "init", "a.key.pub", expect=2)
