"""The producer's verbs of `routeiq trust`: roots, signatures, and metadata for a bundle (docs/key-ceremony.md)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from routeiq_appliance.cli.signer import SigningKey, signing_key_options
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.files import named_file
from routeiq_signing.keys import load_public_key
from routeiq_signing.trust.admin import fingerprint, read_file
from routeiq_signing.trust.attach import attach_metadata
from routeiq_signing.trust.make import add_signature, make_release, make_root
from routeiq_signing.trust.metadata import RELEASE_FILES
from routeiq_signing.trust.state import to_text

__all__ = ["attach", "new_root", "sign", "targets"]

_PATH = click.Path(path_type=Path)
_root_option = click.option(
    "--root", "root_file", type=_PATH, required=True, help="The producer's current root"
)


@click.command("new-root")
@click.option("--out", type=_PATH, required=True, help="File for the root, `N.root.json` by custom")
@click.option("--key", "keys", type=_PATH, multiple=True, required=True, help="Public root key (repeatable)")
@click.option("--threshold", type=click.IntRange(1), required=True, help="How many root keys must sign")
@click.option(
    "--release-key",
    "release_keys",
    type=_PATH,
    multiple=True,
    required=True,
    help="Public release key (repeatable)",
)
@click.option(
    "--release-threshold",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many of these must sign",
)
@click.option("--previous", type=_PATH, help="The root that this one follows; none for the first")
@click.option("--days", type=click.IntRange(1), default=1095, show_default=True, help="Days until it expires")
@json_option
def new_root(
    out: Path,
    keys: tuple[Path, ...],
    threshold: int,
    release_keys: tuple[Path, ...],
    release_threshold: int,
    previous: Path | None,
    days: int,
    as_json: bool,
) -> None:
    """Write a root that nobody has signed yet; a key that it leaves out is revoked."""
    made = make_root(
        root_keys=[load_public_key(path) for path in keys],
        threshold=threshold,
        release_keys=[load_public_key(path) for path in release_keys],
        release_threshold=release_threshold,
        previous=None if previous is None else read_file(previous),
        expires=to_text(datetime.now(UTC) + timedelta(days=days)),
    )
    made.write(out)
    emit(
        {"file": str(out), "version": made.version, "expires": made.expires, "wants": made.wants},
        as_json=as_json,
        text=f"{out}: root {made.version}, not signed yet\nsigned by     0 of {made.wants}",
    )


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_PATH)
@click.option("--root", "root_file", type=_PATH, help="For a bundle's metadata: the current root")
@click.option("--previous", type=_PATH, help="For a root: the one that it follows")
@signing_key_options()
@json_option
def sign(
    files: tuple[Path, ...],
    root_file: Path | None,
    previous: Path | None,
    signing_key: SigningKey,
    as_json: bool,
) -> None:
    """Add a signature to a root or to a bundle's metadata, after showing what it says."""
    signer = signing_key.open()
    given = root_file or previous
    by = None if given is None else read_file(given)
    said = [add_signature(path, signer, by) for path in files]
    text = "\n".join(
        f"{item.path}: {item.says}\nsigned by     {item.signed} of {item.wants}\nsha256        {item.fingerprint}"
        for item in said
    )
    emit([item.to_json() for item in said], as_json=as_json, text=text)


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@_root_option
@click.option("--out", type=_PATH, help="Folder for the metadata  [default: TAR.tuf]")
@click.option("--expires", help="When it expires, 2027-01-31T00:00:00Z  [default: when the bundle does]")
@click.option(
    "--renewal",
    type=click.IntRange(0, 999),
    default=0,
    help="Counts up when the same bundle gets a later expiry",
)
@signing_key_options()
@json_option
def targets(
    tar: Path,
    root_file: Path,
    out: Path | None,
    expires: str | None,
    renewal: int,
    signing_key: SigningKey,
    as_json: bool,
) -> None:
    """Write timestamp, snapshot and targets for the verified TAR, signed by one release key."""
    signer = signing_key.open()
    folder = out or named_file(tar).with_name(f"{tar.name}.tuf")
    made = make_release(
        tar,
        read_file(root_file),
        signer,
        folder,
        expires=expires,
        renewal=renewal,
        now=datetime.now(UTC),
        progress=BarProgress(),
    )
    emit(
        {"folder": str(folder), "files": list(RELEASE_FILES), "sequence": made.sequence, "wants": made.wants},
        as_json=as_json,
        text=f"{folder}: sequence {made.sequence}, expires {made.expires}\nsigned by     1 of {made.wants}",
    )


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.argument("folder", metavar="[TAR.tuf]", required=False, type=_PATH)
@_root_option
@signing_key_options()
@json_option
def attach(
    tar: Path,
    folder: Path | None,
    root_file: Path,
    signing_key: SigningKey,
    as_json: bool,
) -> None:
    """Put the metadata into TAR, when enough release keys signed it; the bundle's digest stays."""
    folder = folder or named_file(tar).with_name(f"{tar.name}.tuf")
    metadata = {name: read_file(folder / name) for name in RELEASE_FILES}
    root = read_file(root_file)
    signer = signing_key.open()
    digest = attach_metadata(tar, root, metadata, signer, datetime.now(UTC), BarProgress())
    emit(
        {"tar": str(tar), "digest": digest, "root": fingerprint(root)},
        as_json=as_json,
        text=f"{tar}: carries its metadata\n{digest}",
    )
