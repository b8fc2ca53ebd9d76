"""How much each strategy gains over the hull of single models: nested cross-validation over hashed folds.

    .venv/bin/python benchmarks/routing_quality.py [--embedder DIR] DATA.jsonl.gz [DATA …]

For every outer fold hyperparameters are chosen again on the other folds, so no prompt has a part in fitting or choosing
what judges it. Takes some minutes per strategy on one core. Prints a Markdown table.
"""

# ruff: noqa: PLC0415 - numpy reads its environment when it is imported.

import argparse
import os
import subprocess
import sys
from pathlib import Path

from routeiq_appliance.cli.support import BarProgress
from routeiq_router.training.pinned import ENVIRONMENT, is_pinned

ROOT = Path(__file__).resolve().parents[1]
EMBEDDER = ROOT / "build/dev/models/sentence-transformers/all-MiniLM-L6-v2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--strategy", action="append", help="default: all")
    parser.add_argument("--embedder", type=Path, default=EMBEDDER)
    arguments = parser.parse_args()

    from routeiq_router.data.costs import model_costs, read_costs
    from routeiq_router.data.dataset import read_data
    from routeiq_router.data.embedding import embed_prompts
    from routeiq_router.data.split import fold_numbers
    from routeiq_router.embedder import Embedder
    from routeiq_router.evaluation.report import quality_report
    from routeiq_router.folder import read_unsigned
    from routeiq_router.strategies.registry import strategy, strategy_names
    from routeiq_router.training.selection import INNER_FOLDS, Training, nested_predictions

    data, progress = read_data(arguments.data, scored=True), BarProgress()
    embedder = Embedder.load(read_unsigned(arguments.embedder), cache_size=0)
    inputs = embed_prompts(embedder, data.prompts, cache=ROOT / "build/cache/embeddings", progress=progress)
    training = Training(inputs, data.scores, fold_numbers(data.prompts, INNER_FOLDS))
    outer = fold_numbers(data.prompts, INNER_FOLDS, salt=1)
    costs, _ = model_costs(data.models, read_costs(None))
    print(
        "| strategy | models | prompts | AIQ | hull | above the hull [95 %] | cost at 95 % | RMSE | correlation |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in arguments.strategy or strategy_names():
        with progress.task(name, None, "fit") as advance:
            predicted = nested_predictions(strategy(name), training, outer, seed=0, advance=advance)
        report = quality_report(predicted, data.scores, data.prompts, data.models, costs, seed=0)
        for pool in report["pools"]:
            fits = [report["models"][model] for model in pool["models"]]
            low, high = pool["aiq_gain_interval"]
            print(
                f"| {name} | {len(pool['models'])} | {pool['prompts']} | {pool['aiq']:.4f} | {pool['aiq_hull']:.4f} "
                f"| {pool['aiq_gain']:+.4f} [{low:+.4f}, {high:+.4f}] | {pool['cost_at_95']:.3f} "
                f"| {sum(fit['rmse'] for fit in fits) / len(fits):.4f} "
                f"| {sum(fit['correlation'] for fit in fits) / len(fits):.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    if is_pinned():
        main()
    else:
        sys.exit(
            subprocess.run(
                [sys.executable, *sys.argv], env={**os.environ, **ENVIRONMENT}, check=False
            ).returncode
        )
