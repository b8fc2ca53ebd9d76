"""Where a passphrase or a PIN comes from: a file, a descriptor, or the prompt. Never the command line."""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from getpass import GetPassWarning
from pathlib import Path

import click

from routeiq_signing.errors import KeyFileError
from routeiq_signing.files import read_capped
from routeiq_signing.limits import LIMITS

__all__ = ["passphrase_options", "passphrase_source"]


def passphrase_options(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--passphrase-file` (or KEY_PASSPHRASE_FILE) and `--passphrase-fd` to a verb."""
    command = click.option(
        "--passphrase-file",
        type=click.Path(path_type=Path),
        envvar="KEY_PASSPHRASE_FILE",
        help="File with the passphrase or PIN; one trailing newline is dropped  [env: KEY_PASSPHRASE_FILE]",
    )(command)
    return click.option("--passphrase-fd", type=int, help="Descriptor to read the passphrase from")(command)


def passphrase_source(
    passphrase_file: Path | None,
    passphrase_fd: int | None,
    *,
    confirm: bool = False,
    what: str = "Passphrase",
) -> Callable[[], bytes]:
    """Return what gets the passphrase when it is wanted; the prompt calls it `what`, and asks twice to `confirm`."""

    def read() -> bytes:
        if passphrase_fd is not None:
            try:
                with os.fdopen(passphrase_fd, "rb") as file:
                    return _clean(file.read(LIMITS.passphrase))
            except OSError as error:
                raise KeyFileError(f"descriptor {passphrase_fd}: {error.strerror}") from None
        if passphrase_file is not None:
            return _clean(read_capped(passphrase_file, LIMITS.passphrase))
        with _terminal_only():
            text: str = click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True)
        return text.encode()

    return read


@contextmanager
def _terminal_only() -> Iterator[None]:
    """Without a terminal `getpass` would warn, read on and show what is typed: say what to give instead."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)
        try:
            yield
        except GetPassWarning:
            raise KeyFileError(
                "no terminal to ask for the passphrase on",
                hint="give --passphrase-file FILE or --passphrase-fd NUMBER",
            ) from None


def _clean(raw: bytes) -> bytes:
    return raw.removesuffix(b"\n").removesuffix(b"\r")
