"""`routeiq key`: make a signing key, show what a key is, replace one by another."""

import hashlib
from pathlib import Path

import click

from routeiq_appliance.cli.key_rotate import rotate
from routeiq_appliance.cli.passphrase import passphrase_options, passphrase_source
from routeiq_appliance.cli.signer import module_option
from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option
from routeiq_signing.files import read_capped
from routeiq_signing.keyring.pkcs11_uri import SCHEME
from routeiq_signing.keys import KeyForm, PrivateKey, PublicKey, generate_key_files, key_form
from routeiq_signing.limits import LIMITS

__all__ = ["key"]

_FORMS = {
    "pkcs8": "private, encrypted PKCS#8",
    "cosign": "private, cosign's encrypted form",
    None: "public",
}


@click.group(cls=RouteIQGroup)
def key() -> None:
    """Generate, show and rotate signing keys (ECDSA P-256)."""


key.add_command(rotate)


@key.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="File for the key; `.pub` is added for its public half",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["pkcs8", "cosign"]),
    default="pkcs8",
    show_default=True,
    help="How it is encrypted: PKCS#8, which openssl reads, or cosign's own",
)
@passphrase_options
@json_option
def generate(
    out: Path, form: KeyForm, passphrase_file: Path | None, passphrase_fd: int | None, as_json: bool
) -> None:
    """Make a key, encrypted under a passphrase."""
    made = generate_key_files(out, passphrase_source(passphrase_file, passphrase_fd, confirm=True)(), form)
    result = {"key": str(out), "public": f"{out}.pub", "keyid": made.public.keyid, "form": form}
    emit(result, as_json=as_json, text=f"key     {out}\npublic  {out}.pub\nkeyid   {made.public.keyid}")


@key.command()
@click.argument("given", metavar="FILE")
@module_option
@passphrase_options
@json_option
def show(
    given: str,
    pkcs11_module: Path | None,
    passphrase_file: Path | None,
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Show form, keyid and public key of FILE: a public key, an encrypted private one, or `pkcs11:token=…;object=…`.

    The keyid is the SHA-256 of the DER public key: the fingerprint to compare over a second channel.
    """
    if given.startswith(SCHEME):
        from routeiq_signing.keyring.pkcs11 import read_token_public_key  # noqa: PLC0415  most keys are files

        secret = passphrase_source(passphrase_file, passphrase_fd, what="PIN")
        public, form = read_token_public_key(given, module=pkcs11_module, pin=secret), "pkcs11"
        kind = "private, in a PKCS#11 token"
    else:
        raw = read_capped(Path(given), LIMITS.key_file)
        found = key_form(raw)
        if found is None:
            public = PublicKey.from_pem(raw, given)
        else:
            secret = passphrase_source(passphrase_file, passphrase_fd)
            public = PrivateKey.from_pem(raw, secret(), given).public
        form, kind = found or "public", _FORMS[found]
    fingerprints = {"keyid": public.keyid, "pem_sha256": hashlib.sha256(public.pem).hexdigest()}
    emit(
        {"file": given, "kind": kind, "form": form, **fingerprints, "public": public.pem.decode()},
        as_json=as_json,
        text=f"{kind}\nkeyid       {public.keyid}\npem sha256  {fingerprints['pem_sha256']}  (as model signatures"
        f" name it)\n{public.pem.decode().rstrip()}",
    )
