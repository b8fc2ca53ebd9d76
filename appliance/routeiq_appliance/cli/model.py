"""`routeiq model`: sign a model's folder, verify one, look at what its files are."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from routeiq_appliance.cli.signer import SigningKey, signing_key_options
from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option
from routeiq_signing.errors import DocumentError, RouteIQError
from routeiq_signing.formats.consent import check_marks
from routeiq_signing.formats.inspection import inspect_path
from routeiq_signing.model_keys import load_model_keys
from routeiq_signing.model_trust import sign_model_folder, verify_model_folder

__all__ = ["model"]

_FOLDER = click.Path(path_type=Path)


@click.group(cls=RouteIQGroup)
def model() -> None:
    """Sign, verify and inspect model folders."""


@model.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@signing_key_options()
@click.option(
    "--unsafe",
    multiple=True,
    metavar="DIGEST=REASON",
    help="Mark a file of a format that is not allowed by its digest (sha256:…), and say why it is wanted; it stays "
    "refused until the site allows the same digest, and is never unpickled by us. Repeatable",
)
def sign(folder: Path, signing_key: SigningKey, unsafe: tuple[str, ...]) -> None:
    """Sign DIR as an OMS bundle in DIR/model.sig; every file must be of an allowed format, or marked unsafe."""
    marks = _marks(unsafe)
    click.echo(sign_model_folder(folder, signing_key.open(), marks))


def _marks(given: tuple[str, ...]) -> dict[str, str]:
    marks = dict(item.partition("=")[::2] for item in given)
    try:
        check_marks(marks)
    except DocumentError as error:
        raise click.BadParameter(str(error), param_hint="--unsafe") from None
    if len(marks) != len(given):
        raise click.BadParameter("a digest is given twice", param_hint="--unsafe")
    return marks


@model.command()
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--key", "key_file", required=True, type=_FOLDER, help="Pinned public key (PEM), or the site's state.json"
)
@click.option("--signature", type=_FOLDER, help="Signature file, when it is not DIR/model.sig")
@click.option(
    "--config",
    "config_file",
    type=_FOLDER,
    help="The site's config.yaml, for its `routeiq.unsafe_artifacts`; without it no unsafe format is accepted",
)
@json_option
def verify(
    folder: Path, key_file: Path, signature: Path | None, config_file: Path | None, as_json: bool
) -> None:
    """Verify that the key signed exactly the files of DIR, and that each is of an allowed format."""
    from routeiq_appliance.config.load import load_config  # noqa: PLC0415 - the verbs beside it need no schema

    try:
        allowed = load_config(config_file, os.environ).routeiq.unsafe_artifacts if config_file else []
        result = verify_model_folder(
            folder, key=load_model_keys(key_file), signature=signature, allowed_unsafe=allowed
        )
    except RouteIQError as error:
        if as_json:
            click.echo(
                json.dumps({"accepted": False, "error": str(error), "subject": error.subject}, indent=2)
            )
        raise
    files = [
        {"path": path, "sha256": result.digests[path], "format": result.formats[path]}
        | ({"reason": result.unsafe[path]} if path in result.unsafe else {})
        for path in result.files
    ]
    lines = [
        f"  {item['format']:<13} {item['sha256'][:16]}…  {item['path']}"
        + (f" ({item['reason']}; two consents, loaded by nothing of ours)" if "reason" in item else "")
        for item in files
    ]
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
    """Tell format, size and digest of a file, or of each file of a folder; exit 1 if one is refused. Loads nothing."""
    found = inspect_path(path)
    refused = [item for item in found if not item.accepted]
    lines = [
        f"{'accepted' if item.accepted else 'REFUSED':<8} {item.format or '-':<13} "
        f"{'-' if item.size is None else item.size:>12} {(item.sha256 or '-'):<64}  {item.path}"
        + ("" if item.reason is None else f": {item.reason}")
        for item in found
    ]
    verdict = f"{len(refused)} of {len(found)} files refused" if refused else f"accepted, {len(found)} files"
    emit(
        {"accepted": not refused, "files": [{**asdict(item), "accepted": item.accepted} for item in found]},
        as_json=as_json,
        text="\n".join([*lines, verdict]),
    )
    if refused:
        raise click.exceptions.Exit(1)
