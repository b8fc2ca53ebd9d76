"""`routeiq serve`: reads settings and configuration, proves the seal, then serves until SIGTERM."""

import gc
import os
import time
from pathlib import Path

import click

__all__ = ["serve"]


@click.command()
@click.option(
    "--config", "config_path", type=click.Path(path_type=Path), envvar="LITELLM_CONFIG_PATH",
    default=Path("/app/config/config.yaml"), show_default=True, help="Configuration: LiteLLM's model_list, and routeiq",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=4000, show_default=True, help="Port to listen on; 0: any"
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Processes; more than 1 need PostgreSQL and Redis",
)
def serve(config_path: Path, host: str, port: int, workers: int) -> None:
    """Run the gateway.

    Secrets and addresses of backends come from the environment (docs/configuration.md lists the variables),
    models and routing from the configuration. Logs are JSON lines on stderr.
    """
    started = time.monotonic()
    # What is imported stays: a collector that walks it again and again takes 0.6 s of the start. `run` switches it on.
    gc.disable()
    # Before any import that may phone home, so before everything else.
    from routeiq_appliance.egress import switches  # noqa: PLC0415

    switches.apply(os.environ)
    from routeiq_appliance.serving import run  # noqa: PLC0415

    run(config_path, host=host, port=port, workers=workers, started=started)
