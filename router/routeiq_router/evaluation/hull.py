"""Cost-quality curves: the upper hull of points, its mean height, and the least cost of a quality. Pure.

Two policies can be mixed at random, so everything on the line between two points is reachable for free: a curve is
the non-decreasing concave hull of its points (Hu et al., "RouterBench", 2024, section 3, arXiv:2403.12031).
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "area", "cost_of", "hull"]

Array = NDArray[np.float64]


def hull(cost: Array, quality: Array) -> tuple[Array, Array]:
    """Return the corners of the non-decreasing concave upper hull, cheapest first (Andrew's monotone chain)."""
    order = np.lexsort((-quality, cost))
    corners: list[tuple[float, float]] = []
    for x, y in zip(cost[order].tolist(), quality[order].tolist(), strict=True):
        if corners and y <= corners[-1][1]:
            continue
        while len(corners) >= 2 and _below(corners[-2], corners[-1], (x, y)):
            corners.pop()
        corners.append((x, y))
    points = np.asarray(corners, dtype=np.float64)
    return points[:, 0], points[:, 1]


def _below(first: tuple[float, float], middle: tuple[float, float], last: tuple[float, float]) -> bool:
    return (middle[1] - first[1]) * (last[0] - first[0]) <= (last[1] - first[1]) * (middle[0] - first[0])


def area(cost: Array, quality: Array, low: float, high: float) -> float:
    """Return the mean height of the hull over `low..high`; flat beyond its ends."""
    x, y = hull(cost, quality)
    if high <= low:
        return float(y[-1])
    grid = np.unique(np.clip(np.concatenate([[low, high], x]), low, high))
    return float(np.trapezoid(np.interp(grid, x, y), grid) / (high - low))


def cost_of(cost: Array, quality: Array, target: float, reference: float) -> float | None:
    """Return the least cost on the hull that reaches `target`, as a share of `reference`."""
    x, y = hull(cost, quality)
    if y[-1] < target or reference <= 0:
        return None
    at = int(np.argmax(y >= target))
    if at == 0:
        return float(x[0] / reference)
    share = (target - y[at - 1]) / (y[at] - y[at - 1])
    return float((x[at - 1] + share * (x[at] - x[at - 1])) / reference)
