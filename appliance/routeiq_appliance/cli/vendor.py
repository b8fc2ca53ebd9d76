"""`routeiq vendor`: renew the locks, fill the pool, lay models out."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from routeiq_appliance.cli.support import BarProgress, RouteIQGroup, emit, json_option
from routeiq_appliance.cli.vendor_osv import osv, vex
from routeiq_vendor.debs.plan import drift_table
from routeiq_vendor.fetch import (
    Fetched,
    Purpose,
    ensure_console,
    fetch,
    install_lock,
    layout_models,
)
from routeiq_vendor.licences.review import refuse_faults, review_locks
from routeiq_vendor.renew import Change, Kind, renew
from routeiq_vendor.wheels.compile import LOCKS
from routeiq_vendor.workspace import Workspace

__all__ = ["vendor"]

_offline = click.option(
    "--offline", is_flag=True, envvar="OFFLINE", help="Refuse what would need a network [OFFLINE=1]"
)


@click.group(cls=RouteIQGroup)
def vendor() -> None:
    """Lock and fetch what goes into a bundle."""


vendor.add_command(osv)
vendor.add_command(vex)


@vendor.command("fetch")
@click.option(
    "--for",
    "purpose",
    type=click.Choice([*(one.value for one in Purpose), "all"]),
    default=Purpose.BUNDLE.value,
    show_default=True,
    help="What the pool is filled for",
)
@_offline
@click.option(
    "--strict", is_flag=True, envvar="STRICT", help="Refuse packages other than the locked ones [STRICT=1]"
)
@click.option("--key", envvar="KEY", hidden=True)
@json_option
def fetch_command(purpose: str, offline: bool, strict: bool, key: str | None, as_json: bool) -> None:
    """Fill the pool with everything that the locks name; what is there is not fetched again.

    A Debian package that has vanished from the mirror is replaced, loudly, in a development build; with
    --strict, or with KEY set, it is refused.
    """
    purposes = list(Purpose) if purpose == "all" else [Purpose(purpose)]
    workspace = Workspace.find(os.environ)
    found = fetch(purposes, workspace, BarProgress(), offline=offline, release=strict or bool(key))
    if found.drift:
        click.echo(
            "warning: these Debian packages have vanished from the mirror; this development build uses others\n\n"
            f"{drift_table(found.drift)}\n\nhint: `make lock` renews the locks; a release build refuses this",
            err=True,
        )
    parts = _parts(found)
    text = "\n".join(
        f"{name:<34} {count:>4} files {size / 1e6:>8.1f} MB" for name, (count, size) in parts.items()
    )
    result = {
        "parts": {name: {"files": count, "size": size} for name, (count, size) in parts.items()},
        "locks": [asdict(lock) for lock in found.locks],
        "drift": [moved.model_dump() for moved in found.drift],
        "attestations": {
            "kept": len(found.attestations.kept),
            "absent": found.attestations.absent,
            "served": found.attestations.served,
            "lost": list(found.attestations.lost),
        },
    }
    if found.wheels:
        text += f"\n{found.attestations}"
    emit(result, as_json=as_json, text=text)


def _parts(found: Fetched) -> dict[str, tuple[int, int]]:
    parts = {
        f"image {name}: Debian packages": [deb.size for deb in image.debs]
        for name, image in found.images.items()
    }
    parts |= {
        f"{name}.txt: wheels": [wheel.size for wheel in wheels] for name, wheels in found.wheels.items()
    }
    if found.npm:
        parts["ui.lock.json: npm packages"] = [item.size for item in found.npm]
    parts |= {
        f"model {name}": [file.size for file in model.files.values()]
        for name, model in {**found.models, **found.demo_models}.items()
    }
    return {name: (len(sizes), sum(sizes)) for name, sizes in parts.items()}


@vendor.command("lock")
@click.option(
    "--what",
    type=click.Choice([kind.value for kind in Kind]),
    multiple=True,
    help="Only this kind of lock (repeatable)",
)
@click.option(
    "--package", "-P", "only", multiple=True, help="Upgrade only this Python distribution (repeatable)"
)
@json_option
def lock_command(what: tuple[str, ...], only: tuple[str, ...], as_json: bool) -> None:
    """Renew the locks and show what moved."""
    kinds = [Kind(kind) for kind in what] or ([Kind.WHEELS] if only else list(Kind))
    changes = renew(kinds, Workspace.find(os.environ), BarProgress(), only=only)
    emit([asdict(change) for change in changes], as_json=as_json, text=_table(changes))


def _table(changes: list[Change]) -> str:
    if not changes:
        return "nothing moved"
    width = max(len(change.name) for change in changes)
    return "\n".join(f"{c.lock:<18} {c.name:<{width}}  {c.old} → {c.new}" for c in changes)


@vendor.command("licences")
@json_option
def licences_command(as_json: bool) -> None:
    """List the licence of everything in the locks, where that is said and why it is allowed; exit 1 if one is not."""
    found = review_locks(Workspace.find(os.environ), BarProgress())
    result = {"licences": [asdict(item) for item in found.judged], "unread": list(found.unread)}
    lines = [
        f"{one.use:<8} {one.kind:<5} {f'{one.name} {one.version}':<52} {one.licence or '-'}  ({one.source})"
        for one in sorted(found.judged, key=lambda one: (one.use, one.kind, one.name))
    ]
    lines += [f"not in the pool, so not read: {name}" for name in found.unread]
    emit(result, as_json=as_json, text="\n".join(lines))
    refuse_faults(found)


@vendor.command("layout-models")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@_offline
def layout_command(folder: Path, offline: bool) -> None:
    """Lay the embedder out under FOLDER as the image has it (fetches and exports it first if needed)."""
    workspace = Workspace.find(os.environ)
    fetch([], workspace, BarProgress(), offline=offline, release=False)
    for path in layout_models(workspace, folder):
        click.echo(path)


@vendor.command("build-console")
@_offline
def console_command(offline: bool) -> None:
    """Build the operator console from the pool and print its folder; what was built before is not built again."""
    click.echo(ensure_console(Workspace.find(os.environ), BarProgress(), offline=offline))


@vendor.command("install")
@click.argument("lock", type=click.Choice(LOCKS))
@click.option(
    "--python",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The interpreter of the environment to install into",
)
@_offline
def install_command(lock: str, python: Path, offline: bool) -> None:
    """Install a lock's wheels into a virtual environment, from the pool."""
    install_lock(lock, python, Workspace.find(os.environ), BarProgress(), offline=offline)
