"""`routeiq`: finds the group that was asked for and imports only that one.

A verb parses, makes one call into a component and renders; nothing is decided here.
"""

import importlib
from importlib.metadata import version

import click

from routeiq_appliance.cli.support import RouteIQGroup

__all__ = ["main"]

_GROUPS = {
    "admin": "One-off tasks on the gateway's database",
    "bundle": "Create, inspect, verify and mirror bundles",
    "config": "Check and show the gateway's configuration",
    "demo": "See it work: a real LLM behind the gateway, sealed off",
    "key": "Generate and show signing keys",
    "model": "Sign, verify and inspect model folders",
    "policy": "Check, test and sign policy rules",
    "router": "Train, evaluate and apply routing artifacts",
    "serve": "Run the gateway",
    "trust": "Pin a site's root, follow it, make roots and metadata",
    "vendor": "Lock and fetch what goes into a bundle",
}


class LazyGroups(RouteIQGroup):
    """Loads `routeiq_appliance.cli.<name>:<name>` on first use: `routeiq key` must not import the gateway."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every group's name, sorted."""
        del ctx
        return sorted(_GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the group, or None when there is none of this name."""
        del ctx
        if cmd_name not in _GROUPS:
            return None
        command: click.Command = getattr(
            importlib.import_module(f"routeiq_appliance.cli.{cmd_name}"), cmd_name
        )
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the groups without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_GROUPS.items()))


@click.command(cls=LazyGroups, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("routeiq-appliance"), prog_name="routeiq")
def main() -> None:
    """RouteIQ Appliance: build, carry, install and run an LLM gateway where there is no internet."""
