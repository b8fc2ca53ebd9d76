"""`routeiq bundle rebuild|diff`: build a bundle again from its inputs and compare; say how two differ."""

import os
from pathlib import Path

import click

from routeiq_appliance.cli.bundle_site import required_key, site_options, site_trust
from routeiq_appliance.cli.passphrase import passphrase_options, passphrase_source
from routeiq_appliance.cli.signer import module_option, open_signer
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.errors import VerificationError
from routeiq_signing.keys import PublicKey, load_public_key

__all__ = ["diff", "rebuild"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.option("--inputs", type=_PATH, required=True, help="The bundle's inputs tar, …-inputs.tar")
@click.option("--key", "key_file", type=_PATH, help="Pinned public key, from a second channel")
@site_options
@click.option("--keep", type=_PATH, help="File for the rebuilt tar  [default: kept only if it differs]")
@click.option("--work-dir", type=_PATH, help="Folder with room for the build, about 3 GB  [default: $TMPDIR]")
@click.option(
    "--sign", "sign_with", metavar="KEY", help="Sign as a builder if identical: as `--key` of `create`"
)
@module_option
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
    sign_with: str | None,
    pkcs11_module: Path | None,
    passphrase_file: Path | None,
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Verify TAR, build it again from its inputs without a network, compare; exit 1 if it differs.

    Runs the build of the verified inputs, as whoever calls. With --sign an identical result is signed; the signature
    lies beside TAR, TAR.<keyid>.builder.json (docs/rebuild.md).
    """
    from routeiq_images.compare.rebuild import rebuild as build_again  # noqa: PLC0415
    from routeiq_signing.trust.builders import write_builder_signature  # noqa: PLC0415

    site = site_trust(
        tar, trust_state, by_root=by_root, key_file=key_file, allow_rollback=allow_rollback, signing=True
    )
    trust = site[0] if site else load_public_key(required_key(tar, key_file))
    # Before the long work: a wrong passphrase must not cost a minute.
    secret = passphrase_source(passphrase_file, passphrase_fd)
    signer = open_signer(sign_with, pkcs11_module, secret) if sign_with else None
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


@click.command()
@click.argument("one", metavar="A", type=_PATH)
@click.argument("two", metavar="B", type=_PATH)
@click.option(
    "--key",
    "key_files",
    type=_PATH,
    multiple=True,
    help="Pinned public key to verify A or B with (repeatable)",
)
@json_option
def diff(one: Path, two: Path, key_files: tuple[Path, ...], as_json: bool) -> None:
    """Explain how A and B differ, down to the files of a layer; exit 0 identical, 1 different.

    Only reads. A tar that none of the keys signed is compared as it is, and called NOT VERIFIED.
    """
    from routeiq_images.compare.diff import diff_bundles  # noqa: PLC0415
    from routeiq_images.compare.diff_tar import BundleTar  # noqa: PLC0415

    keys = [load_public_key(path) for path in key_files]
    said = {str(path): _vouched(path, keys) for path in (one, two)}
    progress = BarProgress()
    found = diff_bundles(BundleTar(one, progress), BundleTar(two, progress))
    lines = [f"{side:<9} {path}: {text}" for side, (path, text) in zip("AB", said.items(), strict=False)]
    emit({**found.to_json(), "tars": said}, as_json=as_json, text="\n".join([*lines, found.to_text()]))
    if not found.identical:
        raise click.exceptions.Exit(1)


def _vouched(tar: Path, keys: list[PublicKey]) -> str:
    """Say which key vouches for the tar; nobody needs to, as nothing of it is used."""
    reason = "no key given"
    for key in keys:
        try:
            verify_bundle_file(tar, key=key, progress=BarProgress())
        except VerificationError as error:
            reason = str(error)
        else:
            return f"verified by key {key.keyid}"
    return f"NOT VERIFIED ({reason})"
