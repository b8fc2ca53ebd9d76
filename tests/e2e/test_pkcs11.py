"""A key in a PKCS#11 token signs what a key in a file signs (I8): SoftHSM stands for a hardware token."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.signing.conftest import SmallBundle, small_bundle

from routeiq_appliance.cli.sealed.debian import install_packages
from routeiq_signing.keys import PrivateKey

__all__ = ["small_bundle"]

pytestmark = pytest.mark.e2e
PIN = "planted-pin-4711"
MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
# SoftHSM makes keys only through its library: a process of its own, so that no token is open in pytest's.
_MAKE = """
import sys, pkcs11
from pkcs11.util.ec import encode_named_curve_parameters
module, pin, *keys = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label="release").open(rw=True, user_pin=pin) as session:
    for given in keys:
        label, identifier, curve = given.split(":")
        parameters = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
        domain = session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True)
        domain.generate_keypair(store=True, label=label, id=bytes.fromhex(identifier))
"""


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return PrivateKey.generate()


@dataclass(frozen=True)
class Token:
    """A token with its own configuration; `pin` is a file."""

    folder: Path
    pin: Path

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "SOFTHSM2_CONF": str(self.folder / "softhsm2.conf"),
            "ROUTEIQ_PKCS11_MODULE": str(MODULE),
        }

    def routeiq(self, *arguments: object, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "routeiq_appliance.cli", *map(str, arguments)]
        done = subprocess.run(
            command, env={**self.environ, **environ}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert PIN not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def uri(self, key: str = "signing") -> str:
        return f"pkcs11:token=release;object={key}?pin-source=file:{self.pin}"


@pytest.fixture(scope="module")
def token(_host: None, scratch: Path) -> Token:
    install_packages(("softhsm2",), "a token for the end-to-end tests", say=lambda line: None)
    folder = scratch / "token"
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n",
        encoding="ascii",
    )
    (folder / "pin").write_text(f"{PIN}\n", encoding="ascii")
    made = Token(folder, folder / "pin")
    start = [
        "softhsm2-util",
        "--init-token",
        "--free",
        "--label",
        "release",
        "--pin",
        PIN,
        "--so-pin",
        "12345678",
    ]
    subprocess.run(start, env=made.environ, check=True, capture_output=True)
    keys = ["signing:01:secp256r1", "twin:02:secp256r1", "twin:03:secp256r1", "other:04:secp384r1"]
    command = [sys.executable, "-c", _MAKE, str(MODULE), PIN, *keys]
    subprocess.run(command, env=made.environ, check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def public(token: Token) -> Path:
    """The public key as `key show` prints it; no PIN is needed for that."""
    done = token.routeiq("key", "show", "pkcs11:token=release;object=signing", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["form"] == "pkcs11"
    path = token.folder / "signing.pub"
    path.write_text(shown["public"], encoding="ascii")
    return path


def test_a_model_signed_in_the_token_verifies(token: Token, public: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_bytes(b"{}")
    assert token.routeiq("model", "sign", folder, "--key", token.uri()).returncode == 0
    done = token.routeiq("model", "verify", folder, "--key", public)
    assert done.returncode == 0, done.stderr


def test_a_bundle_gets_a_signature_from_the_token(
    token: Token, public: Path, bundle_file: Path, producer: Path
) -> None:
    signed = token.routeiq("bundle", "sign", bundle_file, "--verify-key", producer, "--key", token.uri())
    assert signed.returncode == 0, signed.stderr
    verified = token.routeiq(
        "bundle", "verify", bundle_file, "--key", public, "--key", producer, "--require", 2
    )
    assert verified.returncode == 0, verified.stderr
    co = token.routeiq("bundle", "cosign", bundle_file, "--verify-key", producer, "--key", token.uri())
    assert co.returncode == 0, co.stderr


@pytest.fixture
def bundle_file(small_bundle: SmallBundle, tmp_path: Path) -> Path:
    return small_bundle.write(tmp_path / "bundle.tar")


@pytest.fixture
def producer(key: PrivateKey, tmp_path: Path) -> Path:
    path = tmp_path / "producer.pub"
    path.write_bytes(key.public.pem)
    return path


def refused(token: Token, uri: str, **environ: str) -> str:
    done = token.routeiq("model", "sign", token.folder, "--key", uri, **environ)
    assert done.returncode == 1, done.stdout
    assert not (token.folder / "model.sig").exists()
    return done.stderr


def test_a_wrong_pin_is_tried_once_and_refused(token: Token, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("wrong", encoding="ascii")
    said = refused(token, f"pkcs11:token=release;object=signing?pin-source={tmp_path / 'pin'}")
    assert "the PIN is wrong" in said
    assert token.routeiq("key", "show", token.uri()).returncode == 0  # not locked


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pkcs11:token=absent;object=signing", "no such token is present"),
        ("pkcs11:token=release;object=absent", "no private key is so named"),
        ("pkcs11:token=release;object=twin", "2 private keys are so named"),
        ("pkcs11:token=release;object=other", "P-256"),
        (f"pkcs11:token=release;object=signing?pin-value={PIN}", "the URI holds the PIN"),
    ],
)
def test_what_the_token_does_not_have_is_one_error(uri: str, message: str, token: Token) -> None:
    secret = "" if "?" in uri else f"?pin-source=file:{token.pin}"
    assert message in refused(token, uri + secret)


def test_twins_are_told_apart_by_their_id(token: Token) -> None:
    shown = [
        token.routeiq("key", "show", f"pkcs11:token=release;id=%0{number}", "--json") for number in (2, 3)
    ]
    keyids = {json.loads(done.stdout)["keyid"] for done in shown}
    assert len(keyids) == 2


def test_a_module_that_is_none_is_refused(token: Token, tmp_path: Path) -> None:
    (tmp_path / "module.so").write_bytes(b"no library")
    said = refused(token, token.uri(), ROUTEIQ_PKCS11_MODULE=str(tmp_path / "module.so"))
    assert "module.so" in said
    assert "no such PKCS#11 module" in refused(token, token.uri(), ROUTEIQ_PKCS11_MODULE="/absent.so")
