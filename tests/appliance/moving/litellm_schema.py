"""LiteLLM's own schema, as SQL: `litellm/proxy/schema.prisma` of the installed wheel, converted here.

Prisma's engine, which would write the SQL, is downloaded at run time; this converts what the schema uses: scalar
types, lists, `@id`, `@@id`, `@unique`, `@map`, defaults, enums. Relations become no foreign keys and indexes are left
out: pg_dump writes the rows of a table the same way with or without them.
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["create_tables", "schema_models"]

_TYPES = {
    "String": "TEXT",
    "Int": "INTEGER",
    "BigInt": "BIGINT",
    "Float": "DOUBLE PRECISION",
    "Boolean": "BOOLEAN",
    "DateTime": "TIMESTAMP(3)",
    "Json": "JSONB",
    "Bytes": "BYTEA",
    "Decimal": "DECIMAL(65,30)",
}
_FIELD = re.compile(r"\s*(\w+)\s+(\w+)(\[\])?(\?)?(.*)")
_MAP = re.compile(r'@map\("([^"]+)"\)')
_DEFAULT = re.compile(r"@default\s*\(((?:[^()]|\([^()]*\))*)\)")
_NATIVE = re.compile(r"@db\.(\w+)(\([0-9, ]+\))?")


def schema_models() -> dict[str, list[str]]:
    """Return model → the lines of its body."""
    found = importlib.util.find_spec("litellm")
    assert found is not None
    assert found.origin is not None
    text = (Path(found.origin).parent / "proxy/schema.prisma").read_text()
    return {
        name: body.splitlines()
        for name, body in re.findall(r"^model (\w+) \{(.*?)^\}", text, re.MULTILINE | re.DOTALL)
    }


def create_tables() -> str:
    """Return the statements that make every table of LiteLLM's."""
    models = schema_models()
    return "\n".join(
        f'CREATE TABLE "{name}" (\n  {", ".join(_columns(body, models))});' for name, body in models.items()
    )


def _columns(body: list[str], models: dict[str, list[str]]) -> Iterator[str]:
    keys: list[str] = []
    for raw in body:
        line = raw.partition("//")[0].rstrip()
        composite = re.match(r"\s*@@id\(\[([^\]]+)\]", line)
        if composite:
            keys = [name.strip() for name in composite[1].split(",")]
        match = _FIELD.match(line)
        if match is None or match[2] in models:
            continue
        name, kind, many, optional, rest = match.groups()
        mapped = _MAP.search(rest)
        column = mapped[1] if mapped else name
        if re.search(r"@id\b", rest):
            keys = [column]
        default = _DEFAULT.search(rest)
        yield " ".join(
            filter(
                None,
                (
                    f'"{column}"',
                    _type(kind, rest, default[1] if default else "") + (many or ""),
                    None if optional or many else "NOT NULL",
                    _default(default[1], bool(many)) if default else None,
                    "UNIQUE" if re.search(r"@unique\b", rest) else None,
                ),
            )
        )
    if keys:
        yield _primary(keys)


def _primary(keys: list[str]) -> str:
    names = ", ".join('"' + name + '"' for name in keys)
    return f"PRIMARY KEY ({names})"


def _type(kind: str, rest: str, default: str) -> str:
    if default.startswith("autoincrement"):
        return "SERIAL"
    native = _NATIVE.search(rest)
    if native:
        return {"VarChar": "VARCHAR", "Timestamptz": "TIMESTAMPTZ", "Text": "TEXT"}.get(
            native[1], native[1]
        ) + (native[2] or "")
    return _TYPES.get(kind, "TEXT")


def _default(text: str, many: bool) -> str | None:  # noqa: PLR0911 - one line for each form
    if text.startswith("autoincrement"):
        return None
    if text.startswith("dbgenerated("):
        return "DEFAULT " + text.removeprefix('dbgenerated("').removesuffix('")').replace('\\"', '"')
    if text == "now()":
        return "DEFAULT CURRENT_TIMESTAMP"
    if text.startswith(("uuid(", "cuid(")):
        return "DEFAULT gen_random_uuid()::text"
    if many:
        return "DEFAULT '{}'"
    if text.startswith('"'):
        inner = text[1:-1].replace('\\"', '"').replace("'", "''")
        return f"DEFAULT '{inner}'"
    if re.fullmatch(r"[0-9.\-]+|true|false", text):
        return f"DEFAULT {text}"
    return f"DEFAULT '{text}'"
