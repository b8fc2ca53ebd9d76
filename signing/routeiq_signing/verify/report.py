"""What a verification tells: which checks passed, what they rest on, and what they cannot promise."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["STEPS", "Report"]

STEPS = (
    "sizes within their caps",
    "signature over the raw bytes of bundle.json",
    "bundle.json is strict and canonical",
    "sequence",
    "not expired",
    "every header, path and digest; nothing extra, nothing missing",
    "attachments and SHA256SUMS are signed and agree",
    "OCI documents agree with bundle.json",
)


@dataclass
class Report:
    """The outcome for one bundle; `steps` are numbered as in `STEPS`, from 1."""

    digest: str = ""
    keyid: str = ""
    name: str = ""
    version: str = ""
    channel: str = ""
    sequence: int = 0
    created: str = ""
    expires: str = ""
    files: int = 0
    bytes: int = 0
    accepted: bool = False
    trust: str = ""
    root: int = 0
    lacks: list[str] = field(default_factory=list)
    provenance: dict[str, Any] = field(default_factory=dict)  # empty: none is attached
    signers: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {**asdict(self), "steps": [f"{number} {text}" for number, text in enumerate(STEPS, 1)]}

    def to_text(self) -> str:
        """Return the report for people."""
        lines = [f"  {number}. {text}: ok" for number, text in enumerate(STEPS, 1)]
        lines.append(
            f"bundle    {self.name} {self.version}, channel {self.channel}, sequence {self.sequence}"
        )
        lines.append(f"created   {self.created}, expires {self.expires}")
        lines.append(f"content   {self.files} files, {self.bytes / 1e6:.1f} MB")
        lines.append(f"key       {self.keyid}")
        lines.append(f"trust     {self.trust}")
        if self.provenance:
            by, when = self.provenance["builder"], self.provenance["finishedOn"]
            lines.append(f"built     by {by}, finished {when or 'at no stated time'} (the signer's word)")
        lines.extend(f"note      {text}" for text in self.notes)
        lines.extend(f"warning   {text}" for text in self.warnings)
        lines.append(f"accepted  {self.digest}")
        return "\n".join(lines)
