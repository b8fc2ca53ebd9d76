"""The card of a calibrated artifact: whose answers made it, and what it is not for. Pure."""

from collections.abc import Mapping
from typing import Any

from routeiq_router.artifact import Artifact
from routeiq_router.calibration.text import report_text

__all__ = ["write_card"]

_LIMITS = """\
- Ranks the groups below, by name, by predicted quality and cost. Another group has no prediction, and comes last.
- Quality is the share of answers that a program found right, on prompts like the suite's; style is not in it.
- What a prompt needs is predicted by the artifact it was made from; its limits hold here too.
- A group whose model, prompt template or quantisation changes is another one: calibrate again.
"""


def write_card(artifact: Artifact, report: Mapping[str, Any]) -> str:
    """Return the card as Markdown."""
    base, suite = report["base"], report["suite"]
    made = (
        f"Calibrated from `{base['name']}` (`{base['strategy']}`, `{base['digest']}`) by the answers of "
        f"{len(artifact.models)} groups to {suite['prompts']} prompts (`{suite['digest']}`)."
    )
    return "\n".join([
        f"# {artifact.name}",
        "",
        made,
        "",
        _LIMITS,
        f"Embedder: {artifact.embedder.name}, `{artifact.embedder.digest}`.",
        "",
        "```",
        report_text(report),
        "```",
        "",
    ])  # fmt: skip
