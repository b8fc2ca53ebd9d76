"""`routeiq key rotate`: a new key in place of an old one, what it signed signed again, and what to do at the sites."""

from datetime import UTC, datetime
from pathlib import Path

import click

from routeiq_appliance.cli.passphrase import passphrase_options, passphrase_source
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.errors import KeyFileError, RouteIQError, SigningError
from routeiq_signing.keyring.pkcs11_uri import SCHEME
from routeiq_signing.keyring.rotate import Rotated, rotate_key_files
from routeiq_signing.keys import KeyForm
from routeiq_signing.model_trust import resign_model_folder

__all__ = ["rotate"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("given", metavar="KEY")
@click.option(
    "--resign",
    "paths",
    type=_PATH,
    multiple=True,
    help="A bundle (TAR) or a model's folder that the old key signed: sign it with the new one (repeatable)",
)
@click.option("--drop-old", is_flag=True, help="Of what is signed again, drop the old key's signatures")
@click.option(
    "--format",
    "form",
    type=click.Choice(["pkcs8", "cosign"]),
    help="The new key's form  [default: the old one's]",
)
@click.option(
    "--new-passphrase-file",
    type=_PATH,
    help="File with the new key's passphrase  [default: ask at the prompt]",
)
@passphrase_options
@json_option
def rotate(
    given: str,
    paths: tuple[Path, ...],
    drop_old: bool,
    form: KeyForm | None,
    new_passphrase_file: Path | None,
    passphrase_file: Path | None,
    passphrase_fd: int | None,
    as_json: bool,
) -> None:
    """Make a new key at KEY; the old one stays beside it as KEY.<keyid>.

    With --resign, bundles carry both keys' signatures until --drop-old, so that sites which pin the old key accept them
    still. A model's folder has room for one signature: the old one is kept beside it.
    """
    if given.startswith(SCHEME):
        raise KeyFileError(
            "a key in a token is not replaced from here",
            hint="make another with the token's tool, then `routeiq bundle sign TAR --key pkcs11:…`",
        )
    for path in paths:
        if not path.exists():  # before the key is touched
            raise SigningError(f"{path}: no such file or folder", subject=str(path))
    path = Path(given)
    passphrase = passphrase_source(passphrase_file, passphrase_fd)()
    new = passphrase_source(new_passphrase_file, None, confirm=True, what="Passphrase of the new key")()
    rotated = rotate_key_files(path, passphrase, new, form)
    click.echo(f"{path}: a new key; the old one is {rotated.kept}", err=True)
    done = [_resigned(item, rotated, drop_old=drop_old, key=path) for item in paths]
    steps = _at_the_sites(path, rotated, signed=bool(paths), drop_old=drop_old)
    said = {
        "key": str(path),
        "keyid": rotated.new.public.keyid,
        "old": str(rotated.kept),
        "old_keyid": rotated.old.public.keyid,
        "resigned": done,
        "next": steps,
    }
    lines = [
        f"new key   {rotated.new.public.keyid}  {path}",
        f"old key   {rotated.old.public.keyid}  {rotated.kept}",
    ]
    lines += [f"signed    {item}" for item in done]
    numbered = [f"  {number}. {text}" for number, text in enumerate(steps, 1)]
    emit(said, as_json=as_json, text="\n".join([*lines, "", "Next:", *numbered]))


def _resigned(path: Path, rotated: Rotated, *, drop_old: bool, key: Path) -> str:
    try:
        if path.is_dir():
            kept = resign_model_folder(path, rotated.old.public, rotated.new, keep=not drop_old)
            return f"{path}" if kept is None else f"{path}, the old signature is {kept}"
        from routeiq_images.resign import resign_bundle  # noqa: PLC0415  a builder's need

        keys = [rotated.new] if drop_old else [rotated.new, rotated.old]
        resign_bundle(path, keys, trust=rotated.old.public, now=datetime.now(UTC), progress=BarProgress())
    except RouteIQError as error:
        verb = "model sign" if path.is_dir() else f"bundle sign --verify-key {rotated.kept}.pub"
        raise SigningError(
            f"{error} (the new key is in place; {path} has the old key's signature still)",
            subject=str(path),
            hint=f"then: `routeiq {verb} {path} --key {key}`",
        ) from error
    return f"{path}"


def _at_the_sites(path: Path, rotated: Rotated, *, signed: bool, drop_old: bool) -> list[str]:
    """Return what people do next; nothing of it can be done from here."""
    root = (
        f"sites with a root: `routeiq trust new-root --previous N.root.json … --release-key {path}.pub`, sign it"
        " with the root keys, then `routeiq trust update` at each site; it revokes the old key (docs/key-ceremony.md)"
    )
    pinned = (
        f"sites with a pinned key: hand over {path}.pub, compare its keyid {rotated.new.public.keyid} over a second"
        " channel, and put it in place of the old one (what they give as --key, and what config.yaml names)"
    )
    drop = (
        f"when every site has the new key: `routeiq bundle sign TAR --key {path} --verify-key {path}.pub --only`"
        " drops the old key's signatures"
    )
    end = f"when nothing needs the old key any more, destroy {rotated.kept}; if it was stolen, do not wait"
    return [root, pinned, *([drop] if signed and not drop_old else []), end]
