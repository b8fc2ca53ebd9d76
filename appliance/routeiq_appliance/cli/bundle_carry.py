"""What carries a bundle: `delta` and `apply`, `split` and `join`; and how `bundle verify` takes a delta."""

from datetime import UTC, datetime
from pathlib import Path

import click

from routeiq_appliance.cli.bundle_judge import Judging, judging_options
from routeiq_appliance.cli.bundle_parts import COMMANDS as PARTS_COMMANDS
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_images.carry.apply import apply_delta, delta_at, verify_delta
from routeiq_images.carry.delta_write import write_delta
from routeiq_images.errors import ImagesError
from routeiq_signing.bundle_file import verify_bundle_file
from routeiq_signing.keys import PublicKey
from routeiq_signing.verify.bundle import Verified
from routeiq_signing.verify.trust import Trust

__all__ = ["COMMANDS", "verify_whole_or_delta"]

_PATH = click.Path(path_type=Path)
_OUT = click.option("--out", type=_PATH, required=True, help="File to write; whole, or not at all")


def verify_whole_or_delta(tar: Path, old: Path | None, key: PublicKey | Trust) -> Verified:
    """Verify the bundle at `tar`, or the one that the delta `tar` makes of `old`."""
    if not tar.is_file() or not delta_at(tar):
        if old is not None and tar.is_file():
            raise ImagesError(f"{tar}: is no delta", subject=str(tar), hint="leave --old out")
        return verify_bundle_file(tar, key=key, progress=BarProgress())
    if old is None:
        raise ImagesError(
            f"{tar}: is a delta, it holds only what an older bundle lacks",
            subject=str(tar),
            hint="give --old OLD, the bundle that it was made from",
        )
    return verify_delta(tar, old, key=key, progress=BarProgress(), now=datetime.now(UTC))


@click.command()
@click.argument("old", metavar="OLD", type=_PATH)
@click.argument("new", metavar="NEW", type=_PATH)
@_OUT
@json_option
def delta(old: Path, new: Path, out: Path, as_json: bool) -> None:
    """Write what NEW has and OLD lacks, and try it out: OLD and the delta give NEW, byte for byte."""
    made = write_delta(old, new, out, BarProgress())
    files = [{"path": entry.path, "size": entry.size} for entry in made.files]
    said = {"delta": str(out), "size": made.size, "old": made.old, "new": made.new, "files": files}
    text = "\n".join(
        [
            f"from      {made.old}",
            f"to        {made.new}",
            f"carries   {len(files)} files",
            f"{out}  {made.size / 1e6:.1f} MB instead of {made.new_size / 1e6:.1f} MB",
        ]
    )
    emit(said | {"new_size": made.new_size}, as_json=as_json, text=text)


@click.command()
@click.argument("old", metavar="OLD", type=_PATH)
@click.argument("carried", metavar="DELTA", type=_PATH)
@_OUT
@judging_options
@json_option
def apply(old: Path, carried: Path, out: Path, judging: Judging, as_json: bool) -> None:
    """Make NEW's tar of OLD and DELTA, verify it while it is written, and only then put it in place.

    Signatures of the site and of builders, where they are wanted, lie beside --out.
    """

    def verified(trust: PublicKey | Trust) -> Verified:
        return apply_delta(old, carried, out, key=trust, progress=BarProgress(), now=datetime.now(UTC))

    report = judging.run(out, verified).report
    emit({**report.to_json(), "tar": str(out)}, as_json=as_json, text=f"{report.to_text()}\n{out}")


COMMANDS: tuple[click.Command, ...] = (delta, apply, *PARTS_COMMANDS)
