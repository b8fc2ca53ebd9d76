"""Several signatures in one bundle: any trusted one suffices, more can be asked for, nothing else fits in (A7, A8)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.signing.conftest import NOW, SmallBundle
from tests.signing.pyz_twin import by_both, twin

from routeiq_appliance.cli.main import main
from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.bundle_signers import add_signature
from routeiq_signing.bundle_tar import sign_head, write_bundle_tar
from routeiq_signing.errors import SigningError, VerificationError
from routeiq_signing.keys import PrivateKey
from routeiq_signing.progress import QuietProgress
from routeiq_signing.sigstore_bundle import message_bundle
from routeiq_signing.verify.bundle import Verified
from routeiq_signing.verify.order import signature_name
from routeiq_signing.verify.report import Report
from routeiq_signing.verify.trust import SeveralKeys


@dataclass(frozen=True)
class Signed:
    """A bundle that `keys` signed, the first of them first."""

    tar: Path
    keys: tuple[PrivateKey, ...]

    def report(self, *keys: PrivateKey, required: int = 1) -> Report:
        trust = SeveralKeys([pinned(key.public) for key in keys], required)
        options = [*twin().keys(*(key.public for key in keys)), "--require", str(required)]

        def judge() -> Verified:
            return verify_bundle_file(self.tar, key=trust, progress=QuietProgress(), now=NOW)

        return by_both(self.tar, judge, *options, now=NOW).report


@pytest.fixture
def signed(small_bundle: SmallBundle, bundle_tar: Path, key: PrivateKey) -> Signed:
    second = PrivateKey.generate()
    add_signature(bundle_tar, second, trust=key.public, now=NOW, progress=QuietProgress())
    return Signed(bundle_tar, (key, second))


@pytest.mark.parametrize("which", [0, 1])
def test_any_signer_alone_suffices_and_the_other_is_told(which: int, signed: Signed, tmp_path: Path) -> None:
    report = signed.report(signed.keys[which])
    other = signed.keys[1 - which].public.keyid
    assert report.signers == [signed.keys[which].public.keyid]
    assert f"signed by {other} too, which is not trusted here" in report.notes
    pem = tmp_path / "pinned.pem"
    pem.write_bytes(signed.keys[which].public.pem)
    assert twin().verdict(signed.tar, "--key", str(pem), now=NOW).digest == report.digest


def test_a_second_signature_changes_no_digest(
    signed: Signed, small_bundle: SmallBundle, tmp_path: Path
) -> None:
    alone = small_bundle.write(tmp_path / "alone.tar")
    before = verify_bundle_file(alone, key=signed.keys[0].public, progress=QuietProgress(), now=NOW).report
    assert before.digest == signed.report(*signed.keys).digest


def test_two_of_two_are_asked_for_and_there(signed: Signed) -> None:
    report = signed.report(*signed.keys, required=2)
    assert sorted(report.signers) == sorted(key.public.keyid for key in signed.keys)
    assert report.trust == "2 of 2 pinned keys"
    assert "no threshold" not in report.lacks


def test_one_of_the_two_that_are_asked_for_is_refused(signed: Signed) -> None:
    with pytest.raises(VerificationError, match="signed by 1 of the 2 keys that are required") as error:
        signed.report(signed.keys[0], PrivateKey.generate(), required=2)
    assert error.value.step == 2


def test_more_than_there_are_keys_cannot_be_asked_for(key: PrivateKey) -> None:
    with pytest.raises(SigningError, match="2 signatures cannot be had from 1 different keys"):
        SeveralKeys([pinned(key.public), pinned(key.public)], 2)


def test_a_bundle_that_only_strangers_signed_is_refused(signed: Signed) -> None:
    with pytest.raises(VerificationError, match="not signed by"):
        signed.report(PrivateKey.generate())


def test_signing_twice_with_one_key_is_refused(signed: Signed) -> None:
    with pytest.raises(SigningError, match="has signed it already"):
        add_signature(
            signed.tar, signed.keys[1], trust=signed.keys[0].public, now=NOW, progress=QuietProgress()
        )


def test_a_bundle_that_is_not_trusted_is_not_signed(signed: Signed) -> None:
    before = signed.tar.read_bytes()
    third = PrivateKey.generate()
    with pytest.raises(VerificationError):
        add_signature(signed.tar, third, trust=third.public, now=NOW, progress=QuietProgress())
    assert signed.tar.read_bytes() == before
    assert [path.name for path in signed.tar.parent.iterdir()] == [signed.tar.name]


Spoil = Callable[[dict[str, bytes], PrivateKey], None]


def flipped(members: dict[str, bytes], stranger: PrivateKey) -> None:
    """A stranger's signature with one bit changed: nobody here knows the key, and yet it is no signature of it."""
    name = signature_name("bundle.json", stranger.public.keyid)
    document = json.loads(members[name])
    text = document["messageSignature"]["signature"]
    document["messageSignature"]["signature"] = text[:40] + ("A" if text[40] != "A" else "B") + text[41:]
    members[name] = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def of_something_else(members: dict[str, bytes], stranger: PrivateKey) -> None:
    keyid, identity = stranger.public.keyid, members["bundle.json"]
    members[signature_name("bundle.json", keyid)] = message_bundle(keyid, identity, stranger.sign(b"else"))


def under_another_name(members: dict[str, bytes], stranger: PrivateKey) -> None:
    """A right signature that claims to be another key's."""
    identity = members["bundle.json"]
    members[signature_name("bundle.json", "f" * 64)] = message_bundle(
        "f" * 64, identity, stranger.sign(identity)
    )


def any_bytes(members: dict[str, bytes], stranger: PrivateKey) -> None:
    members[signature_name("bundle.json", "e" * 64)] = b"a message to somebody"


def too_many(members: dict[str, bytes], stranger: PrivateKey) -> None:
    for _ in range(16):
        key, identity = PrivateKey.generate(), members["bundle.json"]
        raw = message_bundle(key.public.keyid, identity, key.sign(identity))
        members[signature_name("bundle.json", key.public.keyid)] = raw


def sums_by_nobody(members: dict[str, bytes], stranger: PrivateKey) -> None:
    members[f"SHA256SUMS.{stranger.public.keyid}.sig"] = stranger.sign(b"other sums")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (flipped, "is no signature by this key|not strict JSON|over these bytes"),
        (of_something_else, "is no signature by this key"),
        (under_another_name, "is no signature by this key"),
        (any_bytes, "not strict JSON"),
        (too_many, "too many signatures"),
        (sums_by_nobody, "not a signature of SHA256SUMS"),
    ],
)
def test_what_is_no_signature_has_no_place_among_them(
    spoil: Spoil, message: str, small_bundle: SmallBundle, key: PrivateKey, tmp_path: Path
) -> None:
    stranger = PrivateKey.generate()
    head = sign_head(small_bundle.manifest, small_bundle.attachments, key, stranger)
    members = dict(head.members)
    spoil(members, stranger)
    tar = tmp_path / "spoilt.tar"
    write_bundle_tar(tar, type(head)(members, head.digest), small_bundle.files, QuietProgress())
    with pytest.raises(VerificationError, match=message) as error:
        Signed(tar, (key,)).report(key)
    pem = tmp_path / "pinned.pem"
    pem.write_bytes(key.public.pem)
    told = twin().verdict(tar, "--key", str(pem), now=NOW)
    assert (told.digest, told.step) == (None, error.value.step)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["bundle", *map(str, arguments)])


def test_the_commands_add_a_signer_and_ask_for_two(
    bundle_tar: Path, public_key_file: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    made = CliRunner().invoke(
        main, ["key", "generate", "--out", str(tmp_path / "second"), "--passphrase-file", str(secret)]
    )
    assert made.exit_code == 0, made.output
    second = tmp_path / "second.pub"
    keys = ("--key", public_key_file, "--key", second, "--require", 2)
    assert command("verify", bundle_tar, *keys).exit_code == 1
    done = command(
        "sign",
        bundle_tar,
        "--verify-key",
        public_key_file,
        "--key",
        tmp_path / "second",
        "--passphrase-file",
        secret,
    )
    assert done.exit_code == 0, done.output
    assert command("verify", bundle_tar, *keys).exit_code == 0
    assert command("verify", bundle_tar, "--key", second).exit_code == 0
