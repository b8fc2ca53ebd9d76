"""A calibration's report for people. Pure."""

from collections.abc import Mapping
from typing import Any

__all__ = ["report_text"]


def report_text(report: Mapping[str, Any]) -> str:
    """Return a table a group, per skill and difficulty, and the expected ranking."""
    groups: Mapping[str, Any] = report["groups"]
    wide = max(10, *(len(name) for name in groups))
    lines = [f"{'group':<{wide}} {'answered':>9} {'missing':>8} {'correct':>8} {'share':>6}  ability [95 %]"]
    for name, entry in groups.items():
        share = entry["correct"] / entry["answered"] if entry["answered"] else 0.0
        ability = f"not calibrated: {entry.get('reason', '')}"
        if entry["calibrated"]:
            low, high = entry["interval"]
            ability = f"{entry['ability']:.3f} [{low:.3f}, {high:.3f}]"
        counts = f"{entry['answered']:>9} {entry['missing']:>8} {entry['correct']:>8}"
        lines.append(f"{name:<{wide}} {counts} {share:>6.2f}  {ability}")
    for kind, label in (("skills", "skill"), ("difficulties", "difficulty")):
        rows = sorted({key for entry in groups.values() for key in entry[kind]})
        width = max(len(label), *(len(row) for row in rows))
        columns = [max(7, len(name)) for name in groups]
        heads = " ".join(f"{name:>{size}}" for name, size in zip(groups, columns, strict=True))
        lines += ["", f"{label:<{width}} {heads}"]
        for row in rows:
            cells = [
                f"{entry[kind].get(row, {}).get('correct', 0)}/{entry[kind].get(row, {}).get('answered', 0)}"
                for entry in groups.values()
            ]
            shown = " ".join(f"{cell:>{size}}" for cell, size in zip(cells, columns, strict=True))
            lines.append(f"{row:<{width}} {shown}")
    return "\n".join(
        [*lines, "", f"expected ranking, where cost does not count: {' > '.join(report['ranking'])}"]
    )
