"""A run's figures as a table with their targets, and as the measured-quality table that the router carries. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Figure", "figures", "measured", "table"]


@dataclass(frozen=True, slots=True)
class Figure:
    """`met` is None where there is no target."""

    what: str
    value: str
    target: str = ""
    met: bool | None = None


def figures(found: Mapping[str, Any], default: str) -> list[Figure]:
    """Return every figure that has a target, and those to compare it with."""
    rows = [*_quality(found.get("quality", {}), default), *_latency(found.get("latency", {}))]
    for rival in found.get("rivals", {}).values():
        if "skipped" in rival:
            rows.append(Figure(f"{rival['title']}", f"skipped: {rival['skipped']}"))
        else:
            at = rival["tokens"]["64"]["p50_ms"]
            rows.append(
                Figure(
                    f"{rival['title']}: decision of 64 tokens, load, memory",
                    f"{at:.1f} ms, {rival['load_seconds']:.1f} s, {rival['memory_mb']:.0f} MB",
                )
            )
    return rows


def _quality(found: Mapping[str, Any], default: str) -> list[Figure]:
    rows = []
    if "llmrouter" in found:
        value = found["llmrouter"]["pools"][0]["strategies"][default]
        gain, (low, high) = value["aiq_gain"], value["aiq_gain_interval"]
        rows += [
            Figure(
                f"LLMRouter, {default}: AIQ above the hull",
                f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]",
                ">= +0.045, interval above 0",
                gain >= 0.045 and low > 0,
            ),
            _below("LLMRouter: cost at 95 % of the best model", value["cost_at_95"], 0.18),
            Figure("LLMRouter: calibration error (ECE), RMSE", f"{value['ece']:.4f}, {value['rmse']:.4f}"),
        ]
    if "llmrouter-tasks" in found:
        tasks = found["llmrouter-tasks"]["leave_one_task_out"][0]["strategies"][default]
        over, ends = tasks["over_constant"], tasks["over_constant_interval"]
        rows.append(
            Figure(
                "LLMRouter, a task left out: above the constant",
                f"{over:+.4f} [{ends[0]:+.4f}, {ends[1]:+.4f}]",
                "not below 0",
                ends[1] >= 0,
            )
        )
    if "mmlu-pair" in found:
        pair = found["mmlu-pair"]["pools"][0]["strategies"][default]["pair"]
        rows += [
            Figure("RouteLLM MMLU pair: APGR", f"{pair['apgr']:.4f}", ">= 0.67", pair["apgr"] >= 0.67),
            _below("RouteLLM MMLU pair: CPT 80", pair["cpt_80"], 0.58),
        ]
    if "llmrouter-models" in found:
        left = found["llmrouter-models"]["leave_models_out"]
        for kind, least in (("same_tasks", 0.025), ("other_tasks", 0.0)):
            for what, words in (
                ("among_all", "a third of the models new"),
                ("all_new", "all candidates new"),
            ):
                value = left["strategies"][default][kind][what]
                ends = value["gain_interval"]
                met = value["gain"] >= least if least else ends[1] >= 0
                rows.append(
                    Figure(
                        f"{words}, {left['answers']} answers, {kind.replace('_', ' ')}: above the hull",
                        f"{value['gain']:+.4f} [{ends[0]:+.4f}, {ends[1]:+.4f}]",
                        f">= {least:+.3f}" if least else "not below 0",
                        met,
                    )
                )
    if {"llmrouter", "llmrouter-static"} <= set(found):
        full, small = (_gain(found[name], default) for name in ("llmrouter", "llmrouter-static"))
        rows.append(
            Figure(
                "static embedder: share of the gain kept",
                f"{small / full:.2f}",
                ">= 0.80",
                small >= 0.8 * full,
            )
        )
    if {"llmrouter", "llmrouter-fp32"} <= set(found):
        whole, small = (_aiq(found[name], default) for name in ("llmrouter-fp32", "llmrouter"))
        rows.append(
            Figure(
                "int8 less fp32: AIQ", f"{small - whole:+.4f}", "within 0.002", abs(small - whole) <= 0.002
            )
        )
    return rows


def _latency(found: Mapping[str, Any]) -> list[Figure]:
    rows = []
    if "int8" in found:
        int8 = found["int8"]
        rows += [
            _below("decision, 64 tokens, int8: p50 ms", int8["tokens"]["64"]["p50_ms"], 6),
            _below("decision, 512 tokens, int8: p50 ms", int8["tokens"]["512"]["p50_ms"], 15),
            _below("decision, 64 tokens, remembered: p50 ms", int8["remembered"]["p50_ms"], 0.1),
            _below("loaded and warm, imports included: s", int8["load_seconds"], 0.7),
            Figure(
                "memory: int8, static MB",
                " ".join(f"{found[kind]['memory_mb']:.0f}" for kind in ("int8", "static")),
            ),
            Figure(
                "heavy imports in serving",
                ", ".join(int8["heavy_imports"]) or "none",
                "none",
                not int8["heavy_imports"],
            ),
        ]
    if "static" in found:
        rows.append(
            _below("decision, 64 tokens, static: p50 ms", found["static"]["tokens"]["64"]["p50_ms"], 0.6)
        )
    if "fp32" in found:
        rows.append(
            Figure("decision, 64 tokens, fp32: p50 ms", f"{found['fp32']['tokens']['64']['p50_ms']:.3f}")
        )
    return rows


def measured(found: Mapping[str, Any], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return each strategy's figures by data set, for `routeiq router strategies`."""
    strategies: dict[str, dict[str, Any]] = {}
    data: dict[str, Any] = {}
    for name in ("llmrouter", "mmlu-pair"):
        if name not in found:
            continue
        report = found[name]
        (pool, *_) = report["pools"]
        data[name] = {
            "files": report["data"],
            "prompts": pool["prompts"],
            "models": len(pool["models"]),
            "hull": pool["aiq_hull"],
            "command": report["command"],
        }
        for strategy, value in pool["strategies"].items():
            low, high = value["aiq_gain_interval"]
            row = {
                "aiq": value["aiq"],
                "hull": value["aiq_hull"],
                "gain": value["aiq_gain"],
                "low": low,
                "high": high,
                "cost95": value["cost_at_95"],
                "ece": value["ece"],
            }
            if "pair" in value:
                row |= {"apgr": value["pair"]["apgr"], "cpt80": value["pair"]["cpt_80"]}
            unseen = found.get(f"{name}-tasks", {}).get("leave_one_task_out", [{"strategies": {}}])[0][
                "strategies"
            ]
            if strategy in unseen:
                row["unseen_tasks"] = unseen[strategy]["over_constant"]
            strategies.setdefault(strategy, {})[name] = row
    return {"date": about["date"][:10], "data": data, "strategies": dict(sorted(strategies.items()))}


def table(rows: list[Figure]) -> str:
    """Return Markdown."""
    lines = ["| figure | measured | target |", "|---|---|---|"]
    for row in rows:
        target = f"**missed**: {row.target}" if row.met is False else row.target
        lines.append(f"| {row.what} | {row.value} | {target} |")
    return "\n".join(lines)


def _below(what: str, value: float | None, most: float) -> Figure:
    if value is None:
        return Figure(what, "not reached", f"<= {most:g}", met=False)
    return Figure(what, f"{value:.3f}", f"<= {most:g}", value <= most)


def _gain(report: Mapping[str, Any], name: str) -> float:
    return float(report["pools"][0]["strategies"][name]["aiq_gain"])


def _aiq(report: Mapping[str, Any], name: str) -> float:
    return float(report["pools"][0]["strategies"][name]["aiq"])
