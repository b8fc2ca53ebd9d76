"""What a comparison of two bundles found, as data and as a table for people."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Change", "Difference"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs. `fields`: name → (before, after); `lines` are of a unified diff; `note` is for people."""

    where: str
    path: str
    kind: str
    fields: Mapping[str, tuple[str, str]]
    lines: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """The outcome: the digests of both bundle.json and what differs; `left_out` changes were too many to list."""

    digests: tuple[str, str]
    changes: tuple[Change, ...]
    left_out: bool

    @property
    def identical(self) -> bool:
        """Tell whether both name the same content and hold it."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        changes = [asdict(change) for change in self.changes]
        return {
            "digests": self.digests,
            "identical": self.identical,
            "changes": changes,
            "left_out": self.left_out,
        }

    def to_text(self) -> str:
        """Return a table for people, one block for each place."""
        lines, place = [], ""
        for change in self.changes:
            if change.where != place:
                place = change.where
                lines.append(place)
            lines.append(f"  {change.kind:<8} {change.path}" + (f"  ({change.note})" if change.note else ""))
            lines += [f"             {name}: {old} -> {new}" for name, (old, new) in change.fields.items()]
            lines += [f"             | {line}" for line in change.lines]
        if self.left_out:
            lines.append(f"and more: only the first {len(self.changes)} are listed")
        lines.append("identical" if self.identical else f"NOT IDENTICAL: {len(self.changes)} differences")
        return "\n".join(lines)
