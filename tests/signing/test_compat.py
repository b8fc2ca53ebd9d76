"""A8: what was released verifies for ever, by the command and by `verify.pyz`; see compat/README.md."""

from __future__ import annotations

import gzip
import json
import shutil
import tomllib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.signing.pyz_twin import Verdict, twin

from routeiq_appliance.cli.main import main
from routeiq_router.artifact import parse_artifact
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import load_public_key
from routeiq_signing.model_trust import verify_model_folder
from routeiq_signing.progress import QuietProgress
from routeiq_signing.trust.chain import follow_roots
from routeiq_signing.trust.site import SiteTrust
from routeiq_signing.trust.state import StateFolder

CORPUS = Path(__file__).parent / "compat"
VERSIONS = sorted(path.name for path in CORPUS.glob("v*") if path.is_dir())
BUNDLES = ("key-signed", "root-signed", "two-keys")
MODELS = ("model", "router")


@dataclass(frozen=True)
class Entry:
    """A release's entry, with its tars unpacked beside a copy of everything else."""

    path: Path
    digest: str
    now: datetime

    def tar(self, name: str) -> Path:
        return self.path / f"{name}.tar"


@pytest.fixture(params=VERSIONS)
def entry(request: pytest.FixtureRequest, tmp_path: Path) -> Entry:
    folder = tmp_path / request.param
    shutil.copytree(CORPUS / request.param, folder)
    for packed in folder.glob("*.tar.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
    said = json.loads((folder / "expected.json").read_text())
    assert (tuple(said["bundles"]), tuple(said["models"])) == (BUNDLES, MODELS)
    return Entry(folder, said["digest"], datetime.fromisoformat(said["clock"]))


def by_key(entry: Entry, tar: Path, key: str) -> Verdict:
    path = entry.path / f"{key}.pem"
    told = twin().verdict(tar, "--key", str(path), now=entry.now)
    try:
        report = verify_bundle_file(
            tar, key=load_public_key(path), progress=QuietProgress(), now=entry.now
        ).report
    except VerificationError as error:
        found = Verdict.refused(error)
    else:
        found = Verdict.accepted(report.digest)
    assert told == found
    return found


def by_root(entry: Entry, tar: Path, *following: str) -> Verdict:
    roots = [entry.path / name for name in following]
    told = twin().verdict(tar, "--root", str(entry.path / "trust"), *map(str, roots), now=entry.now)
    state = StateFolder(entry.path / "trust").load()
    if roots:
        chain = {str(path): path.read_bytes() for path in roots}
        state = replace(state, root=follow_roots(state.root.encode(), chain).decode())
    try:
        trust = SiteTrust.of(state, tar, entry.now)
        report = verify_bundle_file(tar, key=trust, progress=QuietProgress(), now=entry.now).report
    except VerificationError as error:
        found = Verdict.refused(error)
    else:
        found = Verdict.accepted(report.digest)
    assert told == found
    return found


def test_the_release_of_this_tree_has_an_entry() -> None:
    release = tomllib.loads((CORPUS.parents[2] / "images" / "release.toml").read_text())
    assert f"v{release['version']}" in VERSIONS, "python -m tests.signing.compat.make, see its README"


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_verifies_by_its_key_and_by_no_other(name: str, entry: Entry) -> None:
    tar = entry.tar(name)
    assert by_key(entry, tar, "producer") == Verdict.accepted(entry.digest)
    assert by_key(entry, tar, "stranger") == Verdict(None, "bundle.json", 2)
    second = Verdict.accepted(entry.digest) if name == "two-keys" else Verdict(None, "bundle.json", 2)
    assert by_key(entry, tar, "second") == second


@pytest.mark.parametrize("name", BUNDLES)
def test_the_command_verifies_a_bundle(name: str, entry: Entry) -> None:
    command = ["bundle", "verify", str(entry.tar(name)), "--key", str(entry.path / "producer.pem"), "--json"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["digest"] == entry.digest


def test_a_bundle_verifies_by_a_sites_state_and_the_roots_after_it(entry: Entry) -> None:
    tar = entry.tar("root-signed")
    assert by_root(entry, tar) == Verdict.accepted(entry.digest)
    assert by_root(entry, tar, "2.root.json") == Verdict.accepted(entry.digest)
    assert by_root(entry, tar, "revoked.root.json") == Verdict(None, "bundle.json", 2)
    assert by_root(entry, entry.tar("key-signed")).digest is None


def test_the_command_verifies_by_the_sites_state(entry: Entry) -> None:
    command = ["bundle", "verify", str(entry.tar("root-signed")), "--root", "--no-record", "--json"]
    result = CliRunner().invoke(main, [*command, "--trust-state", str(entry.path / "trust")])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["digest"] == entry.digest


@pytest.mark.parametrize("kind", ["cosign", "builder"])
def test_a_signature_that_the_policy_wants_is_missed(kind: str, entry: Entry) -> None:
    (path,) = entry.path.glob(f"root-signed.tar.*.{kind}.json")
    path.unlink()
    assert by_root(entry, entry.tar("root-signed")) == Verdict(None, "bundle.json", 2)


def test_a_rollback_is_refused(entry: Entry) -> None:
    for kind in ("cosign", "builder"):  # lest it is refused for want of them
        (path,) = entry.path.glob(f"root-signed.tar.*.{kind}.json")
        path.rename(entry.path / path.name.replace("root-signed", "older"))
    assert by_key(entry, entry.tar("older"), "producer").digest is not None
    assert by_root(entry, entry.tar("older")).digest is None
    state = StateFolder(entry.path / "trust").load()
    lenient = replace(state, policy=replace(state.policy, site_signatures=0, builder_signatures=0))
    with pytest.raises(VerificationError, match="is older than") as caught:
        SiteTrust.of(lenient, entry.tar("key-signed"), entry.now).begin(*older_manifest(entry))
    assert caught.value.step == 4


def older_manifest(entry: Entry):  # type: ignore[no-untyped-def]
    verified = verify_bundle_file(
        entry.tar("older"),
        key=load_public_key(entry.path / "producer.pem"),
        progress=QuietProgress(),
        now=entry.now,
    )
    return verified.manifest, verified.identity


@pytest.mark.parametrize("name", BUNDLES)
def test_a_flipped_byte_is_refused(name: str, entry: Entry) -> None:
    tar = entry.tar(name)
    raw = bytearray(tar.read_bytes())
    raw[len(raw) * 2 // 3] ^= 1
    tar.write_bytes(bytes(raw))
    assert by_key(entry, tar, "producer").digest is None


@pytest.mark.parametrize("name", MODELS)
def test_a_model_verifies_by_its_key_and_by_no_other(name: str, entry: Entry) -> None:
    folder = entry.path / name
    verified = verify_model_folder(folder, key=load_public_key(entry.path / "producer.pem"))
    assert verified.name == name
    with pytest.raises(VerificationError, match="not signed by"):
        verify_model_folder(folder, key=load_public_key(entry.path / "stranger.pem"))
    if name == "router":
        assert parse_artifact(verified.files).models == ("large", "small")
    command = ["model", "verify", str(folder), "--key", str(entry.path / "producer.pem")]
    assert CliRunner().invoke(main, command).exit_code == 0


def test_no_private_key_is_kept() -> None:
    for path in CORPUS.rglob("*"):
        if path.is_file() and path.suffix not in {".py", ".pyc", ".md"}:
            assert b"PRIVATE KEY" not in path.read_bytes()
