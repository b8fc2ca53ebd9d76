"""`routeiq bundle split` and `join`: a tar in parts for media that are too small for it."""

from datetime import UTC, datetime
from pathlib import Path

import click

from routeiq_appliance.cli.bundle_judge import Judging, judging_options
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_images.carry.carried_file import NamedFile
from routeiq_images.carry.delta_tar import is_delta
from routeiq_images.carry.split import parse_size
from routeiq_images.carry.split_files import check_parts, fault_text
from routeiq_images.carry.split_join import Joined, join_parts
from routeiq_images.carry.split_write import write_parts
from routeiq_images.errors import ImagesError
from routeiq_signing.bundle_file import pinned
from routeiq_signing.keys import PublicKey
from routeiq_signing.verify.bundle import Verified, verify_bundle
from routeiq_signing.verify.trust import Trust

__all__ = ["COMMANDS"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH, required=False)
@click.option("--size", metavar="N", help="Bytes of a part; K, M and G are powers of 1000: 700M, 4G")
@click.option("--out", type=_PATH, help="Folder for the parts and parts.json")
@click.option(
    "--parity",
    type=click.IntRange(0, 31),
    default=0,
    metavar="N",
    help="Parity parts: any N parts may get lost",
)
@click.option("--check", type=_PATH, metavar="DIR", help="Read the parts in DIR again and name the bad ones")
@json_option
def split(
    tar: Path | None, size: str | None, out: Path | None, parity: int, check: Path | None, as_json: bool
) -> None:
    """Cut TAR into parts, or with --check read parts where they lie.

    The parts' digests find damage, not forgery: the joined tar is verified as any other.
    """
    if check is not None:
        if tar is not None or size is not None or out is not None:
            raise click.UsageError("--check DIR goes alone")
        _check(check, as_json=as_json)
        return
    if tar is None or size is None or out is None:
        raise click.UsageError("TAR, --size and --out go together; or --check DIR")
    said = write_parts(tar, out, parse_size(size), parity, BarProgress())
    names = list(said.expected())
    emit(
        {"folder": str(out), "parts": names, "size": said.size, "sha256": said.sha256},
        as_json=as_json,
        text="\n".join([*names, f"{len(said.parts)} parts and {len(said.parity)} of parity in {out}"]),
    )


def _check(folder: Path, *, as_json: bool) -> None:
    listed, faults = check_parts(folder, BarProgress())
    lost = [
        fault for fault in faults if fault.name in {listed.part_name(i) for i in range(len(listed.parts))}
    ]
    enough = len(faults) <= len(listed.parity)
    said = {"folder": str(folder), "bad": {fault.name: fault.fault for fault in faults}, "restorable": enough}
    if as_json or not faults:
        emit(said, as_json=as_json, text=f"{len(listed.expected())} parts are whole")
    if faults:
        hint = "copy these parts again, and these alone"
        raise ImagesError(
            f"{folder}: {fault_text(faults)}",
            subject=faults[0].name,
            hint=f"{hint}; or join them: parity restores {len(lost)}" if enough else hint,
        )


@click.command()
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--out", type=_PATH, required=True, help="File to write, when every part is there and whole")
@judging_options
@click.option(
    "--delete-parts", is_flag=True, help="With --key or --root: delete the parts of a verified whole"
)
@json_option
def join(folder: Path, out: Path, judging: Judging, delete_parts: bool, as_json: bool) -> None:
    """Copy the parts in DIR into one file; run it again after a fault: what is whole is not copied twice.

    With --key or --root the whole is verified before it is put in place.
    """
    done: list[Joined] = []

    def verified(trust: PublicKey | Trust) -> Verified:
        found: list[Verified] = []
        done.append(
            join_parts(
                folder,
                out,
                BarProgress(),
                judge=lambda file: found.append(_judge(file, trust)),
                delete=delete_parts,
            )
        )
        return found[0]

    if judging.asked:
        judging.run(out, verified)
    else:
        done.append(join_parts(folder, out, BarProgress(), delete=delete_parts))
        click.echo(
            "NOT VERIFIED: digests of parts find damage only; `routeiq bundle verify` decides", err=True
        )
    joined = done[0]
    said = {"tar": str(out), "verified": judging.asked, "size": joined.listed.size}
    parts = {"copied": list(joined.copied), "kept": list(joined.kept), "restored": list(joined.restored)}
    text = ", ".join(f"{len(names)} parts {how}" for how, names in parts.items())
    emit({**said, **parts}, as_json=as_json, text=f"{text}\n{out}  {joined.listed.size / 1e6:.1f} MB")


def _judge(file: NamedFile, trust: PublicKey | Trust) -> Verified:
    if is_delta(file):
        raise ImagesError(
            f"{file.path}: is a delta", hint="join it without --key or --root, then `routeiq bundle apply`"
        )
    file.seek(0)
    key = pinned(trust) if isinstance(trust, PublicKey) else trust
    return verify_bundle(file, key=key, now=datetime.now(UTC), progress=BarProgress())


COMMANDS: tuple[click.Command, ...] = (split, join)
