"""`routeiq bundle rebuild`: build a bundle again from its inputs and compare."""

import os
from pathlib import Path

import click

from routeiq_appliance.cli.bundle_site import required_key, site_options, site_trust
from routeiq_appliance.cli.passphrase import passphrase_options, passphrase_source
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.keys import load_private_key, load_public_key

__all__ = ["rebuild"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.option("--inputs", type=_PATH, required=True, help="The bundle's inputs tar, …-inputs.tar")
@click.option("--key", "key_file", type=_PATH, help="Pinned public key, from a second channel")
@site_options
@click.option("--keep", type=_PATH, help="File for the rebuilt tar  [default: kept only if it differs]")
@click.option("--work-dir", type=_PATH, help="Folder with room for the build, about 3 GB  [default: $TMPDIR]")
@click.option("--sign", "sign_file", type=_PATH, help="Encrypted private key: sign as a builder if identical")
@passphrase_options
@json_option
def rebuild(
    tar: Path,
    inputs: Path,
    key_file: Path | None,
    by_root: bool,
    allow_rollback: str | None,
    trust_state: Path | None,
    keep: Path | None,
    work_dir: Path | None,
    sign_file: Path | None,
    passphrase_file: Path | None,
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Verify TAR, build it again from its inputs without a network, compare; exit 1 if it differs.

    Runs the build of the verified inputs, as whoever calls. With --sign an identical result is signed; the signature
    lies beside TAR, TAR.<keyid>.builder.json (docs/rebuild.md).
    """
    from routeiq_images.rebuild import rebuild as build_again  # noqa: PLC0415  the builder's libraries
    from routeiq_signing.trust_builders import write_builder_signature  # noqa: PLC0415

    site = site_trust(tar, trust_state, by_root=by_root, key_file=key_file, allow_rollback=allow_rollback)
    trust = site[0] if site else load_public_key(required_key(tar, key_file))
    # Before the long work: a wrong passphrase must not cost a minute.
    signer = (
        load_private_key(sign_file, passphrase_source(passphrase_file, passphrase_fd)) if sign_file else None
    )
    made = build_again(
        tar, inputs, key=trust, environ=os.environ, progress=BarProgress(), work_dir=work_dir, keep=keep
    )
    document, text = made.to_json(), made.to_text()
    if signer is not None and made.identical:
        path = write_builder_signature(tar, made.identity, signer)
        document["signature"] = str(path)
        text = f"signature {path}\n{text}"
    emit(document, as_json=as_json, text=text)
    if not made.identical:
        click.echo(f"\nhint: `routeiq bundle diff {tar} {made.kept}` names the files that differ", err=True)
        raise click.exceptions.Exit(1)
