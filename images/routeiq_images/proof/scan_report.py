"""What a scan tells: the findings as a table and as JSON, on what data they rest, and how old that is.

Pure; what is decided is `scan`'s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from routeiq_images.proof.scan import Finding, Scan
from routeiq_vendor.osv.records import parse_time
from routeiq_vendor.osv.severity import Severity

__all__ = ["ScanReport", "Source"]


@dataclass(frozen=True, slots=True)
class Source:
    """What the advisories came from: `made` is empty for data that nobody signed, and `keyid` then too."""

    made: str
    keyid: str

    @property
    def signed(self) -> bool:
        """Whether a known key signed the data."""
        return bool(self.keyid)


@dataclass(frozen=True, slots=True)
class ScanReport:
    """A scan of the bundle `digest` at `now`, failing from `least` on; `verified`: its signature was checked."""

    digest: str
    verified: bool
    source: Source
    vex: str
    scan: Scan
    least: Severity
    now: datetime

    @property
    def failing(self) -> list[Finding]:
        """The open findings that make the scan fail."""
        return self.scan.failing(self.least)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        failing = set(map(id, self.failing))
        return {
            "bundle": {"digest": self.digest, "verified": self.verified},
            "data": {
                "signed": self.source.signed,
                "keyid": self.source.keyid,
                "made": self.source.made,
                "ageDays": self._age(self.source.made),
                "ecosystems": [
                    {
                        "name": row.ecosystem,
                        "components": row.components,
                        "records": row.records,
                        "newest": row.newest,
                        "ageDays": self._age(row.newest),
                    }
                    for row in self.scan.coverage
                ],
            },
            "vex": self.vex,
            "threshold": self.least.name.lower(),
            "open": sum(item.open for item in self.scan.findings),
            "failing": len(failing),
            "findings": [_plain(item, failing=id(item) in failing) for item in self.scan.findings],
            "notScanned": list(self.scan.unscanned),
        }

    def to_text(self) -> str:
        """Return it for people."""
        lines = [f"bundle    {self.digest}{'' if self.verified else '  NOT VERIFIED: give --key or --root'}"]
        age = self._age(self.source.made)
        lines.append(
            f"data      made {self.source.made}, {age} days ago, signed by {self.source.keyid[:16]}…"
            if self.source.signed
            else "data      NOT SIGNED: whoever wrote it may have left findings out"
        )
        lines += [
            f"          {row.ecosystem}: {row.records} advisories, the newest {self._age(row.newest)} days old,"
            f" for {row.components} packages"
            for row in self.scan.coverage
        ]
        if self.vex:
            lines.append(f"vex       {self.vex}")
        if self.scan.unscanned:
            lines.append(f"not       scanned, no advisories are about them: {', '.join(self.scan.unscanned)}")
        lines += ["", *_table(self.scan.findings), ""] if self.scan.findings else [""]
        count = sum(item.open for item in self.scan.findings)
        settled = len(self.scan.findings) - count
        lines.append(
            f"{count} open findings, {len(self.failing)} of them fail this scan; {settled} settled by VEX"
        )
        return "\n".join(lines)

    def _age(self, text: str) -> int | None:
        """Return whole days, never below 0; None for no time."""
        return max((self.now - parse_time(text)).days, 0) if text else None


def _plain(item: Finding, *, failing: bool) -> dict[str, Any]:
    return {
        "id": item.id,
        "names": list(item.names),
        "package": item.subject,
        "kind": item.kind,
        "version": item.version,
        "components": list(item.components),
        "images": list(item.images),
        "severity": item.severity.name.lower(),
        "fixed": list(item.fixed),
        "summary": item.summary,
        "status": item.status,
        "why": item.why,
        "failing": failing,
    }


def _table(findings: Sequence[Finding]) -> list[str]:
    head = ("ID", "PACKAGE", "VERSION", "SEVERITY", "FIXED IN", "STATUS", "IMAGES")
    rows = [
        (
            item.id,
            f"{item.kind} {item.subject}",
            item.version,
            item.severity.name.lower(),
            ", ".join(item.fixed[:3]) or "-",
            item.status,
            ", ".join(item.images) or "-",
        )
        for item in findings
    ]
    widths = [max(len(row[index]) for row in (head, *rows)) for index in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)).rstrip()]
    for row, item in zip(rows, findings, strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if item.why or item.summary:
            lines.append(f"    {item.why or item.summary}")
    return lines
