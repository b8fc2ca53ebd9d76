"""How good every strategy is on the two data sets, by `routeiq router evaluate`; remembered until code or data change.

Each row of the plan is one command; `results.json` names it, so that every figure can be taken again by hand.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.router.stage import DATA, ROOT, SETS, Stage, routeiq

from routeiq_router.evaluation.plot import plot_pool
from routeiq_signing.files import write_atomic

__all__ = ["DEFAULT", "plan", "quality"]

_CODE = (
    "strategies",
    "training",
    "evaluation",
    "data",
    "text.py",
    "embedder.py",
    "static.py",
    "space.py",
)
DEFAULT = "guarded"
_SHOWN = {"plot.py", "table.py"}
"""They show figures and make none."""
_NAMED = {"distil.py"}
"""What it makes stands in the embedder's folder name."""
_OF_PART = {"unseen.py": "models"}
"""What only one part of a report depends on."""
_LLMROUTER, _ROUTELLM = SETS


def plan(stage: Stage) -> dict[str, dict[str, Any]]:
    """Return what is measured: name to data, strategies, parts, embedder, task, plot."""
    few, both = [DEFAULT, "best"], [DEFAULT, "ensemble"]
    rows = (
        ("llmrouter", _LLMROUTER, ["all"], ["nested"], {"plot": "routing-llmrouter.svg"}),
        ("mmlu-pair", _ROUTELLM, ["all"], ["nested"], {"plot": "routing-mmlu-pair.svg", "task": "mmlu"}),
        ("llmrouter-tasks", _LLMROUTER, [*both, "ridge", "knn", "best"], ["tasks"], {}),
        ("llmrouter-models", _LLMROUTER, few, ["models"], {}),
        ("llmrouter-static", _LLMROUTER, both, ["nested"], {"embedder": stage.static}),
        ("llmrouter-fp32", _LLMROUTER, both, ["nested"], {"embedder": stage.fp32}),
    )
    return {
        name: {"data": data, "strategies": strategies, "parts": parts, **more}
        for name, data, strategies, parts, more in rows
    }


def quality(stage: Stage, only: Sequence[str] = ()) -> dict[str, Any]:
    """Return the report of each row of the plan, or of those named; draws the plots of docs/."""
    found = {}
    for name, row in plan(stage).items():
        if only and name not in only:
            continue
        embedder: Path = row.get("embedder", stage.int8)
        arguments = [
            "router", "evaluate", "--data", DATA / row["data"], "--embedder", embedder,
            *(word for one in row["strategies"] for word in ("--strategy", one)),
            *(word for one in row["parts"] for word in ("--part", one)),
            *(("--task", row["task"]) if "task" in row else ()),
        ]  # fmt: skip
        code = _digest_of_code(row["parts"])
        key = hashlib.sha256(json.dumps([code, *map(str, arguments), _digest(DATA / row["data"])]).encode())
        out = stage.folder / "reports" / f"{name}-{key.hexdigest()[:16]}.json"
        if not out.is_file():
            out.parent.mkdir(exist_ok=True)
            print(routeiq(*arguments, "--out", out), flush=True)
        report = json.loads(out.read_text())
        if "plot" in row:
            picture = ROOT / "docs" / row["plot"]
            write_atomic(picture, plot_pool(report["pools"][0], title=name, path=picture))
        shown = [word.name if isinstance(word, Path) else str(word) for word in arguments]
        found[name] = {"command": f"routeiq {' '.join(shown)}", **report}
    return found


def _digest_of_code(parts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    package = ROOT / "router/routeiq_router"
    idle = _SHOWN | _NAMED | {name for name, part in _OF_PART.items() if part not in parts}
    for path in sorted(file for name in _CODE for file in _files(package / name) if file.name not in idle):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    return [path] if path.suffix == ".py" else list(path.rglob("*.py"))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
