"""Every maximum that is put on what another gateway's database or dump says, with units and reasons."""

from dataclasses import dataclass

__all__ = ["DEFAULT_MOVE_LIMITS", "MoveLimits"]


@dataclass(frozen=True)
class MoveLimits:
    """Sizes in bytes."""

    dump_bytes: int = 1 << 40
    """After decompression: a terabyte of spend logs; a file that unpacks to more is a bomb."""
    row_bytes: int = 4 << 20
    """One row of a table that is carried: metadata of a key has kilobytes."""
    statement_bytes: int = 64 << 20
    """One line outside of a COPY block, and one INSERT: `pg_dump --rows-per-insert=10000` stays below."""
    piece_bytes: int = 1 << 20
    """Read at a time of rows that are not carried."""
    columns: int = 400
    """Of one table; PostgreSQL allows 1600, LiteLLM's widest has 50."""
    header_lines: int = 20
    """Within which pg_dump says what it is."""
    rows_at_once: int = 500
    """Read, compared and written together."""
    names_per_reason: int = 1_000
    """Names that the report lists for one reason; the count is exact."""


DEFAULT_MOVE_LIMITS = MoveLimits()
