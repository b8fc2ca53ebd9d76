"""OpenVEX 0.2.0: what a person said of a vulnerability in a product, and which findings that settles.

OpenVEX, not CycloneDX's VEX: it is a small document of its own, which a site can write and sign without touching the
bundle's bill of materials. `not_affected` (with its justification) and `fixed` settle a finding; `affected` and
`under_investigation` leave it open. A later statement about the same thing replaces an earlier one. A statement that
names no version speaks of all; one that is not understood is refused, for a VEX that is misread hides things.
Pure. Source: github.com/openvex/spec, OPENVEX-SPEC.md.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from routeiq_images.errors import ImagesError
from routeiq_signing.errors import DocumentError
from routeiq_signing.strict_json import loads

__all__ = ["MAX_VEX", "Statement", "parse_vex", "settle"]

MAX_VEX = 4 << 20  # bytes
_CONTEXT = "https://openvex.dev/ns"
_STATUSES = frozenset({"not_affected", "affected", "fixed", "under_investigation"})
_JUSTIFICATIONS = frozenset(
    {
        "component_not_present",
        "vulnerable_code_not_present",
        "vulnerable_code_not_in_execute_path",
        "vulnerable_code_cannot_be_controlled_by_adversary",
        "inline_mitigations_already_exist",
    }
)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement: vulnerability `names`, the purls it is about, its `status`, and the reason in `why`."""

    names: frozenset[str]
    products: tuple[str, ...]
    status: str
    why: str
    timestamp: datetime

    @property
    def settles(self) -> bool:
        """Whether a finding is no longer open under it."""
        return self.status in {"not_affected", "fixed"}


def parse_vex(raw: bytes, what: str) -> tuple[Statement, ...]:
    """Return the statements of a document, the later ones last; raises `ImagesError` for what is no OpenVEX."""
    try:
        document = loads(raw, what, limit=MAX_VEX, canonical=False)
    except DocumentError as error:
        raise ImagesError(str(error), subject=what) from None
    context = document.get("@context")
    if not isinstance(context, str) or not context.startswith(_CONTEXT):
        _refuse(what, f"its @context is not {_CONTEXT}")
    stamp = _time(document, what)
    statements = document.get("statements")
    if not isinstance(statements, list) or not statements:
        _refuse(what, "it has no statements")
    found = [_statement(item, stamp, f"{what}: statement {index}") for index, item in enumerate(statements)]
    return tuple(sorted(found, key=lambda item: item.timestamp))


def settle(
    statements: Iterable[Statement], names: Collection[str], purls: Sequence[str], version: str
) -> Statement | None:
    """Return the statement that holds for a finding with these `names` in the component with these `purls`.

    `purls` are the component's own and its source package's. The latest one wins; None when nobody said anything.
    """
    holds = [
        item
        for item in statements
        if item.names & set(names)
        and any(_same(said, purl, version) for said in item.products for purl in purls)
    ]
    return holds[-1] if holds else None


def _same(said: str, purl: str, version: str) -> bool:
    """Tell whether the purl `said` means `purl`: type, namespace and name, and the version where `said` has one."""
    head, at = _split(said)
    ours, encoded = _split(purl)
    return head == ours and at in {"", version, encoded}


def _split(purl: str) -> tuple[str, str]:
    """Return a purl's name part and its version, both as written; an `@` of a scope is `%40` in a purl."""
    head, _, version = purl.partition("#")[0].partition("?")[0].partition("@")
    return head, version


def _statement(item: Any, stamp: datetime, what: str) -> Statement:
    if not isinstance(item, dict):
        _refuse(what, "is no object")
    vulnerability = item.get("vulnerability")
    if not isinstance(vulnerability, dict):
        _refuse(what, "names no vulnerability")
    aliases = vulnerability.get("aliases", [])
    if not isinstance(aliases, list) or not all(isinstance(one, str) for one in aliases):
        _refuse(what, "its aliases are no texts")
    status = _text(item, "status", what)
    if status not in _STATUSES:
        _refuse(what, f"status {status[:40]!r} is none of {', '.join(sorted(_STATUSES))}")
    justification, impact = item.get("justification"), item.get("impact_statement")
    if justification is not None and justification not in _JUSTIFICATIONS:
        _refuse(what, "its justification is none of OpenVEX's")
    if status == "not_affected" and not justification and not (isinstance(impact, str) and impact.strip()):
        _refuse(what, "says not_affected without a justification or an impact statement")
    parts = [text for text in (justification, impact, item.get("action_statement")) if isinstance(text, str)]
    return Statement(
        names=frozenset([_text(vulnerability, "name", what), *aliases]),
        products=_products(item.get("products"), what),
        status=status,
        why=_shown("; ".join(parts)),
        timestamp=_time(item, what) if "timestamp" in item else stamp,
    )


def _products(items: Any, what: str) -> tuple[str, ...]:
    """Return what a statement is about: the subcomponents of a product where it names some, else the product."""
    if not isinstance(items, list) or not items:
        _refuse(what, "names no products")
    found: list[str] = []
    for item in items:
        if not isinstance(item, dict):
            _refuse(what, "a product is no object")
        parts = item.get("subcomponents", [])
        if not isinstance(parts, list):
            _refuse(what, "subcomponents are no list")
        for part in parts or [item]:
            name = part.get("@id") if isinstance(part, dict) else None
            if not isinstance(name, str) or not name.startswith("pkg:"):
                _refuse(what, "a product has no purl as its @id")
            found.append(name)
    return tuple(found)


def _time(document: dict[str, Any], what: str) -> datetime:
    text = _text(document, "timestamp", what)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        _refuse(what, f"timestamp {text[:40]!r} is no time")
    if found.tzinfo is None:
        _refuse(what, f"timestamp {text[:40]!r} has no zone")
    return found


def _text(document: dict[str, Any], name: str, what: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 500:
        _refuse(what, f"{name} is no text, or too long")
    return value


def _shown(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split())[:300])


def _refuse(what: str, fault: str) -> NoReturn:
    raise ImagesError(f"{what}: {fault}", subject=what)
