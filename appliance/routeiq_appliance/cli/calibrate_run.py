"""Asks every group every prompt that is not in the journal, some at a time, and keeps what came back."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from routeiq_appliance.cli.calibrate_ask import Asker, Failure, Reply
from routeiq_signing.progress import Progress

if TYPE_CHECKING:
    from routeiq_router.calibration.item import Item
    from routeiq_router.calibration.journal import Journal

__all__ = ["Failed", "run"]

_IN_A_ROW = 10
"""A group that failed as often as this, each time after all attempts, is left alone."""


@dataclass
class Failed:
    """What failed of one group: how often, in a row, and the last reason."""

    count: int = 0
    in_a_row: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def given_up(self) -> bool:
        """Whether the group is asked no more."""
        return self.in_a_row >= _IN_A_ROW


def run(
    asker: Asker,
    journal: "Journal",
    items: "Sequence[Item]",
    asked: Mapping[str, str],
    *,
    concurrency: int,
    progress: Progress,
) -> dict[str, Failed]:
    """Ask; returns what failed of each group (`asked`: group to the name it is asked by). Raises what `Asker.ask` does.

    An answer is in the journal before the next one is waited for, whatever ends the run.
    """
    from routeiq_router.calibration.checks import is_right  # noqa: PLC0415 - numpy

    failed = {group: Failed() for group in asked}
    tasks = [(item, group) for item in items for group in asked if (group, item.id) not in journal.answers]

    def one(item: "Item", group: str) -> Reply | Failure | None:
        return None if failed[group].given_up else asker.ask(asked[group], item.prompt)

    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="calibrate")
    try:
        with progress.task("calibrating", len(tasks), "answer") as advance:
            running: dict[Future[Reply | Failure | None], tuple[Item, str]] = {
                pool.submit(one, item, group): (item, group) for item, group in tasks
            }
            for done in as_completed(running):
                item, group = running[done]
                found = done.result()
                if isinstance(found, Reply):
                    journal.add(group, item.id, right=is_right(item.check, item.answer, found.text))
                    failed[group].in_a_row = 0
                else:
                    _count(failed[group], found)
                advance(1)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return failed


def _count(failed: Failed, found: Failure | None) -> None:
    failed.count += 1
    if found is not None:
        failed.in_a_row += 1
        failed.reasons[found.reason] = failed.reasons.get(found.reason, 0) + 1
