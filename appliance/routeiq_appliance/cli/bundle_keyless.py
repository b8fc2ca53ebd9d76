"""How `routeiq bundle verify` judges by an identity: its options, and what they amount to."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from routeiq_signing.keyless import Identity, keyless_trust
from routeiq_signing.verify.trust import Trust

__all__ = ["KeylessOptions", "keyless_options"]


@dataclass(frozen=True)
class KeylessOptions:
    """What was given; all of it, or nothing."""

    identity: str | None
    issuer: str | None
    trusted_root: Path | None
    sha256: str | None

    def trust(self, tar: Path, *, otherwise_given: bool) -> Trust | None:
        """Return the trust to verify `tar` with, or None where no identity is named.

        Raises `UsageError` when a part is missing, or when a key or a root is given as well (`otherwise_given`).
        """
        given = (self.identity, self.issuer, self.trusted_root, self.sha256)
        if not any(given):
            return None
        if otherwise_given:
            raise click.UsageError("--identity excludes --key and --root")
        identity, issuer, trusted_root, sha256 = given
        if identity is None or issuer is None or trusted_root is None or sha256 is None:
            raise click.UsageError(
                "--identity, --issuer, --trusted-root and --trusted-root-sha256 go together: a trusted root that nobody"
                " pinned would let whoever wrote the medium name themselves"
            )
        return keyless_trust(tar, Identity.pinned(identity, issuer, trusted_root, sha256))


def keyless_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--identity`, `--issuer` and the trusted root to a verb, which gets them as `keyless`."""

    @functools.wraps(command)
    def gathered(
        *args: Any,
        identity: str | None,
        issuer: str | None,
        trusted_root: Path | None,
        trusted_root_sha256: str | None,
        **more: Any,
    ) -> object:
        options = KeylessOptions(identity, issuer, trusted_root, trusted_root_sha256)
        return command(*args, keyless=options, **more)

    added: Callable[..., object] = gathered
    for option in (
        click.option(
            "--trusted-root-sha256", metavar="HEX", help="SHA-256 of that file, from a second channel"
        ),
        click.option(
            "--trusted-root",
            type=click.Path(path_type=Path),
            help="With --identity: trusted_root.json of the public sigstore or a private one",
        ),
        click.option("--issuer", metavar="URL", help="With --identity: the OIDC issuer that vouched for it"),
        click.option("--identity", metavar="WHO", help="Judge by who signed: an e-mail address or a URI"),
    ):
        added = option(added)
    return added
