"""`routeiq model`: sign a model's folder, verify one, look at what its files are."""

import json
from pathlib import Path

import click

from routeiq_appliance.cli.passphrase import passphrase_options, passphrase_source
from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option
from routeiq_signing.errors import FormatError, RouteIQError
from routeiq_signing.files import read_capped
from routeiq_signing.formats.check import check_format
from routeiq_signing.keys import load_private_key, load_public_key
from routeiq_signing.limits import LIMITS
from routeiq_signing.model_files import SIGNATURE_NAME, read_model_folder
from routeiq_signing.model_trust import sign_model_folder, verify_model_folder

__all__ = ["model"]

_FOLDER = click.Path(path_type=Path)


@click.group(cls=RouteIQGroup)
def model() -> None:
    """Sign, verify and inspect model folders."""


@model.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--key", "key_file", required=True, type=_FOLDER, help="Encrypted private key")
@passphrase_options
def sign(folder: Path, key_file: Path, passphrase_file: Path | None, passphrase_fd: int | None) -> None:
    """Sign DIR as an OMS bundle in DIR/model.sig; every file must be of an allowed format."""
    key = load_private_key(key_file, passphrase_source(passphrase_file, passphrase_fd))
    click.echo(sign_model_folder(folder, key))


@model.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option("--key", "key_file", required=True, type=_FOLDER, help="Pinned public key (PEM)")
@click.option("--signature", type=_FOLDER, help="Signature file, when it is not DIR/model.sig")
@json_option
def verify(folder: Path, key_file: Path, signature: Path | None, as_json: bool) -> None:
    """Verify that the key signed exactly the files of DIR, and that each is of an allowed format."""
    try:
        result = verify_model_folder(folder, key=load_public_key(key_file), signature=signature)
    except RouteIQError as error:
        if as_json:
            click.echo(
                json.dumps({"accepted": False, "error": str(error), "subject": error.subject}, indent=2)
            )
        raise
    files = [
        {"path": path, "sha256": result.digests[path], "format": result.formats[path]}
        for path in result.files
    ]
    lines = [f"  {item['format']:<12} {item['sha256'][:16]}…  {item['path']}" for item in files]
    text = "\n".join([*lines, f"accepted  {result.name}, {result.vouched_by}"])
    emit(
        {"accepted": True, "name": result.name, "vouched_by": result.vouched_by, "files": files},
        as_json=as_json,
        text=text,
    )


@model.command()
@click.argument("path", metavar="PATH", type=_FOLDER)
@json_option
def inspect(path: Path, as_json: bool) -> None:
    """Tell the format of a file, or of each file of a folder; exit 1 if one is not allowed. Loads nothing."""
    files = (
        read_model_folder(path, leave_out=path / SIGNATURE_NAME)
        if path.is_dir()
        else {path.name: read_capped(path, LIMITS.model_in_memory)}
    )
    found: list[dict[str, str | bool]] = []
    for name, data in files.items():
        try:
            found.append({"path": name, "allowed": True, "format": check_format(data, name)})
        except FormatError as error:
            found.append({"path": name, "allowed": False, "format": str(error).removeprefix(f"{name}: ")})
    text = "\n".join(
        f"{'allowed' if item['allowed'] else 'REFUSED':<8} {item['path']}: {item['format']}" for item in found
    )
    emit({"files": found}, as_json=as_json, text=text)
    if not all(item["allowed"] for item in found):
        raise click.exceptions.Exit(1)
