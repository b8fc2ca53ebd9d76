"""The options that a bundle is judged by, gathered: `--key` or `--root`, and the builders that must have built it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from routeiq_appliance.cli.bundle_site import (
    builder_options,
    built_by,
    required_key,
    site_options,
    site_trust,
)
from routeiq_signing.keys import PublicKey, load_public_key
from routeiq_signing.verify.bundle import Verified
from routeiq_signing.verify.trust import Trust

__all__ = ["Judging", "judging_options"]

_PATH = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Judging:
    """What was asked for on the command line."""

    key_file: Path | None
    by_root: bool
    allow_rollback: str | None
    trust_state: Path | None
    builder_keys: tuple[Path, ...]
    require_builders: int | None

    @property
    def asked(self) -> bool:
        """Tell whether there is anything to judge by."""
        return self.key_file is not None or self.by_root

    def run(self, tar: Path, verified: Callable[[PublicKey | Trust], Verified]) -> Verified:
        """Return what `verified` says by this trust; the site's state is written last.

        Signatures that lie beside a tar are looked for beside `tar`.
        """
        site = site_trust(
            tar,
            self.trust_state,
            by_root=self.by_root,
            key_file=self.key_file,
            allow_rollback=self.allow_rollback,
        )
        trust = site[0] if site else load_public_key(required_key(tar, self.key_file))
        result = verified(built_by(tar, trust, self.builder_keys, self.require_builders))
        if site is not None:
            site[1]()
        return result


def judging_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add the options to a verb, which receives them as `judging`."""

    @functools.wraps(command)
    def gathered(
        *args: Any,
        key_file: Path | None,
        by_root: bool,
        allow_rollback: str | None,
        trust_state: Path | None,
        builder_keys: tuple[Path, ...],
        require_builders: int | None,
        **more: Any,
    ) -> object:
        judging = Judging(key_file, by_root, allow_rollback, trust_state, builder_keys, require_builders)
        return command(*args, judging=judging, **more)

    with_options = builder_options(site_options(gathered))
    return click.option("--key", "key_file", type=_PATH, help="Pinned public key, from a second channel")(
        with_options
    )
