"""The key that a verb signs with: a file of either form, or a key in a PKCS#11 token; opened when it is wanted.

`--key FILE` or `--key pkcs11:token=…;object=…`. The passphrase or the PIN comes from a file, a descriptor or the
prompt, never from the command line.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from routeiq_appliance.cli.passphrase import passphrase_options, passphrase_source
from routeiq_signing.keyring.pkcs11_uri import SCHEME
from routeiq_signing.keyring.signer import Signer
from routeiq_signing.keys import load_private_key

__all__ = ["KEY_HELP", "SigningKey", "module_option", "open_signer", "signing_key_options"]

KEY_HELP = "Private key: an encrypted file, or `pkcs11:token=…;object=…`"


@dataclass(frozen=True)
class SigningKey:
    """What `--key` said and how to open it; `given` is None where no key need be named and none was."""

    given: str | None
    module: Path | None
    secret: Callable[[], bytes]

    def open(self) -> Signer:
        """Return the key; a token is closed when the command ends. `given` is not None."""
        if self.given is None:
            raise click.UsageError("give --key")
        return open_signer(self.given, self.module, self.secret)


def open_signer(given: str, module: Path | None, secret: Callable[[], bytes]) -> Signer:
    """Open the key that `given` names, `secret` gives its passphrase or PIN; a token is closed with the command."""
    if not given.startswith(SCHEME):
        return load_private_key(Path(given), secret)
    from routeiq_signing.keyring.pkcs11 import open_token_key  # noqa: PLC0415  most keys are files

    key = open_token_key(given, module=module, pin=secret)
    click.get_current_context().call_on_close(key.close)
    return key


def module_option(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--pkcs11-module` (or ROUTEIQ_PKCS11_MODULE) to a verb."""
    return click.option(
        "--pkcs11-module",
        type=click.Path(path_type=Path),
        envvar="ROUTEIQ_PKCS11_MODULE",
        help="Library of the token's maker, for a pkcs11: key  [env: ROUTEIQ_PKCS11_MODULE]",
    )(command)


def signing_key_options(
    *, required: bool = True, envvar: str | None = None, text: str = KEY_HELP
) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Add `--key`, `--pkcs11-module` and where the secret is to a verb, which gets them as `signing_key`."""

    def decorate(command: Callable[..., object]) -> Callable[..., object]:
        @functools.wraps(command)
        def gathered(
            *args: Any,
            key_given: str | None,
            pkcs11_module: Path | None,
            passphrase_file: Path | None,
            passphrase_fd: int | None,
            **more: Any,
        ) -> object:
            what = "PIN" if key_given is not None and key_given.startswith(SCHEME) else "Passphrase"
            secret = passphrase_source(passphrase_file, passphrase_fd, what=what)
            return command(*args, signing_key=SigningKey(key_given, pkcs11_module, secret), **more)

        option = click.option(
            "--key", "key_given", metavar="KEY", required=required, envvar=envvar, help=text
        )
        return option(module_option(passphrase_options(gathered)))

    return decorate
