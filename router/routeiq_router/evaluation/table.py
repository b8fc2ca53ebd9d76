"""A comparison of strategies (`compare.py`) as text for a terminal. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["comparison_text"]


def comparison_text(result: Mapping[str, Any]) -> str:
    """Return the tables: strategies and baselines per pool, tasks left out, models left out."""
    files = ", ".join(source["name"] for source in result["data"])
    copies = sum(result["near_duplicates"]["left_out_of_training"].values())
    lines = [
        f"{files}: {result['prompts']} prompts, {len(result['models'])} models, {len(result['tasks'])} tasks",
        f"{result['folds']} folds, seed {result['seed']}, {result['embedder']['kind']} embedder",
        f"{copies} near-copies kept from training",
    ]
    for pool in result["pools"]:
        lines += ["", *_pool(pool)]
    for report in result.get("leave_one_task_out", []):
        lines += ["", *_tasks(report)]
    if "leave_models_out" in result:
        lines += ["", *_models(result["leave_models_out"])]
    return "\n".join(lines)


def _pool(pool: Mapping[str, Any]) -> list[str]:
    pair = any("pair" in value for value in pool["strategies"].values())
    head = ["strategy", "AIQ", "above the hull [95 %]", "cost 95 %", "cost 100 %", "quality", "RMSE", "ECE"]
    rows = []
    for name, value in pool["strategies"].items():
        row = [
            name,
            f"{value['aiq']:.4f}",
            _gain(value["aiq_gain"], value["aiq_gain_interval"]),
            _share(value["cost_at_95"]),
            _share(value["cost_at_100"]),
            f"{value['mean_quality']:.4f}",
            f"{value['rmse']:.4f}",
            f"{value['ece']:.4f}",
        ]
        if pair:
            found = value.get("pair", {})
            row += [_share(found.get(key)) for key in ("apgr", "cpt_50", "cpt_80")]
        rows.append(row)
    singles = sorted(pool["singles"].items(), key=lambda item: (-item[1]["quality"], item[0]))
    place = [[name, f"{at['quality']:.4f}", f"{at['cost']:.3f}"] for name, at in singles]
    for name, what in (("random", "any model at random"), ("oracle", "the best answer known beforehand")):
        place.append([what, f"{pool[name]['quality']:.4f}", f"{pool[name]['cost']:.3f}"])
    return [
        f"{len(pool['models'])} models, {pool['prompts']} prompts",
        f"AIQ of the hull {pool['aiq_hull']:.4f}, of an oracle {pool['oracle']['aiq']:.4f}; cost of the best model = 1",
        "",
        *_table([*head, *(["APGR", "CPT 50", "CPT 80"] if pair else [])], rows),
        "",
        *_table(["always one model", "quality", "cost"], place),
    ]


def _tasks(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            name,
            _gain(value["gain"], value["gain_interval"]),
            _gain(value["over_constant"], value["over_constant_interval"]),
            f"{sum(task['over_constant'] >= 0 for task in value['tasks'].values())} of {len(value['tasks'])}",
        ]
        for name, value in report["strategies"].items()
    ]
    return [
        f"one task left out at a time, {len(report['models'])} models; constant: each model's mean on the other tasks",
        "",
        *_table(["strategy", "above the hull [95 %]", "above the constant [95 %]", "tasks not below"], rows),
    ]


def _models(report: Mapping[str, Any]) -> list[str]:
    rows = []
    for name, kinds in report["strategies"].items():
        for kind, value in kinds.items():
            gains = [
                _gain(value[cut]["gain"], value[cut]["gain_interval"]) for cut in ("among_all", "all_new")
            ]
            rows.append([name, kind.replace("_", " "), *gains])
    head = ["strategy", "prompts", "among all, some new [95 %]", "among new ones alone [95 %]"]
    return [
        f"models left out of training, each known by {report['answers']} answers of its own; above the hull",
        "",
        *_table(head, rows),
    ]


def _gain(value: float, interval: Sequence[float]) -> str:
    return f"{value:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}]"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
