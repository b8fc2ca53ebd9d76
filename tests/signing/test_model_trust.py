"""A4, A7, A8: a model is loaded when it is signed, complete and of allowed formats."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from routeiq_appliance.cli.main import main
from routeiq_signing.errors import FormatError, SigningError, VerificationError
from routeiq_signing.keys import PrivateKey, generate_key_files
from routeiq_signing.manifest import FileEntry, ModelEntry
from routeiq_signing.model_files import digests, read_model_folder
from routeiq_signing.model_trust import sign_model_folder, verify_model_folder
from routeiq_signing.oms import sign_model
from routeiq_signing.sigstore_bundle import message_bundle


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "models" / "routers" / "m"
    (made / "sub").mkdir(parents=True)
    (made / "router.json").write_text('{"a": 1}')
    (made / "sub" / "README.md").write_text("card\n")
    return made


def test_a_signed_folder_is_accepted_and_its_bytes_are_handed_out(folder: Path, key: PrivateKey) -> None:
    sign_model_folder(folder, key)
    model = verify_model_folder(folder, key=key.public)
    assert dict(model.files) == {"router.json": b'{"a": 1}', "sub/README.md": b"card\n"}
    assert (model.name, model.formats["router.json"]) == ("m", "json")


def change(folder: Path) -> None:
    (folder / "router.json").write_text('{"a": 2}')


def add(folder: Path) -> None:
    (folder / "extra.json").write_text("{}")


def drop(folder: Path) -> None:
    (folder / "router.json").unlink()


def link(folder: Path) -> None:
    (folder / "router.json").unlink()
    (folder / "router.json").symlink_to("/etc/hostname")


def linked_folder(folder: Path) -> None:
    (folder / "more").symlink_to("/etc")


def git(folder: Path) -> None:
    (folder / ".gitattributes").write_text("x")


def break_signature(folder: Path) -> None:
    (folder / "model.sig").write_text("{}")


def unsign(folder: Path) -> None:
    (folder / "model.sig").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (change, "router.json: its digest is"),
        (add, "extra.json: not in the signed list"),
        (drop, "router.json: signed, but missing"),
        (link, "symbolic link"),
        (linked_folder, "symbolic link"),
        (git, ".gitattributes: not in the signed list"),
        (break_signature, "no sigstore bundle"),
        (unsign, "not signed"),
    ],
)
def test_a_changed_folder_is_refused(
    folder: Path, key: PrivateKey, spoil: Callable[[Path], None], message: str
) -> None:
    sign_model_folder(folder, key)
    spoil(folder)
    with pytest.raises(VerificationError, match=message):
        verify_model_folder(folder, key=key.public)


def test_another_key_is_refused(folder: Path, key: PrivateKey) -> None:
    sign_model_folder(folder, key)
    with pytest.raises(VerificationError, match="not signed by the pinned key"):
        verify_model_folder(folder, key=PrivateKey.generate().public)


def test_a_signed_pickle_is_still_refused(folder: Path, key: PrivateKey) -> None:
    (folder / "weights.safetensors").write_bytes(pickle.dumps({"a": 1}))
    (folder / "model.sig").write_bytes(sign_model("m", digests(read_model_folder(folder)), key))
    with pytest.raises(FormatError, match="weights.safetensors: a Python pickle"):
        verify_model_folder(folder, key=key.public)


def test_a_pickle_is_not_signed(folder: Path, key: PrivateKey) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(FormatError, match="pickle"):
        sign_model_folder(folder, key)
    assert not (folder / "model.sig").exists()


def test_a_folder_is_believed_when_the_signed_bundle_lists_it(
    folder, key, small_bundle, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    found = digests(read_model_folder(folder))
    files = tuple(FileEntry(path, found[path], (folder / path).stat().st_size) for path in sorted(found))
    manifest = replace(
        small_bundle.manifest, models=(ModelEntry("m", "router", f"sha256:{'1' * 64}", "routers/m", files),)
    )
    raw = manifest.to_bytes()
    mounted = tmp_path / "trust" / "bundle.json"
    mounted.parent.mkdir()
    mounted.write_bytes(raw)
    arguments = {"key": key.public, "bundle_json": mounted, "models_root": tmp_path / "models"}
    with pytest.raises(VerificationError, match="missing, so nothing says"):
        verify_model_folder(folder, **arguments)
    keyid = key.public.keyid
    signature = mounted.with_name(f"bundle.json.{keyid}.sigstore.json")
    signature.write_bytes(message_bundle(keyid, raw, key.sign(raw)))
    assert verify_model_folder(folder, **arguments).name == "m"
    mounted.write_bytes(raw + b"\n")
    with pytest.raises(VerificationError, match="not the signature"):
        verify_model_folder(folder, **arguments)
    mounted.write_bytes(raw)
    change(folder)
    with pytest.raises(VerificationError, match="router.json: not as bundle.json lists it"):
        verify_model_folder(folder, **arguments)
    (folder.parent / "other").mkdir()
    (folder.parent / "other" / "a.json").write_text("{}")
    with pytest.raises(VerificationError, match="lists no model at routers/other"):
        verify_model_folder(folder.parent / "other", **arguments)


def test_what_we_sign_the_reference_library_verifies(folder: Path, tmp_path: Path) -> None:
    import model_signing

    key = generate_key_files(tmp_path / "k", b"secret")
    sign_model_folder(folder, key)
    config = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=tmp_path / "k.pub")
    config.verify(folder, folder / "model.sig")
    change(folder)
    with pytest.raises(ValueError, match="mismatch"):
        config.verify(folder, folder / "model.sig")


def test_what_the_reference_library_signs_we_verify(folder: Path, tmp_path: Path) -> None:
    import model_signing

    key = generate_key_files(tmp_path / "k", b"secret")
    model_signing.signing.Config().use_elliptic_key_signer(
        private_key=tmp_path / "k", password=b"secret"
    ).sign(folder, folder / "model.sig")
    assert verify_model_folder(folder, key=key.public).name == "m"
    change(folder)
    with pytest.raises(VerificationError, match="router.json: its digest"):
        verify_model_folder(folder, key=key.public)


@pytest.mark.parametrize("spoil", [change, add, drop, link, break_signature, unsign])
def test_the_command_refuses_with_one_error_and_exit_1(
    folder: Path, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    (tmp_path / "pass").write_text("secret\n")
    run = CliRunner().invoke
    assert (
        run(
            main, ["key", "generate", "--out", f"{tmp_path}/k", "--passphrase-file", f"{tmp_path}/pass"]
        ).exit_code
        == 0
    )
    signed = run(
        main,
        ["model", "sign", str(folder), "--key", f"{tmp_path}/k", "--passphrase-file", f"{tmp_path}/pass"],
    )
    assert signed.exit_code == 0, signed.output
    good = run(main, ["model", "verify", str(folder), "--key", f"{tmp_path}/k.pub", "--json"])
    assert (good.exit_code, '"accepted": true' in good.stdout) == (0, True)
    spoil(folder)
    bad = run(main, ["model", "verify", str(folder), "--key", f"{tmp_path}/k.pub"])
    assert (bad.exit_code, bad.stdout) == (1, "")
    assert bad.stderr.startswith("error: ")


def test_the_passphrase_is_never_an_argument(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["key", "generate", "--out", f"{tmp_path}/k", "--passphrase", "x"])
    assert result.exit_code == 2


def test_a_folder_that_is_none_is_refused(tmp_path: Path, key: PrivateKey) -> None:
    with pytest.raises(SigningError, match="no folder of a model"):
        verify_model_folder(tmp_path / "none", key=key.public)
