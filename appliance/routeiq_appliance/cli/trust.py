"""`routeiq trust`: the site's pinned root and what it remembers; the other half is the producer's (`trust.make`)."""

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from routeiq_appliance.cli.bundle_site import state_option
from routeiq_appliance.cli.support import RouteIQGroup, emit, json_option
from routeiq_appliance.cli.trust_make import attach, new_root, sign, targets
from routeiq_signing.keys import load_public_key
from routeiq_signing.pyz import pyz_digest
from routeiq_signing.trust.admin import (
    add_roots,
    describe,
    initialise,
    read_file,
    set_clock,
    set_policy,
)
from routeiq_signing.trust.state import StateFolder

__all__ = ["trust"]

_PATH = click.Path(path_type=Path)


@click.group(cls=RouteIQGroup)
def trust() -> None:
    """Pin a root at a site, follow it, and make roots and metadata (docs/key-ceremony.md)."""


@trust.command()
@click.argument("root", metavar="ROOT.json", type=_PATH)
@click.option("--fingerprint", "given", metavar="HEX", help="SHA-256 of ROOT.json, from a second channel")
@click.option(
    "--accept-fingerprint-prompt", is_flag=True, help="Ask for the fingerprint on the terminal instead"
)
@click.option("--channel", "channels", multiple=True, help="Take bundles of this channel only (repeatable)")
@state_option
@json_option
def init(
    root: Path,
    given: str | None,
    accept_fingerprint_prompt: bool,
    channels: tuple[str, ...],
    trust_state: Path | None,
    as_json: bool,
) -> None:
    """Pin ROOT.json, once, when its fingerprint is the one that came by another way than the medium."""
    raw = read_file(root)
    if given is None:
        if not accept_fingerprint_prompt:
            raise click.UsageError("give --fingerprint HEX, or --accept-fingerprint-prompt")
        # Not shown before it is typed: else the medium's own would be copied from the line above.
        given = click.prompt(f"Fingerprint of {root} that reached you by another way", err=True)
    folder = StateFolder.find(os.environ, trust_state)
    state = initialise(folder, raw, str(root), given, channels, datetime.now(UTC))
    told = {**describe(state, datetime.now(UTC)), "verify_pyz": f"sha256 {pyz_digest()} in this version"}
    _emit(folder, told, as_json=as_json)


@trust.command()
@state_option
@json_option
def show(trust_state: Path | None, as_json: bool) -> None:
    """Show the root, the policy and the bundle that each channel is at."""
    folder = StateFolder.find(os.environ, trust_state)
    _emit(folder, describe(folder.load(), datetime.now(UTC)), as_json=as_json)


@trust.command()
@click.argument("roots", metavar="NEWROOT...", nargs=-1, required=True, type=_PATH)
@state_option
@json_option
def update(roots: tuple[Path, ...], trust_state: Path | None, as_json: bool) -> None:
    """Follow the pinned root to newer ones, step by step; they may come from the medium."""
    folder = StateFolder.find(os.environ, trust_state)
    state = add_roots(folder, {str(path): read_file(path) for path in roots}, datetime.now(UTC))
    _emit(folder, describe(state, datetime.now(UTC)), as_json=as_json)


@trust.command()
@click.option(
    "--site-key", "site_keys", multiple=True, type=_PATH, help="Public key of a co-signer (repeatable)"
)
@click.option("--site-signatures", type=click.IntRange(0), help="How many of them must co-sign a bundle")
@click.option(
    "--builder-key", "builder_keys", multiple=True, type=_PATH, help="A builder's public key (repeatable)"
)
@click.option("--builders", type=click.IntRange(0), help="How many of them must have built a bundle")
@click.option("--max-age-days", type=click.IntRange(0), help="Refuse bundles older than this; 0: no limit")
@click.option("--channel", "channels", multiple=True, help="The channels to take (repeatable)")
@state_option
@json_option
def policy(
    site_keys: tuple[Path, ...],
    site_signatures: int | None,
    builder_keys: tuple[Path, ...],
    builders: int | None,
    max_age_days: int | None,
    channels: tuple[str, ...],
    trust_state: Path | None,
    as_json: bool,
) -> None:
    """Set what the site demands besides the producer's signatures; what is not named stays."""
    folder = StateFolder.find(os.environ, trust_state)
    new = folder.load().policy
    if site_keys:
        new = replace(new, site_keys=tuple(load_public_key(path).pem.decode() for path in site_keys))
    if site_signatures is not None:
        new = replace(new, site_signatures=site_signatures)
    if builder_keys:
        new = replace(new, builder_keys=tuple(load_public_key(path).pem.decode() for path in builder_keys))
    if builders is not None:
        new = replace(new, builder_signatures=builders)
    if max_age_days is not None:
        new = replace(new, max_age_days=max_age_days)
    if channels:
        new = replace(new, channels=tuple(sorted(set(channels))))
    state = set_policy(folder, new, datetime.now(UTC))
    _emit(folder, describe(state, datetime.now(UTC)), as_json=as_json)


@trust.command()
@click.argument("reason")
@state_option
@json_option
def clock(reason: str, trust_state: Path | None, as_json: bool) -> None:
    """Take the system's clock as right, though a later time was seen; REASON is logged."""
    folder = StateFolder.find(os.environ, trust_state)
    state = set_clock(folder, reason, datetime.now(UTC))
    _emit(folder, describe(state, datetime.now(UTC)), as_json=as_json)


for _verb in (new_root, sign, targets, attach):
    trust.add_command(_verb)


def _emit(folder: StateFolder, said: dict[str, object], *, as_json: bool) -> None:
    lines = [f"{name:<12} {text}" for name, text in _lines(said)]
    emit(
        {**said, "state": str(folder.file)},
        as_json=as_json,
        text="\n".join([*lines, f"state        {folder.file}"]),
    )


def _lines(said: dict[str, object]) -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = []
    for name, value in said.items():
        if isinstance(value, dict):
            lines += [(name, f"{key}: {text}") for key, text in value.items()]
        elif isinstance(value, list):
            lines += [(name, text) for text in value]
        else:
            lines.append((name, value))
    return lines
