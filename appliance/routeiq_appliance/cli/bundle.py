"""`routeiq bundle`: create, inspect, verify and mirror bundles."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routeiq_appliance.cli.bundle_carry import COMMANDS as CARRY_COMMANDS
from routeiq_appliance.cli.bundle_carry import verify_whole_or_delta
from routeiq_appliance.cli.bundle_compare import diff, rebuild
from routeiq_appliance.cli.bundle_keyless import KeylessOptions, keyless_options
from routeiq_appliance.cli.bundle_proof import describe_provenance, write_documents
from routeiq_appliance.cli.bundle_scan import scan
from routeiq_appliance.cli.bundle_sign import sign
from routeiq_appliance.cli.bundle_site import (
    builder_options,
    built_by,
    cosign,
    pinned_trust,
    required_key,
    site_options,
    site_trust,
)
from routeiq_appliance.cli.signer import KEY_HELP, SigningKey, signing_key_options
from routeiq_appliance.cli.support import BarProgress, RouteIQGroup, emit, json_option, shown_error
from routeiq_signing.bundle_peek import look_into
from routeiq_signing.errors import RouteIQError
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import ensure_development_key, load_public_key
from routeiq_signing.manifest import BundleManifest
from routeiq_signing.pyz import pyz_digest

if TYPE_CHECKING:
    from routeiq_signing.trust.folder import BuildTrust

__all__ = ["bundle"]

_PATH = click.Path(path_type=Path)
_DEVELOPMENT = """
  ************************************************************************
  *  No KEY given: signing with the DEVELOPMENT key of this checkout.    *
  *  Its passphrase lies beside it. Never carry this bundle to a site.   *
  *  For a release: make bundle KEY=FILE  (routeiq key generate)         *
  ************************************************************************
"""


@click.group(cls=RouteIQGroup)
def bundle() -> None:
    """Create, inspect, verify and mirror bundles."""


bundle.add_command(cosign)
bundle.add_command(sign)
bundle.add_command(rebuild)
bundle.add_command(diff)
bundle.add_command(scan)
for _command in CARRY_COMMANDS:
    bundle.add_command(_command)


@bundle.command()
@signing_key_options(required=False, envvar="KEY", text=f"{KEY_HELP}; without one, a development key")
@click.option("--out", type=_PATH, default=Path("dist"), show_default=True, help="Folder for the results")
@click.option("--offline", is_flag=True, envvar="OFFLINE", help="Use the pool only; refuse to fetch")
@click.option(
    "--strict", is_flag=True, envvar="STRICT", help="Refuse packages other than the lock's, as a release does"
)
@click.option(
    "--trust",
    "trust_folder",
    type=_PATH,
    envvar="TRUST",
    help="Folder with the producer's roots, N.root.json: attach the newest one's metadata",
)
def create(
    signing_key: SigningKey, out: Path, offline: bool, strict: bool, trust_folder: Path | None
) -> None:
    """Build images, chart and models into one signed tar; the last line on stdout is its digest.

    Same commit, same digest: `sha256:<hex>` of bundle.json.
    """
    # Only here: the builder's libraries are not in the gateway image, which verifies and mirrors.
    from routeiq_images.create import create_bundle  # noqa: PLC0415
    from routeiq_images.materials import gather  # noqa: PLC0415
    from routeiq_images.proof.invocation import start_invocation  # noqa: PLC0415
    from routeiq_images.release import commit_time, load_release  # noqa: PLC0415
    from routeiq_signing.trust.folder import BuildTrust  # noqa: PLC0415  python-tuf
    from routeiq_vendor.workspace import Workspace  # noqa: PLC0415

    workspace = Workspace.find(os.environ)
    release = load_release(workspace.root / "images" / "release.toml")
    created = commit_time(workspace.root, os.environ)
    key = _signer(signing_key, workspace.build / "keys")
    trust = None if trust_folder is None else BuildTrust.open(trust_folder, key)
    progress = BarProgress()
    pinned = strict or signing_key.given is not None
    run = start_invocation(workspace.root, os.environ, strict=pinned, offline=offline)
    materials = gather(workspace, progress, offline=offline, release=pinned)
    made = create_bundle(materials, release, created, key, out, progress, run, trust)
    for item in made.images:
        image = item.image
        click.echo(
            f"{image.name:<18} {image.size / 1e6:7.1f} MB in {len(image.layers)} layers  {image.digest}",
            err=True,
        )
    for path in (made.tar, made.inputs):
        click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB", err=True)
    click.echo(f"signed by key {key.public.keyid}", err=True)
    click.echo(f"verify.pyz sha256 {pyz_digest()}", err=True)
    if trust is not None:
        click.echo(_released(trust, made.tar), err=True)
    click.echo(made.digest)


def _released(trust: "BuildTrust", tar: Path) -> str:
    if not trust.lacking:
        return f"carries the metadata of root {trust.role.version}"
    return (
        f"{tar}.tuf: root {trust.role.version} wants {trust.lacking} more signatures:"
        " `routeiq trust sign`, then `routeiq trust attach`"
    )


def _signer(signing_key: SigningKey, keys: Path) -> Signer:
    if signing_key.given is not None:
        return signing_key.open()
    click.secho(_DEVELOPMENT, err=True, bold=True)
    return ensure_development_key(keys)


@bundle.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.option("--key", "key_file", type=_PATH, help="Pinned public key: verify before showing")
@site_options
@click.option(
    "--provenance", type=_PATH, help="Write the signed SLSA provenance (sigstore bundle) to this file"
)
@click.option("--sbom", type=_PATH, help="Write the bill of materials (CycloneDX 1.6) to this file")
@json_option
def inspect(
    tar: Path,
    key_file: Path | None,
    by_root: bool,
    allow_rollback: str | None,
    trust_state: Path | None,
    provenance: Path | None,
    sbom: Path | None,
    as_json: bool,
) -> None:
    """Show what TAR holds. Without --key or --root nothing is verified: TAR may say anything.

    The site's state stays as it is.
    """
    site = site_trust(tar, trust_state, by_root=by_root, key_file=key_file, allow_rollback=allow_rollback)
    trust = site[0] if site else None if key_file is None else load_public_key(key_file)
    if trust is None:
        said = "NOT VERIFIED: this is what the tar says of itself; give --key or --root to verify it"
        click.echo(said, err=True)
    found = look_into(tar, trust, BarProgress())
    document: dict[str, Any] = {"verified": found.verified, "digest": found.digest}
    document["provenance"] = found.provenance.to_json() if found.provenance else None
    document |= json.loads(found.manifest.to_bytes())
    write_documents(found, provenance=provenance, sbom=sbom)
    text = "\n".join([_describe(found.manifest, found.digest), *describe_provenance(found)])
    emit(document, as_json=as_json, text=text)


def _describe(manifest: BundleManifest, digest: str) -> str:
    sizes = {entry.path: entry.size for entry in manifest.files}
    lines = [
        f"{manifest.name} {manifest.version}, channel {manifest.channel}, sequence {manifest.sequence}",
        f"digest    {digest}",
        f"created   {manifest.created}, expires {manifest.expires}, for {manifest.platform}",
    ]
    lines += [f"image     {image.tag}  {image.digest}" for image in manifest.images]
    for model in manifest.models:
        size = sum(entry.size for entry in model.files)
        lines.append(
            f"model     {model.name} ({model.kind}, {len(model.files)} files, {size / 1e6:.1f} MB)  {model.digest}"
        )
    lines.append(f"chart     {manifest.chart.name} {manifest.chart.version}  {manifest.chart.digest}")
    lines.append(f"inputs    {manifest.inputs.path}  sha256:{manifest.inputs.sha256}")
    lines += [f"lock      {lock.path}  sha256:{lock.sha256}" for lock in manifest.locks]
    lines += [f"drift     {text}" for text in manifest.drift]
    lines.append(f"content   {len(sizes)} files, {sum(sizes.values()) / 1e6:.1f} MB")
    return "\n".join(lines)


@bundle.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.option(
    "--key",
    "key_files",
    type=_PATH,
    multiple=True,
    help="Pinned public key, from a second channel (repeatable)",
)
@click.option(
    "--require",
    type=click.IntRange(1),
    default=1,
    help="How many of several --key must have signed  [default: 1]",
)
@click.option("--old", type=_PATH, help="Where TAR is a delta: the bundle that it was made from")
@site_options
@keyless_options
@builder_options
@click.option("--no-record", is_flag=True, help="With --root: leave the site's state as it is")
@json_option
def verify(
    tar: Path,
    key_files: tuple[Path, ...],
    require: int,
    old: Path | None,
    by_root: bool,
    allow_rollback: str | None,
    trust_state: Path | None,
    keyless: KeylessOptions,
    builder_keys: tuple[Path, ...],
    require_builders: int | None,
    no_record: bool,
    as_json: bool,
) -> None:
    """Verify TAR in one pass; exit 1 names what was refused and at which step.

    With --root an accepted bundle becomes the oldest that this site will take.
    """
    first = key_files[0] if key_files else None
    try:
        site = site_trust(tar, trust_state, by_root=by_root, key_file=first, allow_rollback=allow_rollback)
        by_identity = keyless.trust(tar, otherwise_given=bool(by_root or key_files))
        trust = by_identity or (site[0] if site else pinned_trust(tar, key_files, require))
        judge = built_by(tar, trust, builder_keys, require_builders)
        report = verify_whole_or_delta(tar, old, judge).report
        if site is not None and not no_record:
            site[1]()
    except (RouteIQError, OSError) as fault:
        error = shown_error(fault)
        if as_json:
            refusal = {"accepted": False, "error": str(error), "subject": error.subject}
            click.echo(json.dumps({**refusal, "step": getattr(error, "step", 0)}, indent=2))
        raise
    emit(report.to_json(), as_json=as_json, text=report.to_text())


@bundle.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.option("--to", "target", required=True, metavar="HOST:PORT/PREFIX", help="Registry and where in it")
@click.option("--key", "key_file", type=_PATH, help="Pinned public key, from a second channel")
@site_options
@click.option("--plain-http", is_flag=True, help="Speak to the registry without TLS")
@click.option("--ca-file", type=_PATH, help="CA certificates (PEM) that sign the registry's")
@click.option(
    "--work-dir", type=_PATH, help="Folder for the verified copy, as large as TAR  [default: $TMPDIR]"
)
@json_option
def mirror(
    tar: Path,
    target: str,
    key_file: Path | None,
    by_root: bool,
    allow_rollback: str | None,
    trust_state: Path | None,
    plain_http: bool,
    ca_file: Path | None,
    work_dir: Path | None,
    as_json: bool,
) -> None:
    """Verify TAR, then push images, chart, models and what refers to them; digests stay.

    Credentials come from Docker's or podman's configuration (`podman login`). What the registry has is not sent
    again: run it again after a fault.
    """
    from routeiq_images.site.mirror import mirror as mirror_bundle  # noqa: PLC0415  only this verb speaks HTTP

    site = site_trust(
        tar,
        trust_state,
        by_root=by_root,
        key_file=key_file,
        allow_rollback=allow_rollback,
        asks_registry=True,
    )
    report = mirror_bundle(
        tar,
        target,
        key=site[0] if site else load_public_key(required_key(tar, key_file)),
        allow_rollback=allow_rollback,
        environ=os.environ,
        progress=BarProgress(),
        plain_http=plain_http,
        ca_file=ca_file,
        work_dir=work_dir,
    )
    if site is not None:
        site[1]()
    emit(report.to_json(), as_json=as_json, text=report.to_text())
