"""`routeiq vendor osv` and `vex`: advisories and statements that `routeiq bundle scan` takes, made and signed."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from routeiq_appliance.cli.signer import SigningKey, signing_key_options
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_images.proof.scan_files import sign_vex
from routeiq_signing.keys import load_public_key
from routeiq_vendor.osv.artifact import OsvIndex, read_osv, write_osv

__all__ = ["osv", "vex"]

_PATH = click.Path(path_type=Path)


@click.group()
def osv() -> None:
    """Advisories in the OSV format as one signed file, for `routeiq bundle scan`."""


@osv.command("make")
@click.argument("out", metavar="OUT", type=_PATH)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=_PATH)
@signing_key_options()
@json_option
def make_command(out: Path, sources: tuple[Path, ...], signing_key: SigningKey, as_json: bool) -> None:
    """Make OUT from downloaded dumps: folders of .json records, or the all.zip of an ecosystem.

    Nothing is downloaded here: fetch the dumps of PyPI, Debian and npm from the database or mirror that you use.
    """
    _show(write_osv(out, sources, signing_key.open(), datetime.now(UTC), BarProgress()), out, as_json=as_json)


@osv.command("check")
@click.argument("file", metavar="FILE", type=_PATH)
@click.option("--key", "key_file", type=_PATH, required=True, help="Public key of whoever made it")
@json_option
def check_command(file: Path, key_file: Path, as_json: bool) -> None:
    """Read FILE to its end: signature, digests and every record; exit 1 names what is wrong."""
    index, records = read_osv(file, load_public_key(key_file), BarProgress())
    for _ in records:
        pass
    _show(index, file, as_json=as_json)


def _show(index: OsvIndex, path: Path, *, as_json: bool) -> None:
    lines = [f"{path}  made {index.made}, signed by {index.keyid}"]
    lines += [f"{part.ecosystem:<8} {part.records:>8} records, newest {part.newest}" for part in index.parts]
    emit({"file": str(path), **asdict(index)}, as_json=as_json, text="\n".join(lines))


@click.command()
@click.argument("file", metavar="FILE", type=_PATH)
@signing_key_options()
def vex(file: Path, signing_key: SigningKey) -> None:
    """Check the OpenVEX document FILE and write its signature beside it."""
    click.echo(sign_vex(file, signing_key.open()))
