"""Quality against cost as a picture: every strategy's curve, the hull of single models, the oracle.

Needs matplotlib, which only evaluation does; it draws without a display, and the same report gives the same SVG.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from routeiq_router.errors import RouterError

__all__ = ["PLOT_SUFFIXES", "check_plot", "plot_pool"]

PLOT_SUFFIXES = (".png", ".svg")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision."""
_DASHES = ("-", "--", ":", "-.")


def check_plot(path: Path) -> None:
    """Raise `RouterError` unless the suffix of `path` is one that can be drawn."""
    if path.suffix not in PLOT_SUFFIXES:
        raise RouterError(f"{path}: a plot is {' or '.join(PLOT_SUFFIXES)}", subject=str(path))


def plot_pool(pool: Mapping[str, Any], *, title: str, path: Path) -> bytes:
    """Return the picture of one pool of a comparison; the suffix of `path` decides the format.

    Raises `RouterError` for another suffix, or without matplotlib.
    """
    check_plot(path)
    try:
        import matplotlib as mpl  # noqa: PLC0415 - evaluation only
        from matplotlib.figure import Figure  # noqa: PLC0415
    except ImportError as error:
        hint = "install `routeiq-router[train]`"
        raise RouterError("plotting needs matplotlib, which is not installed here", hint=hint) from error
    with mpl.rc_context({"svg.hashsalt": "routeiq", "svg.fonttype": "path", "font.size": 9}):
        # A Figure without pyplot keeps no global state and draws with Agg.
        figure = Figure(figsize=(8, 5), layout="constrained")
        _draw(figure.subplots(), pool, title)
        picture = io.BytesIO()
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(picture, format=path.suffix[1:], dpi=130, metadata=metadata)
    return picture.getvalue()


def _draw(axes: Any, pool: Mapping[str, Any], title: str) -> None:
    singles = pool["singles"]
    corners = pool["hull"]
    axes.plot(
        *zip(*corners, strict=True), color="#777777", linewidth=2.5, alpha=0.6, label="hull of single models"
    )
    axes.plot(
        [at["cost"] for at in singles.values()],
        [at["quality"] for at in singles.values()],
        "o",
        color="#777777",
        markersize=5,
        label="a single model",
    )
    for name, at in singles.items():
        axes.annotate(
            name,
            (at["cost"], at["quality"]),
            xytext=(4, -9),
            textcoords="offset points",
            fontsize=6,
            color="#555555",
        )
    for number, (name, value) in enumerate(pool["strategies"].items()):
        axes.plot(
            *zip(*value["frontier"], strict=True),
            color=_COLOURS[number % len(_COLOURS)],
            linestyle=_DASHES[number // len(_COLOURS) % len(_DASHES)],
            linewidth=1.4,
            marker="." if len(value["frontier"]) == 1 else None,
            label=f"{name} ({value['aiq_gain']:+.3f})",
        )
    axes.plot(
        pool["oracle"]["cost"], pool["oracle"]["quality"], "*", color="#000000", markersize=10, label="oracle"
    )
    axes.plot(pool["random"]["cost"], pool["random"]["quality"], "x", color="#000000", label="random model")
    axes.set_xscale("log")
    axes.set_xlabel("cost of a call (always the best single model = 1), logarithmic")
    axes.set_ylabel("mean measured quality")
    axes.set_title(f"{title}: {pool['prompts']} prompts, {len(pool['models'])} models")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(
        fontsize=7, loc="lower left", bbox_to_anchor=(1.01, 0), title="AIQ above the hull", title_fontsize=7
    )
