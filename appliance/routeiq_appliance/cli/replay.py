"""`routeiq router replay`: recorded decisions once more, by another artifact."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from routeiq_appliance.cli.database import open_database
from routeiq_appliance.cli.router_support import artifact_option, key_option, verified_or_unsigned
from routeiq_appliance.cli.support import emit, json_option
from routeiq_signing.errors import RouteIQError

if TYPE_CHECKING:
    from routeiq_appliance.routing.why import Embedding
    from routeiq_router.replay import Recorded

__all__ = ["replay"]


@click.command()
@artifact_option
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Only decisions from then on, UTC"
)
@click.option(
    "--limit",
    default=1000,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="Newest decisions at most",
)
@click.option("--map", "pairs", multiple=True, metavar="GROUP=MODEL",
              help="Model that stands for a group; repeatable  [default: as recorded, else its name]")  # fmt: skip
@key_option
@json_option
def replay(
    artifact: Path,
    since: datetime | None,
    limit: int,
    pairs: tuple[str, ...],
    key: Path | None,
    as_json: bool,
) -> None:
    """Run recorded decisions through another artifact: agreement, change in predicted quality and in cost.

    Needs `routeiq.auto.keep_embeddings`; prompts are not kept. The database is the gateway's (DATABASE_URL, else SQLite
    in ROUTEIQ_DATA_DIR).
    """
    from routeiq_appliance.state.embeddings import recorded_decisions  # noqa: PLC0415 - SQLAlchemy
    from routeiq_router.artifact import parse_artifact  # noqa: PLC0415 - numpy
    from routeiq_router.replay import replay as replayed  # noqa: PLC0415

    model_map = dict(_pair(pair) for pair in pairs)
    loaded = parse_artifact(verified_or_unsigned(artifact, key))
    engine = open_database()
    try:
        instant = None if since is None else since.replace(tzinfo=UTC)
        rows = list(recorded_decisions(engine, since=instant, limit=limit))
    finally:
        engine.dispose()
    if not rows:
        raise RouteIQError(
            "no decision can be replayed: nothing is kept of them",
            hint="set `routeiq.auto.keep_embeddings: true`; it holds for decisions from then on",
        )
    found = [one for row, embedding in rows if (one := _recorded(row, embedding)) is not None]
    result = replayed(loaded, found, model_map)
    emit(result, as_json=as_json, text=_text(result))


def _pair(text: str) -> tuple[str, str]:
    group, separator, model = text.rpartition("=")
    if not (group and separator and model):
        raise click.BadParameter(f"{text[:64]!r} is not GROUP=MODEL", param_hint="--map")
    return group, model


def _recorded(row: Mapping[str, Any], embedding: "Embedding") -> "Recorded | None":
    """Return the decision; None for one that nothing was weighed for."""
    import numpy as np  # noqa: PLC0415

    from routeiq_appliance.routing.explain import explain  # noqa: PLC0415
    from routeiq_router.objective import Objective, read_objective  # noqa: PLC0415
    from routeiq_router.replay import Option, Recorded  # noqa: PLC0415

    found = explain(row)
    last = {item["group"] for item in found["put_last"]}
    # What could take no call then was not chosen among, unless all could not.
    able = [item for item in found["candidates"] if item["group"] not in last] or found["candidates"]
    if not able or found["seed"] is None:
        return None
    numbers = np.frombuffer(embedding.data, dtype="<f2").astype(np.float32)
    return Recorded(
        group=able[0]["group"],
        options=tuple(
            Option(
                item["group"],
                item["model"],
                item["cost"] or 0.0,
                item["latency"],
                None if item["spend"] is None else float(item["spend"]),
            )
            for item in able
        ),
        objective=read_objective(found["objective"]) if found["objective"] else Objective(),
        seed=found["seed"],
        embedder=embedding.embedder,
        surface_name=embedding.surface,
        vector=numbers[: embedding.dimension],
        surface=numbers[embedding.dimension :],
    )


def _text(result: Mapping[str, Any]) -> str:
    left = result["left_out"]
    lines = [
        f"artifact   {result['artifact']['name']} ({result['artifact']['strategy']}, {result['artifact']['digest']})",
        f"decisions  {result['replayed']} of {result['decisions']} replayed",
        f"left out   {left['other_embedder']} of another embedder, {left['unknown_groups']} among unknown groups",
    ]
    if result["replayed"]:
        lines.append(f"agreement  {result['agreement']:.1%}")
    quality, spend = result["quality"], result["spend"]
    if quality:
        lines.append(
            f"quality    {quality['before']:.4f} -> {quality['after']:.4f} ({quality['change']:+.4f}), "
            "as this artifact predicts it"
        )
    if spend:
        lines.append(
            f"cost       ${spend['before']:.9f} -> ${spend['after']:.9f} a call ({spend['change']:+.9f}), "
            "at each call's tokens"
        )
    lines += [f"  {item['decisions']:>6}  {item['from']} -> {item['to']}" for item in result["moved"]]
    return "\n".join(lines)
