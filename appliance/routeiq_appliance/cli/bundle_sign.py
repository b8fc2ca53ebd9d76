"""`routeiq bundle sign`: a further signature for a bundle, or all of them anew."""

from datetime import UTC, datetime
from pathlib import Path

import click

from routeiq_appliance.cli.bundle_site import required_key
from routeiq_appliance.cli.signer import SigningKey, signing_key_options
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.bundle_signers import add_signature
from routeiq_signing.keys import load_public_key

__all__ = ["sign"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.option("--verify-key", type=_PATH, help="Public key that TAR is verified with before it is signed")
@click.option(
    "--only",
    is_flag=True,
    help="Sign images and models with this key too, and drop the signatures of all others",
)
@signing_key_options()
@json_option
def sign(tar: Path, verify_key: Path | None, signing_key: SigningKey, only: bool, as_json: bool) -> None:
    """Add a signature to TAR, in place; its digest stays.

    Who pins any of its signers accepts it. What it holds is what --verify-key vouches for: nothing is signed unseen.
    """
    trust = load_public_key(required_key(tar, verify_key))
    key, now, progress = signing_key.open(), datetime.now(UTC), BarProgress()
    if only:
        from routeiq_images.resign import resign_bundle  # noqa: PLC0415  a builder's need

        digest = resign_bundle(tar, [key], trust=trust, now=now, progress=progress)
    else:
        digest = add_signature(tar, key, trust=trust, now=now, progress=progress)
    said = {"tar": str(tar), "keyid": key.public.keyid, "digest": digest, "only": only}
    emit(said, as_json=as_json, text=f"signed    {tar}\nkey       {key.public.keyid}\n{digest}")
