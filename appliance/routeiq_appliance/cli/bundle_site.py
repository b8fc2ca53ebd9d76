"""How the verbs of `routeiq bundle` judge by a site's root, and the site's own signature."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from routeiq_appliance.cli.signer import SigningKey, signing_key_options
from routeiq_appliance.cli.support import BarProgress, emit, json_option
from routeiq_signing.bundle_file import pinned, verify_bundle_file
from routeiq_signing.errors import SigningError
from routeiq_signing.keys import PublicKey, load_public_key
from routeiq_signing.verify.trust import OneKey, SeveralKeys, Trust

if TYPE_CHECKING:
    from routeiq_signing.trust.site import SiteTrust

__all__ = [
    "builder_options",
    "built_by",
    "cosign",
    "pinned_trust",
    "required_key",
    "site_options",
    "site_trust",
    "state_option",
]

_PATH = click.Path(path_type=Path)


def state_option(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--trust-state` (or ROUTEIQ_TRUST_STATE) to a verb."""
    return click.option(
        "--trust-state",
        type=_PATH,
        envvar="ROUTEIQ_TRUST_STATE",
        help="Folder of the site's trust  [env: ROUTEIQ_TRUST_STATE; default: /var/lib/routeiq/trust]",
    )(command)


def site_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add what a verb needs to judge by the site's root: `--root`, `--allow-rollback`, `--trust-state`."""
    options = (
        click.option("--root", "by_root", is_flag=True, help="Judge by the site's pinned root and its state"),
        click.option("--allow-rollback", metavar="REASON", help="Take an older bundle; logged"),
        state_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def site_trust(
    tar: Path,
    trust_state: Path | None,
    *,
    by_root: bool,
    key_file: Path | None,
    allow_rollback: str | None,
    signing: bool = False,
    asks_registry: bool = False,
) -> "tuple[SiteTrust, Callable[[], None]] | None":
    """Return the site's trust to judge `tar` by and what records it, or None without `--root`.

    `signing`: for who is about to add a signature, and needs none of the others'. `asks_registry`: for who learns there
    what is the newest bundle, with a key too. Raises `UsageError` for options that contradict each other.
    """
    if allow_rollback is not None and not allow_rollback.strip():
        raise click.UsageError("--allow-rollback wants a reason")
    if not by_root:
        if allow_rollback is not None and not asks_registry:
            raise click.UsageError("--allow-rollback goes with --root: one key knows of no older bundle")
        return None
    if key_file is not None:
        raise click.UsageError("--root and --key exclude each other")
    # Only here: python-tuf brings a tenth of a second and a cloud's library where one is installed.
    from routeiq_signing.trust.site import SiteTrust  # noqa: PLC0415
    from routeiq_signing.trust.state import StateFolder  # noqa: PLC0415

    folder = StateFolder.find(os.environ, trust_state)
    trust = SiteTrust.for_tar(folder, tar, datetime.now(UTC), allow_rollback=allow_rollback, signing=signing)
    return trust, lambda: trust.record(folder)


def builder_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add what a verb needs to ask for builders: `--builder-key`, `--require-builders`."""
    command = click.option(
        "--builder-key",
        "builder_keys",
        type=_PATH,
        multiple=True,
        help="Public key of a builder that must have built TAR again (repeatable)",
    )(command)
    return click.option(
        "--require-builders", type=click.IntRange(1), help="How many of them must have  [default: all]"
    )(command)


def built_by(
    tar: Path, trust: PublicKey | Trust, builder_keys: tuple[Path, ...], require_builders: int | None
) -> PublicKey | Trust:
    """Return `trust` that asks for builders too, when the options do; see `trust.builders`."""
    if not builder_keys and require_builders is None:
        return trust
    from routeiq_signing.trust.builders import Builders, BuiltBy  # noqa: PLC0415  as in `site_trust`

    keys = {key.keyid: key for key in map(load_public_key, builder_keys)}
    builders = Builders.of(keys.values(), len(keys) if require_builders is None else require_builders)
    judge = OneKey(pinned(trust)) if isinstance(trust, PublicKey) else trust
    return BuiltBy(judge, builders.beside(tar))


def pinned_trust(tar: Path, key_files: tuple[Path, ...], required: int) -> PublicKey | Trust:
    """Return what `required` of the pinned public keys make; one key stays one key."""
    keys = [load_public_key(path) for path in key_files or (required_key(tar, None),)]
    if len(keys) == 1 and required == 1:
        return keys[0]
    return SeveralKeys([pinned(key) for key in keys], required)


def required_key(tar: Path, key_file: Path | None) -> Path:
    """Return the pinned key's file; there is no default to fall back on."""
    if key_file is None:
        raise SigningError(
            f"{tar}: no key to verify with",
            hint="give --root (after `routeiq trust init`), or --key FILE, the public key that reached you by another"
            " way than the tar",
        )
    return key_file


@click.command()
@click.argument("tar", metavar="TAR", type=_PATH)
@signing_key_options(text="Private key of the site: an encrypted file, or `pkcs11:token=…;object=…`")
@click.option("--verify-key", type=_PATH, help="Producer's pinned public key, where the site has no root")
@state_option
@json_option
def cosign(
    tar: Path,
    signing_key: SigningKey,
    verify_key: Path | None,
    trust_state: Path | None,
    as_json: bool,
) -> None:
    """Verify TAR and sign it for the site; the signature lies beside it, TAR.<keyid>.cosign.json."""
    from routeiq_signing.trust.cosign import write_site_signature  # noqa: PLC0415  as in `site_trust`
    from routeiq_signing.trust.site import SiteTrust  # noqa: PLC0415
    from routeiq_signing.trust.state import StateFolder  # noqa: PLC0415

    if verify_key is not None:
        verified = verify_bundle_file(tar, key=load_public_key(verify_key), progress=BarProgress())
    else:
        folder = StateFolder.find(os.environ, trust_state)
        trust = SiteTrust.for_tar(folder, tar, datetime.now(UTC), signing=True)
        verified = verify_bundle_file(tar, key=trust, progress=BarProgress())
    key = signing_key.open()
    path = write_site_signature(tar, verified.identity, key)
    said = {"signature": str(path), "keyid": key.public.keyid, "digest": verified.report.digest}
    emit(said, as_json=as_json, text=f"{path}\nco-signed  {verified.report.digest}")
