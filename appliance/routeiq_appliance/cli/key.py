"""`routeiq key`: make a signing key, show what a key file is."""

from pathlib import Path

import click

from routeiq_appliance.cli.passphrase import passphrase_options, passphrase_source
from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option
from routeiq_signing.files import read_capped
from routeiq_signing.keys import generate_key_files, load_private_key, load_public_key
from routeiq_signing.limits import LIMITS

__all__ = ["key"]


@click.group(cls=RouteIQGroup)
def key() -> None:
    """Generate and show signing keys (ECDSA P-256)."""


@key.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="File for the key; `.pub` is added for its public half",
)
@passphrase_options
@json_option
def generate(out: Path, passphrase_file: Path | None, passphrase_fd: int | None, as_json: bool) -> None:
    """Make a key, encrypted under a passphrase (PKCS#8)."""
    made = generate_key_files(out, passphrase_source(passphrase_file, passphrase_fd, confirm=True)())
    result = {"key": str(out), "public": f"{out}.pub", "keyid": made.public.keyid}
    emit(result, as_json=as_json, text=f"key     {out}\npublic  {out}.pub\nkeyid   {made.public.keyid}")


@key.command()
@click.argument("file", type=click.Path(path_type=Path))
@passphrase_options
@json_option
def show(file: Path, passphrase_file: Path | None, passphrase_fd: int | None, as_json: bool) -> None:
    """Show the keyid of FILE, a public key or an encrypted private one."""
    if b"PRIVATE KEY" in read_capped(file, LIMITS.key_file):
        public = load_private_key(file, passphrase_source(passphrase_file, passphrase_fd)).public
        kind = "private, encrypted"
    else:
        public, kind = load_public_key(file), "public"
    emit(
        {"file": str(file), "kind": kind, "keyid": public.keyid},
        as_json=as_json,
        text=f"{kind}\nkeyid  {public.keyid}",
    )
