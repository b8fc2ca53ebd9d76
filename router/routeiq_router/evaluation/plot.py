"""Quality against cost as a picture: every strategy's curve, the hull of single models, the oracle.

Needs matplotlib, which only evaluation does; it draws without a display, and the same report gives the same SVG.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from routeiq_router.errors import RouterError

__all__ = ["PLOT_SUFFIXES", "check_plot", "plot_pool"]

PLOT_SUFFIXES = (".png", ".svg")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision."""
_DASHES = ("-", "--", ":", "-.")
_DENSE = 60
_GREY = "#777777"
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


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
        figure = Figure(figsize=(11, 5), layout="constrained")
        whole, near = figure.subplots(1, 2, width_ratios=(3, 4))
        for axes in (whole, near):
            _draw(axes, pool, named=axes is whole)
            _label(axes)
        near.set_ylim(*_heights(pool))
        whole.set_ylabel("mean measured quality")
        near.set_title("the strategies, nearer", fontsize=9)
        whole.set_title("everything", fontsize=9)
        figure.suptitle(f"{title}: {pool['prompts']} prompts, {len(pool['models'])} models", fontsize=10)
        handles, labels = near.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right center", fontsize=8, title="AIQ above the hull")
        picture = io.BytesIO()
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        figure.savefig(picture, format=path.suffix[1:], dpi=130, metadata=metadata)
    return picture.getvalue()


def _draw(axes: Any, pool: Mapping[str, Any], *, named: bool) -> None:
    singles = pool["singles"]
    ranked = sorted(pool["strategies"].items(), key=lambda item: (-item[1]["aiq_gain"], item[0]))
    axes.plot(*_curve(pool["hull"]), color=_GREY, linewidth=3, alpha=0.6, label="hull of single models")
    places = [(at["cost"], at["quality"]) for at in singles.values()]
    axes.plot(*zip(*places, strict=True), "o", color=_GREY, markersize=5, label="always one model")
    middle = (max(place[0] for place in places) * min(place[0] for place in places)) ** 0.5
    for name, place in zip(singles, places, strict=True):
        if named:
            side = "right" if place[0] > middle else "left"
            axes.annotate(
                name,
                place,
                xytext=(0, -10),
                textcoords="offset points",
                ha=side,
                fontsize=6.5,
                color="#444444",
            )
    for number, (name, value) in enumerate(ranked):
        axes.plot(
            *_curve(value["frontier"]),
            color=_COLOURS[number % len(_COLOURS)],
            linestyle=_DASHES[number // len(_COLOURS) % len(_DASHES)],
            linewidth=1.5,
            marker="D" if len(value["frontier"]) == 1 else None,
            markersize=4,
            label=f"{name} ({value['aiq_gain']:+.3f})",
        )
    axes.plot(pool["oracle"]["cost"], pool["oracle"]["quality"], "k*", markersize=10, label="oracle")
    axes.plot(pool["random"]["cost"], pool["random"]["quality"], "kx", label="random model")


def _curve(points: Sequence[Sequence[float]]) -> tuple[Any, Any]:
    """Return costs and qualities of the line through `points`, dense: it is straight in cost, not in its logarithm."""
    cost, quality = (np.asarray(values) for values in zip(*points, strict=True))
    grid = np.unique(np.concatenate([cost, np.geomspace(max(cost[0], 1e-6), max(cost[-1], 1e-6), _DENSE)]))
    grid = grid[(grid >= cost[0]) & (grid <= cost[-1])]
    return grid, np.interp(grid, cost, quality)


def _label(axes: Any) -> None:
    from matplotlib.ticker import NullFormatter, StrMethodFormatter  # noqa: PLC0415 - evaluation only

    axes.set_xscale("log")
    axes.set_xticks(_TICKS)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.autoscale(axis="x")
    axes.set_xlabel("cost of a call; 1: always the best single model")
    axes.grid(visible=True, which="major", alpha=0.3)


def _heights(pool: Mapping[str, Any]) -> tuple[float, float]:
    """Return the range of quality in which the hull and what is above it lies."""
    hull = [quality for _, quality in pool["hull"]]
    top = max(quality for value in pool["strategies"].values() for _, quality in value["frontier"])
    room = 0.05 * (max(top, hull[-1]) - hull[0]) + 1e-3
    return hull[0] - room, max(top, hull[-1]) + room
