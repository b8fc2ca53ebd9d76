"""`bundle rebuild|diff`, and `--require-builders`, `inspect --root`: exit codes, and what they print."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.images.rebuild_parts import bundle_of, write_inputs_tar
from tests.signing.conftest import SmallBundle
from tests.signing.trust_parts import Producer, Site, carrying

from routeiq_appliance.cli.main import main
from routeiq_signing.keys import PrivateKey
from routeiq_signing.trust.builders import write_builder_signature

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def producer() -> Producer:
    return Producer()


@pytest.fixture
def bundle(producer: Producer, tmp_path: Path) -> SmallBundle:
    made = bundle_of(producer.release_keys[0], {"a": b"1\n"}, inputs=write_inputs_tar(tmp_path / "i.tar"))
    return carrying(made, producer.metadata(made), producer.release_keys[0])


@pytest.fixture
def tar(bundle: SmallBundle, tmp_path: Path) -> Path:
    return bundle.write(tmp_path / "x.tar")


@pytest.fixture
def pub(producer: Producer, tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere.pub"
    path.write_bytes(producer.release_keys[0].public.pem)
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    environment = {"ROUTEIQ_TRUST_STATE": str(tmp_path / "trust")}
    return lambda *arguments: CliRunner().invoke(main, ["bundle", *map(str, arguments)], env=environment)


def test_the_same_bundle_is_identical(run: Run, tar: Path, pub: Path) -> None:
    done = run("diff", tar, tar, "--key", pub, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["identical"] is True
    assert "verified by key" in json.loads(done.stdout)["tars"][str(tar)]


def test_a_difference_is_exit_1_and_unverified_is_said(
    run: Run, tar: Path, pub: Path, tmp_path: Path
) -> None:
    other = bundle_of(PrivateKey.generate(), {"a": b"2\n"}).write(tmp_path / "y.tar")
    done = run("diff", tar, other, "--key", pub)
    assert done.exit_code == 1
    assert "y.tar: NOT VERIFIED (bundle.json: not signed by" in done.stdout
    assert "+2" in done.stdout
    assert "NOT VERIFIED (no key given)" in run("diff", tar, other).stdout


def test_usage_is_exit_2_and_a_bad_file_exit_1(run: Run, tar: Path, tmp_path: Path) -> None:
    assert run("diff", tar).exit_code == 2
    assert run("rebuild", tar).exit_code == 2
    (tmp_path / "bad.tar").write_bytes(b"no tar")
    for arguments in (("diff", tar, tmp_path / "bad.tar"), ("diff", tar, tmp_path / "none.tar")):
        done = run(*arguments)
        assert done.exit_code == 1
        assert "error: " in done.stderr
        assert "Traceback" not in done.output


def test_rebuild_wants_a_key_and_the_bundles_own_inputs(
    run: Run, tar: Path, pub: Path, tmp_path: Path
) -> None:
    assert "no key to verify with" in run("rebuild", tar, "--inputs", tmp_path / "i.tar").stderr
    write_inputs_tar(tmp_path / "other.tar", debs={"a=1": "0" * 64})
    done = run("rebuild", tar, "--inputs", tmp_path / "other.tar", "--key", pub)
    assert done.exit_code == 1
    assert "not that of the bundle's inputs" in done.stderr


def test_builders_can_be_required_on_the_command_line(
    run: Run, tar: Path, bundle: SmallBundle, pub: Path, tmp_path: Path
) -> None:
    builders = [PrivateKey.generate() for _ in range(2)]
    options: list[object] = []
    for number, key in enumerate(builders):
        (tmp_path / f"{number}.pub").write_bytes(key.public.pem)
        options += ["--builder-key", tmp_path / f"{number}.pub"]
    write_builder_signature(tar, bundle.manifest.to_bytes(), builders[0])
    done = run("verify", tar, "--key", pub, *options)
    assert done.exit_code == 1
    assert "signed by 1 of the 2 builders" in done.stderr
    assert run("verify", tar, "--key", pub, *options, "--require-builders", 1).exit_code == 0
    twice = ["--builder-key", tmp_path / "0.pub"] * 2
    assert (
        "cannot be had from 1 different keys"
        in run("verify", tar, "--key", pub, *twice, "--require-builders", 2).stderr
    )
    assert "cannot be had from 0" in run("verify", tar, "--key", pub, "--require-builders", 1).stderr


def test_inspect_by_root_verifies_and_leaves_the_state(
    run: Run, tar: Path, pub: Path, producer: Producer, tmp_path: Path
) -> None:
    assert run("inspect", tar, "--root").exit_code == 1
    site = Site(tmp_path)
    site.init(producer.root(), now=datetime.now(UTC))
    done = run("inspect", tar, "--root", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["verified"] is True
    assert not site.folder.load().channels
    assert run("inspect", tar, "--root", "--key", pub).exit_code == 2
    assert "NOT VERIFIED" in run("inspect", tar).stderr


def test_a_sites_policy_of_builders(
    run: Run, tar: Path, bundle: SmallBundle, producer: Producer, tmp_path: Path
) -> None:
    Site(tmp_path).init(producer.root(), now=datetime.now(UTC))
    builder = PrivateKey.generate()
    (tmp_path / "b.pub").write_bytes(builder.public.pem)
    state = ["--trust-state", str(tmp_path / "trust")]
    policy = ["trust", "policy", "--builder-key", str(tmp_path / "b.pub"), "--builders", "1", *state]
    done = CliRunner().invoke(main, policy)
    assert done.exit_code == 0, done.output
    assert "builder_signatures: 1 of 1 keys" in done.stdout
    assert "signed by 0 of the 1 builders" in run("verify", tar, "--root").stderr
    # The builder verifies by the same root before there is any signature.
    done = run("rebuild", tar, "--inputs", tmp_path / "none.tar", "--root")
    assert "none.tar" in done.stderr
    write_builder_signature(tar, bundle.manifest.to_bytes(), builder)
    assert run("verify", tar, "--root").exit_code == 0
