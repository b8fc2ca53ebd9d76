"""What every verb shares: errors become one line and exit 1, results go to stdout, progress to stderr."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from tqdm import tqdm

from routeiq_signing.errors import RouteIQError
from routeiq_signing.progress import Advance

__all__ = ["BarProgress", "RouteIQGroup", "emit", "json_option", "shown_error"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout")


class Refused(click.ClickException):
    """A `RouteIQError` on its way to the user: exit 1, `error:` and `hint:` on stderr."""

    exit_code = 1

    def __init__(self, error: RouteIQError) -> None:
        super().__init__(str(error))
        self.hint = error.hint

    def show(self, file: Any = None) -> None:
        """Print the message and, after a blank line, the hint."""
        click.echo(f"error: {self.message}", err=True, file=file)
        if self.hint:
            click.echo(f"\nhint: {self.hint}", err=True, file=file)


class RouteIQGroup(click.Group):
    """A group whose verbs may raise `RouteIQError`; it is shown without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb; translate our errors and the operating system's into one line each."""
        try:
            return super().invoke(ctx)
        except (RouteIQError, OSError) as error:
            raise Refused(shown_error(error)) from error


def shown_error(error: RouteIQError | OSError) -> RouteIQError:
    """Return what a user is shown: ours as it is, the operating system's with the file first."""
    if isinstance(error, RouteIQError):
        return error
    where = f"{error.filename}: " if error.filename else ""
    return RouteIQError(f"{where}{error.strerror or error}", subject=str(error.filename or "") or None)


class BarProgress:
    """Draws one tqdm bar per task on stderr, with rate and time left; a plain line when it is no terminal."""

    @contextmanager
    def task(self, what: str, total: int | None, unit: str = "B") -> Iterator[Advance]:
        """See `routeiq_signing.progress.Progress.task`."""
        plain = not sys.stderr.isatty()
        bar = tqdm(
            desc=what,
            total=total,
            unit=unit,
            unit_scale=True,
            unit_divisor=1000,
            file=sys.stderr,
            leave=True,
            ascii=True if os.environ.get("NO_COLOR") else None,
            mininterval=5 if plain else 0.1,
            dynamic_ncols=not plain,
        )
        with bar:
            yield bar.update


def emit(result: Any, *, as_json: bool, text: str) -> None:
    """Print `result` as JSON, or `text`, on stdout."""
    click.echo(json.dumps(result, indent=2, sort_keys=True) if as_json else text)
