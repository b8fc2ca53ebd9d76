"""`routeiq router distil`: a static embedder out of a sentence encoder."""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported.

from pathlib import Path

import click

from routeiq_appliance.cli.support import BarProgress
from routeiq_signing.errors import RouteIQError
from routeiq_signing.files import write_atomic

__all__ = ["distil"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--embedder", required=True, type=_PATH, help="Folder of the sentence encoder")
@click.option("--dimension", default=256, show_default=True, help="Numbers that a vector has")
@click.option("--out", required=True, type=_PATH, help="Folder for the static embedder")
def distil(embedder: Path, dimension: int, out: Path) -> None:
    """Make a static embedder: a vector per token, some hundred times cheaper than the encoder.

    Train an artifact with it (`routeiq router train --embedder OUT`): it understands no other artifact.
    """
    if out.is_dir() and any(out.iterdir()):
        raise RouteIQError(f"{out}: not empty", subject=str(out), hint="name a new folder with --out")
    from routeiq_router.folder import read_unsigned
    from routeiq_router.training.distil import distil

    files = distil(read_unsigned(embedder), dimension=dimension, progress=BarProgress())
    for name, data in sorted(files.items()):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out / name, data)
    click.echo(out)
