"""What is no file where a file belongs: one line that names it, exit 1, nothing written, nothing waited for (I5)."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.images.rebuild_parts import bundle_of
from tests.signing.pyz_twin import twin

from routeiq_appliance.cli.main import main
from routeiq_images.compare.rebuild_inputs import unpack_inputs
from routeiq_images.errors import ImagesError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.manifest import InputsEntry
from routeiq_signing.progress import QuietProgress

# KEY is a public key, TAR a bundle, BAD what the test puts there.
COMMANDS = [
    "bundle verify BAD --key KEY",
    "bundle verify BAD --key KEY --builder-key KEY",
    "bundle verify TAR --key BAD",
    "bundle verify TAR --key KEY --builder-key BAD",
    "bundle inspect BAD",
    "bundle diff BAD TAR",
    "bundle diff TAR BAD",
    "bundle delta BAD TAR --out out/x",
    "bundle delta TAR TAR --out BAD",
    "bundle apply TAR BAD --out out/x --key KEY",
    "bundle split BAD --size 1M --out out/parts",
    "bundle join BAD --out out/x",
    "bundle rebuild TAR --inputs BAD --key KEY",
    "bundle cosign BAD --key KEY --verify-key KEY",
    "bundle sign TAR --key BAD --verify-key KEY",
    "key generate --out BAD --passphrase-file SECRET",
    "key rotate BAD --passphrase-file SECRET --new-passphrase-file SECRET",
    "key show BAD",
    "trust init BAD --fingerprint 00",
    "trust update BAD",
    "trust targets BAD --root KEY --key KEY --passphrase-file SECRET",
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROUTEIQ_TRUST_STATE", str(tmp_path / "trust"))
    key = PrivateKey.generate()
    bundle_of(key, {"a": b"1\n"}).write(tmp_path / "x.tar")
    (tmp_path / "x.pub").write_bytes(key.public.pem)
    (tmp_path / "secret").write_text("passphrase")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


def run(command: str, bad: str) -> Result:
    values = {"BAD": bad, "TAR": "x.tar", "KEY": "x.pub", "SECRET": "secret"}
    return CliRunner().invoke(main, [values.get(word, word) for word in command.split()])


@pytest.mark.parametrize(
    ("command", "bad"),
    [
        (command, bad)
        for command in COMMANDS
        for bad in ("", ".", "/", "folder", "fifo", "x.pub/sub", "n" * 300)
    ],
)
def test_what_is_no_file_is_refused_in_one_line(command: str, bad: str, place: Path) -> None:
    before = sorted(place.rglob("*"))
    done = run(command, bad)
    assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.output
    line = done.stderr.splitlines()[-1 if "hint:" not in done.stderr else -3]
    assert line.startswith("error: "), done.stderr
    assert not line.startswith("error: 3:")
    assert [path for path in sorted(place.rglob("*")) if path not in before and path.is_file()] == []


def test_a_device_or_a_pipe_is_not_replaced(place: Path) -> None:
    """`--out /dev/null`, typed by root."""
    for command in ("bundle delta TAR TAR --out BAD", "key generate --out BAD --passphrase-file SECRET"):
        done = run(command, "fifo")
        assert (done.exit_code, type(done.exception)) == (1, SystemExit), done.output
        assert (place / "fifo").is_fifo()


@pytest.mark.parametrize("bad", ["n" * 300, "folder"])
def test_a_refusal_by_the_system_is_json_too(bad: str, place: Path) -> None:
    done = CliRunner().invoke(main, ["bundle", "verify", bad, "--key", "x.pub", "--json"])
    assert done.exit_code == 1
    refusal = json.loads(done.stdout)
    assert (refusal["accepted"], refusal["subject"]) == (False, bad)


def test_the_verifier_waits_for_no_pipe_and_blames_the_file_at_fault(place: Path) -> None:
    from tests.signing.conftest import NOW

    told = twin().run(str(place / "fifo"), "--key", str(place / "x.pub"), now=NOW)
    assert (told["code"], told["err"]) == (1, f"error: {place / 'fifo'}: not a regular file\n")
    told = twin().run(str(place / "x.tar"), "--key", str(place / "folder"), now=NOW)
    assert (told["code"], told["err"]) == (1, f"error: {place / 'folder'}: not a regular file\n")


@pytest.mark.parametrize("count", ["0", "-1", "1e400", "x", "9" * 5000, "²"])
def test_a_count_that_is_none_is_wrong_usage_in_words(count: str, place: Path) -> None:
    from tests.signing.conftest import NOW

    told = twin().run("x.tar", "--key", "x.pub", f"--require={count}", now=NOW)
    assert told["code"] == 2
    assert "is no whole number from 1 on" in told["err"]


@pytest.mark.parametrize("verb", ["verify", "inspect", "scan", "rebuild", "apply", "join"])
def test_a_rollback_is_allowed_to_who_judges_by_a_root_only(verb: str, place: Path) -> None:
    """An option that does nothing is a belief that is wrong."""
    more = {"rebuild": "--inputs TAR", "apply": "TAR --out out/x", "join": "--out out/x", "scan": "--osv TAR"}
    done = run(f"bundle {verb} TAR {more.get(verb, '')} --key KEY --allow-rollback reason", "")
    assert (done.exit_code, type(done.exception)) == (2, SystemExit), done.output
    assert "--allow-rollback goes with --root" in done.stderr


def test_inputs_that_are_a_pipe_are_refused(place: Path) -> None:
    with pytest.raises(ImagesError, match="not a regular file"):
        unpack_inputs(place / "fifo", InputsEntry("i.tar", "0" * 64, 1), place / "pool", QuietProgress())


def test_without_a_terminal_a_passphrase_is_not_asked_for_in_the_open(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from getpass import GetPassWarning
    from warnings import warn

    def unseen(*_args: object, **_more: object) -> str:
        warn("Can not control echo on the terminal.", GetPassWarning, stacklevel=2)
        return "typed in the open"

    monkeypatch.setattr("click.prompt", unseen)
    done = run("key generate --out BAD", "new.key")
    assert done.exit_code == 1
    assert "error: no terminal to ask for the passphrase on" in done.stderr
    assert "--passphrase-file" in done.stderr
    assert not (place / "new.key").exists()
