"""A key is replaced: nothing is overwritten, a cut-off run loses nothing, what it signed is signed again (I8)."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.images.signed import with_signatures
from tests.signing.conftest import SmallBundle
from tests.signing.with_provenance import attached, envelope, payload

from routeiq_appliance.cli.main import main
from routeiq_images.signatures import check_signatures
from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.errors import KeyFileError, VerificationError
from routeiq_signing.keyring.rotate import rotate_key_files
from routeiq_signing.keys import PrivateKey, generate_key_files, load_private_key, load_public_key
from routeiq_signing.manifest import blob_path
from routeiq_signing.model_trust import sign_model_folder, verify_model_folder
from routeiq_signing.progress import QuietProgress


@pytest.fixture
def old(tmp_path: Path) -> PrivateKey:
    (tmp_path / "one").write_bytes(b"first")
    (tmp_path / "two").write_bytes(b"second")
    return generate_key_files(tmp_path / "k", b"first")


def test_the_old_pair_stays_under_its_keyid(old: PrivateKey, tmp_path: Path) -> None:
    rotated = rotate_key_files(tmp_path / "k", b"first", b"second")
    assert rotated.kept == tmp_path / f"k.{old.public.keyid}"
    assert load_private_key(rotated.kept, lambda: b"first").public.keyid == old.public.keyid
    assert load_public_key(tmp_path / f"k.{old.public.keyid}.pub").keyid == old.public.keyid
    assert load_private_key(tmp_path / "k", lambda: b"second").public.keyid == rotated.new.public.keyid
    assert load_public_key(tmp_path / "k.pub").keyid == rotated.new.public.keyid != old.public.keyid
    for path in (tmp_path / "k", rotated.kept):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_wrong_passphrase_changes_nothing(old: PrivateKey, tmp_path: Path) -> None:
    before = sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir())
    with pytest.raises(KeyFileError, match="cannot be opened"):
        rotate_key_files(tmp_path / "k", b"wrong", b"second")
    with pytest.raises(KeyFileError, match="passphrase is empty"):
        rotate_key_files(tmp_path / "k", b"first", b"")
    assert sorted((path.name, path.read_bytes()) for path in tmp_path.iterdir()) == before


def test_another_file_under_the_old_keys_later_name_is_not_overwritten(
    old: PrivateKey, tmp_path: Path
) -> None:
    (tmp_path / f"k.{old.public.keyid}").write_bytes(b"precious")
    with pytest.raises(KeyFileError, match="exists already, and is another file"):
        rotate_key_files(tmp_path / "k", b"first", b"second")
    assert (tmp_path / f"k.{old.public.keyid}").read_bytes() == b"precious"
    assert load_private_key(tmp_path / "k", lambda: b"first").public.keyid == old.public.keyid


def test_a_run_that_was_cut_off_after_the_second_name_goes_on(old: PrivateKey, tmp_path: Path) -> None:
    (tmp_path / f"k.{old.public.keyid}").hardlink_to(tmp_path / "k")
    assert rotate_key_files(tmp_path / "k", b"first", b"second").old.public.keyid == old.public.keyid


def test_a_cosign_key_is_followed_by_a_cosign_key(tmp_path: Path) -> None:
    generate_key_files(tmp_path / "c", b"first", "cosign")
    rotate_key_files(tmp_path / "c", b"first", b"second")
    assert b"ENCRYPTED SIGSTORE PRIVATE KEY" in (tmp_path / "c").read_bytes()


def rotate(tmp_path: Path, *more: object) -> Result:
    secrets = ["--passphrase-file", tmp_path / "one", "--new-passphrase-file", tmp_path / "two"]
    return CliRunner().invoke(main, ["key", "rotate", *map(str, [tmp_path / "k", *secrets, *more])])


@pytest.fixture
def carried(old: PrivateKey, small_bundle: SmallBundle, tmp_path: Path) -> Path:
    signed = with_signatures(small_bundle, old)
    return attached(signed, envelope(payload(signed), old)).write(tmp_path / "carried" / "bundle.tar")


def verified_images(tar: Path, key: Any, tmp_path: Path) -> dict[str, int]:
    copy = tmp_path / f"copy-{key.keyid[:8]}"
    copy.mkdir()
    verified = verify_bundle_file(tar, key=key, progress=QuietProgress(), copy_to=copy)
    assert [item.kind for item in verified.attachments.attachments].count("provenance") == 1
    keys = {key.keyid: pinned(key)}
    return check_signatures(
        verified.manifest, verified.attachments, keys, lambda digest: (copy / blob_path(digest)).read_bytes()
    )


def test_a_bundle_carries_both_until_the_old_key_is_dropped(
    old: PrivateKey, carried: Path, tmp_path: Path
) -> None:
    done = rotate(tmp_path, "--resign", carried, "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    new = load_public_key(tmp_path / "k.pub")
    assert (said["keyid"], said["old_keyid"]) == (new.keyid, old.public.keyid)
    assert any("second channel" in step for step in said["next"])
    for key in (old.public, new):
        assert verified_images(carried, key, tmp_path) == {
            "image-signature": 2,
            "image-signature-tag": 1,
            "model-signature": 2,
        }
    only = CliRunner().invoke(
        main,
        ["bundle", "sign", str(carried), "--only", "--key", str(tmp_path / "k"),
         "--verify-key", str(tmp_path / "k.pub"), "--passphrase-file", str(tmp_path / "two")],
    )  # fmt: skip
    assert only.exit_code == 0, only.output
    with pytest.raises(VerificationError):
        verify_bundle_file(carried, key=old.public, progress=QuietProgress())
    verify_bundle_file(carried, key=new, progress=QuietProgress())


def test_dropping_the_old_key_at_once(old: PrivateKey, carried: Path, tmp_path: Path) -> None:
    assert rotate(tmp_path, "--resign", carried, "--drop-old").exit_code == 0
    with pytest.raises(VerificationError):
        verify_bundle_file(carried, key=old.public, progress=QuietProgress())
    new = load_public_key(tmp_path / "k.pub")
    assert verified_images(carried, new, tmp_path)["image-signature"] == 1
    provenance = verify_bundle_file(carried, key=new, progress=QuietProgress()).provenance
    assert provenance is not None
    assert provenance.keyid == new.keyid


def test_a_model_is_signed_again_and_the_old_signature_lies_beside_it(
    old: PrivateKey, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    sign_model_folder(folder, old)
    done = rotate(tmp_path, "--resign", folder)
    assert done.exit_code == 0, done.output
    verify_model_folder(folder, key=load_public_key(tmp_path / "k.pub"))
    kept = tmp_path / f"model.{old.public.keyid}.sig"
    with pytest.raises(VerificationError):
        verify_model_folder(folder, key=old.public)
    assert kept.is_file()


def test_what_the_old_key_did_not_sign_is_not_signed_again(
    old: PrivateKey, small_bundle: SmallBundle, tmp_path: Path
) -> None:
    """The key is new by then, and the message says so and what to type."""
    foreign = with_signatures(small_bundle, PrivateKey.generate()).write(tmp_path / "foreign.tar")
    before = foreign.read_bytes()
    done = rotate(tmp_path, "--resign", foreign)
    assert done.exit_code == 1
    assert "not signed by the pinned key" in done.stderr
    assert "the new key is in place" in done.stderr
    assert foreign.read_bytes() == before


def test_a_path_that_is_not_there_is_refused_before_the_key_is_touched(
    old: PrivateKey, tmp_path: Path
) -> None:
    done = rotate(tmp_path, "--resign", tmp_path / "absent.tar")
    assert done.exit_code == 1
    assert load_public_key(tmp_path / "k.pub").keyid == old.public.keyid


def test_a_key_in_a_token_is_not_rotated_from_here(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["key", "rotate", "pkcs11:token=t;object=k"])
    assert done.exit_code == 1
    assert "a key in a token is not replaced from here" in done.stderr
