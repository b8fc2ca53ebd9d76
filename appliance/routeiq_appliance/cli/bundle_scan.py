"""`routeiq bundle scan`: known vulnerabilities of a bundle, offline."""

from datetime import UTC, datetime
from pathlib import Path

import click

from routeiq_appliance.cli.bundle_site import site_options, site_trust
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.errors import SigningError
from routeiq_signing.keys import load_public_key

__all__ = ["scan"]

_PATH = click.Path(path_type=Path)
_LEVELS = ("negligible", "low", "medium", "high", "critical")


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@click.option("--osv", type=_PATH, envvar="ROUTEIQ_OSV", help="Advisories (routeiq vendor osv) [ROUTEIQ_OSV]")
@click.option("--vex", type=_PATH, help="OpenVEX document; its signature lies beside it")
@click.option(
    "--key", "key_file", type=_PATH, help="Pinned public key of the bundle: verify it before scanning"
)
@click.option("--data-key", type=_PATH, help="Public key that signed advisories and VEX  [default: --key]")
@click.option("--allow-unsigned", is_flag=True, help="Take advisories and a VEX that nobody signed")
@click.option("--partial", is_flag=True, help="Scan what there are advisories for, and name the rest")
@click.option(
    "--fail-on",
    type=click.Choice(_LEVELS),
    default="negligible",
    show_default=True,
    help="Least severity that fails; an unknown one always does",
)
@site_options
@json_option
def scan(
    tar: Path,
    osv: Path | None,
    vex: Path | None,
    key_file: Path | None,
    data_key: Path | None,
    allow_unsigned: bool,
    partial: bool,
    fail_on: str,
    by_root: bool,
    allow_rollback: str | None,
    trust_state: Path | None,
    as_json: bool,
) -> None:
    """Hold what TAR is made of against advisories (OSV), offline.

    Exit 0: no finding is open; 1: there are, or something was refused; 2: wrong usage. Without data nothing is scanned.
    """
    if osv is None:
        raise click.UsageError(
            "give --osv FILE: without advisories nothing can be found (routeiq vendor osv)"
        )
    signer = data_key or key_file
    if allow_unsigned and data_key is not None:
        raise click.UsageError("--allow-unsigned and --data-key contradict each other")
    if signer is None and not allow_unsigned:
        raise click.UsageError("give --data-key PUB, whose holder signed the advisories; or --allow-unsigned")
    try:
        # Only here: Debian's and npm's orders of versions need libraries that the gateway image has not.
        import debian.debian_support  # noqa: F401, PLC0415
        import semver  # noqa: F401, PLC0415
    except ImportError as error:
        raise SigningError(
            f"bundle scan needs the library {error.name}, which is not in the gateway image",
            hint="run it from the build environment, or from the wheelhouse in the bundle's inputs",
        ) from None
    from routeiq_images.proof.scan_files import scan_bundle  # noqa: PLC0415
    from routeiq_vendor.osv.severity import Severity  # noqa: PLC0415

    site = site_trust(tar, trust_state, by_root=by_root, key_file=key_file, allow_rollback=allow_rollback)
    report = scan_bundle(
        tar,
        osv,
        vex,
        trust=site[0] if site else load_public_key(key_file) if key_file else None,
        data_key=None if allow_unsigned or signer is None else load_public_key(signer),
        least=Severity[fail_on.upper()],
        partial=partial,
        now=datetime.now(UTC),
        progress=BarProgress(),
    )
    emit(report.to_json(), as_json=as_json, text=report.to_text())
    if report.failing:
        raise SystemExit(1)
