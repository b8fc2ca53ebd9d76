"""The parser of dumps: what pg_dump writes is read as it was; all else in the file is refused or passed over."""

import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from routeiq_appliance.errors import MoveError
from routeiq_appliance.moving.dump_file import DumpLines
from routeiq_appliance.moving.lexer import Comment, CopyEnd, CopyLine, CopyStart, Statement, tokens
from routeiq_appliance.moving.limits import DEFAULT_MOVE_LIMITS, MoveLimits
from routeiq_appliance.moving.literals import Damage, copy_row, read_columns, read_insert
from routeiq_appliance.moving.source import read_dump
from routeiq_appliance.moving.staging import open_staging
from routeiq_appliance.moving.tables import KEYS

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
AWKWARD = st.one_of(TEXT, st.text(st.sampled_from("\\'\"\n\r\t.;-$Nexu07{}(),*/ \v\f\b"), max_size=20))
VALUES = st.lists(st.none() | AWKWARD, min_size=1, max_size=4)
HEAD = "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\nSET standard_conforming_strings = on;\n"
TAIL = "\n--\n-- PostgreSQL database dump complete\n--\n\n"
TOKEN = "a" * 64


def copy_text(value: str | None) -> str:
    """As PostgreSQL's `CopyAttributeOutText` writes a value."""
    if value is None:
        return "\\N"
    named = {"\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
    return "".join(named.get(sign, sign) for sign in value)


def copy_block(columns: str, *rows: Sequence[str | None], table: str = KEYS) -> str:
    lines = ["\t".join(map(copy_text, row)) for row in rows]
    return "\n".join([f'COPY public."{table}" ({columns}) FROM stdin;', *lines, "\\.", ""])


def quoted(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def read(
    path: Path, text: str | bytes, limits: MoveLimits = DEFAULT_MOVE_LIMITS
) -> list[dict[str, str | None]]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with open_staging() as staging:
        read_dump(path, staging, lambda _amount: None, limits)
        return [dict(row) for row in staging.rows(KEYS)]


@given(VALUES)
@example(["\\.", "\\N", None, ""])
def test_every_value_that_copy_writes_is_read_as_it_was(values: list[str | None]) -> None:  # L4
    line = "\t".join(map(copy_text, values))
    assert "\n" not in line
    assert copy_row(line.encode(), len(values)) == values


@given(st.lists(VALUES, min_size=1, max_size=3))
def test_every_value_that_an_insert_writes_is_read_as_it_was(rows: list[list[str | None]]) -> None:  # L4
    text = ",\n\t".join("(" + ", ".join(map(quoted, row)) + ")" for row in rows)
    insert = read_insert(f'INSERT INTO public."A ""b" VALUES\n\t{text};')
    assert insert.rows == rows
    assert insert.columns is None


@given(st.lists(st.tuples(AWKWARD, AWKWARD), max_size=3), st.sampled_from(["copy", "insert"]))
def test_no_value_ends_its_row_or_its_statement(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], form: str
) -> None:  # L4
    rows = [[f"{number:064d}", *pair] for number, pair in enumerate(pairs)]
    rows.append([TOKEN, "last", ""])
    if form == "copy":
        body = copy_block("token, key_alias, metadata", *rows)
    else:
        body = "".join(
            f'INSERT INTO public."{KEYS}" (token, key_alias, metadata) VALUES ({", ".join(map(quoted, row))});\n'
            for row in rows
        )
    found = read(tmp_path_factory.getbasetemp() / "values.sql", HEAD + body + TAIL)
    assert [[row["token"], row["key_alias"], row["metadata"]] for row in found] == rows


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.sql"
    for content in (data, HEAD.encode() + data, HEAD.encode() + copy_block("token", [TOKEN]).encode() + data):
        with pytest.raises(MoveError):
            read(path, content)


SNIPPETS = [
    "CREATE FUNCTION f() RETURNS text AS $body$ SELECT ';' || '\n' COPY \"LiteLLM_X\" $body$ LANGUAGE sql;",
    "COMMENT ON TABLE a IS 'it''s; -- no comment\nINSERT INTO x VALUES (1);';",
    "ALTER TABLE a ADD CHECK (b <> E'\\';\\\\');",
    'CREATE TABLE public."we;ird""name" (a text DEFAULT \'a;b\'::text);',
    "/* a /* nested */ ; comment\n of lines */ SELECT 1;",
    "SELECT pg_catalog.set_config('search_path', '', false); -- a;b",
    "SELECT a$b$c FROM d; SELECT $$;$$;",
    "SELECT 'a' -- ' ; \n 'b';",
    "\\restrict aB3\n\\unrestrict aB3",
    copy_block("a, b", ["x", "y"], ["\\.", None], table="Other"),
    "",
]


@given(st.lists(st.sampled_from(SNIPPETS), max_size=6))
def test_other_statements_are_passed_over(
    tmp_path_factory: pytest.TempPathFactory, snippets: list[str]
) -> None:
    row: list[str | None] = [TOKEN, None]
    text = (
        HEAD + "\n".join(snippets) + "\n" + copy_block("token, key_alias", row) + "\n".join(snippets) + TAIL
    )
    path = tmp_path_factory.getbasetemp() / "others.sql"
    assert read(path, text) == [{"token": TOKEN, "key_alias": None}]
    assert read(path, text.replace("\n", "\r\n")) == [{"token": TOKEN, "key_alias": None}]
    assert read(path, gzip.compress(text.encode())) == [{"token": TOKEN, "key_alias": None}]


GOOD = HEAD + copy_block("token, key_alias", [TOKEN, "a"], ["b" * 64, "b"]) + TAIL
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "not a dump by pg_dump"),
    "not a dump": ("hello\nworld\n", "not a dump by pg_dump"),
    "SQL of another kind": ("SELECT 1;\n" + GOOD, "not a dump by pg_dump"),
    "no end": (GOOD.removesuffix(TAIL), "cut off: the dump has no end"),
    "cut off in a table": (GOOD[: GOOD.index("\\.")], "cut off in the middle of a table"),
    "cut off in a row": (GOOD[: GOOD.index("\tb")], "cut off in the middle of a table"),
    "cut off in a statement": (HEAD + "SELECT 'a", "cut off in the middle of a statement"),
    "goes on": (GOOD + "SELECT 1;\n", "goes on after its end"),
    "rows after the end": (GOOD + copy_block("token", ["c" * 64]), "goes on after its end"),
    "twice": (GOOD + GOOD, "a second dump begins"),
    "an end in a string": (
        HEAD + "SELECT '\n--\n-- PostgreSQL database dump complete\n--\n';",
        "the dump has no end",
    ),
    "a whole server": (
        GOOD.replace("PostgreSQL database dump\n", "PostgreSQL database cluster dump\n"),
        "by pg_dumpall",
    ),
    "another encoding": (GOOD.replace("UTF8", "LATIN1"), "encoded in LATIN1"),
    "not UTF-8": (GOOD.encode().replace(b"\ta\n", b"\t\xff\n"), "a value is not UTF-8"),
    "strings of old": (GOOD.replace("strings = on", "strings = off"), "not written as standard SQL"),
    "psql commands": (HEAD + "\\i /etc/passwd\n" + GOOD.removeprefix(HEAD), "a command of psql"),
    "a shell command": (HEAD + "\\! rm -rf /\n" + GOOD.removeprefix(HEAD), "a command of psql"),
    "no LiteLLM": (HEAD + copy_block("a", ["b"], table="users") + TAIL, "not a database of LiteLLM's"),
    "no rows": (HEAD + copy_block("token") + TAIL, "no row of them"),
    "too few values": (GOOD.replace("\ta\n", "\n"), "a row has 1 values, its table 2 columns"),
    "a NUL byte": (GOOD.replace("\ta\n", "\t\\000\n"), "holds a NUL byte"),
    "a NUL byte, raw": (GOOD.replace("\ta\n", "\t\0\n"), "holds a NUL byte"),
    "a loose backslash": (GOOD.replace("\tb\n", "\tb\\\n"), "ends in a backslash"),
    "no primary key": (GOOD.replace(TOKEN, "\\N"), "has no token"),
    "a key twice": (GOOD.replace("b" * 64, TOKEN), "the same primary key"),
    "a column twice": (GOOD.replace("token, key_alias", "token, token"), "a column is named twice"),
    "two schemas": (
        HEAD
        + copy_block("token", [TOKEN])
        + copy_block("token", ["b" * 64]).replace("public", "other")
        + TAIL,
        "is in two schemas",
    ),
    "a binary COPY": (
        GOOD.replace(" FROM stdin;", " FROM stdin WITH (FORMAT binary);"),
        "a COPY that pg_dump does not write",
    ),
    "a COPY of a program": (
        HEAD + "COPY public.a (b) FROM PROGRAM 'id';\n" + GOOD.removeprefix(HEAD),
        "a COPY that pg_dump does not write",
    ),
    "an INSERT that computes": (
        HEAD + f'INSERT INTO public."{KEYS}" (token) VALUES (md5(random()));' + TAIL,
        "a value that is no literal",
    ),
    "an INSERT of a query": (
        HEAD + f'INSERT INTO public."{KEYS}" (token) SELECT 1;' + TAIL,
        "an INSERT without VALUES",
    ),
    "an INSERT without columns": (
        HEAD + f"INSERT INTO public.\"{KEYS}\" VALUES ('x');" + TAIL,
        "without the names of their columns",
    ),
    "a function with statements": (
        HEAD
        + "CREATE FUNCTION f() RETURNS void LANGUAGE sql BEGIN ATOMIC INSERT INTO a VALUES (1); END;"
        + TAIL,
        "a function with statements in it",
    ),
    "custom format": (b"PGDMP\x01\x0e\x00" + b"x" * 50, "custom format"),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"x" * 50, "compressed with zstd"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_faulty_dump_is_refused(fault: str, tmp_path: Path) -> None:  # L4
    text, message = REFUSED[fault]
    with pytest.raises(MoveError, match=message.replace("(", r"\(")) as caught:
        read(tmp_path / "dump.sql", text)
    assert str(tmp_path / "dump.sql") in str(caught.value) or "primary key" in message
    assert caught.value.hint or fault in {"empty", "not a dump"}


@pytest.mark.parametrize("bytes_left", [10, 60, 100])
def test_a_damaged_gzip_is_refused(bytes_left: int, tmp_path: Path) -> None:  # L4
    packed = gzip.compress(GOOD.encode())
    with pytest.raises(MoveError, match="damaged or cut off"):
        read(tmp_path / "cut.gz", packed[:bytes_left])
    changed = bytearray(packed)
    changed[-6] ^= 1  # the checksum
    with pytest.raises(MoveError, match="damaged or cut off"):
        read(tmp_path / "changed.gz", bytes(changed))


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    limits = MoveLimits(row_bytes=1000, statement_bytes=2000, dump_bytes=50_000)
    with pytest.raises(MoveError, match="a row is larger than 1000 bytes"):
        read(tmp_path / "row.sql", HEAD + copy_block("token, key_alias", [TOKEN, "x" * 1000]) + TAIL, limits)
    with pytest.raises(MoveError, match="larger than 2000 bytes|longer than 2000 bytes"):
        read(tmp_path / "statement.sql", HEAD + f"SELECT '{'x' * 3000}';" + TAIL, limits)
    many = f'INSERT INTO public."{KEYS}" (token) VALUES\n' + ",\n".join(["('x')"] * 1000) + ";"
    with pytest.raises(MoveError, match="a statement is larger than 2000 bytes"):
        read(tmp_path / "insert.sql", HEAD + many + TAIL, limits)
    bomb = gzip.compress((HEAD + "-- x\n" * 20_000).encode())
    assert len(bomb) < 1000
    with pytest.raises(MoveError, match="unpacks to more than 50000 bytes"):
        read(tmp_path / "bomb.gz", bomb, limits)


def test_rows_that_nobody_wants_may_be_of_any_size(tmp_path: Path) -> None:
    limits = MoveLimits(row_bytes=1000, piece_bytes=100)
    logs = copy_block(
        "request_id, messages", ["r1", "x" * 5000], ["r2", "\\." * 200], ["r3", ""], table="LiteLLM_SpendLogs"
    )
    path = tmp_path / "logs.sql"
    path.write_text(HEAD + logs + copy_block("token", [TOKEN]) + TAIL)
    with open_staging() as staging:
        read_dump(path, staging, lambda _amount: None, limits)
        assert staging.others == {"LiteLLM_SpendLogs": 3}


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("pipe", "not a regular file"),
        ("nothing", "no such file"),
        (".", "not a regular file"),
    ):
        with pytest.raises(MoveError, match=message), open_staging() as staging:
            read_dump(tmp_path / name, staging, lambda _amount: None, DEFAULT_MOVE_LIMITS)


def test_tokens_tell_what_is_in_a_dump() -> None:
    text = "-- hi\nSET a = 1;\nSELECT 2;\nCOPY public.a (b, c) FROM stdin;\n1\t2\n\\.\n"
    lines = DumpLines("x", io.BytesIO(text.encode()), io.BytesIO(), lambda _amount: None, DEFAULT_MOVE_LIMITS)
    found = list(tokens(lines, lambda head: head.startswith("SET"), lambda _table: True, DEFAULT_MOVE_LIMITS))
    assert found == [
        Comment("hi"), Statement("SET a = 1;"), Statement(None), CopyStart("public.a", "b, c"), CopyLine(b"1\t2"),
        CopyEnd(),
    ]  # fmt: skip


def test_columns_are_read_from_the_table(tmp_path: Path) -> None:
    made = (
        f"CREATE TABLE public.\"{KEYS}\" (\n    token text NOT NULL,\n    key_alias text DEFAULT 'a, (b'::text,\n"
        "    models text[] DEFAULT ARRAY[]::text[],\n    CONSTRAINT c CHECK ((token <> ''::text))\n);"
    )
    assert read_columns(made) == (f'public."{KEYS}"', ("token", "key_alias", "models"))
    text = HEAD + made + f"\nINSERT INTO public.\"{KEYS}\" VALUES ('{TOKEN}', NULL, '{{}}');\n" + TAIL
    assert read(tmp_path / "x.sql", text) == [{"token": TOKEN, "key_alias": None, "models": "{}"}]


@pytest.mark.parametrize(
    ("written", "value"),
    [("true", "t"), ("false", "f"), ("-1.5e-07", "-1.5e-07"), ("E'a\\nb\\'c\\u00e9'", "a\nb'c\u00e9"),
     ("'{\"a\": 1}'::jsonb", '{"a": 1}'), ("NULL", None), ("E'\\x41\\102'", "AB")],
)  # fmt: skip
def test_literals_have_the_text_of_a_copy(written: str, value: str | None) -> None:
    assert read_insert(f"INSERT INTO a VALUES ({written});").rows == [[value]]


@pytest.mark.parametrize(
    "written", ["now()", "'a' || 'b'", "1 + 1", "(SELECT 1)", "DEFAULT", "E'\\200'", "1e", "E'\\ud800'", ""]
)
def test_what_is_no_literal_is_refused(written: str) -> None:
    with pytest.raises(Damage):
        read_insert(f"INSERT INTO a VALUES ({written});")


def test_rows_are_staged_as_json(tmp_path: Path) -> None:
    rows = read(
        tmp_path / "x.sql", HEAD + copy_block("token, metadata", [TOKEN, json.dumps({"a": "\t\\"})]) + TAIL
    )
    assert json.loads(rows[0]["metadata"] or "") == {"a": "\t\\"}


def test_a_large_dump_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:  # L4
    path = tmp_path / "large.sql"
    with path.open("w") as file:
        file.write(HEAD + 'COPY public."LiteLLM_SpendLogs" (request_id, messages) FROM stdin;\n')
        file.writelines(f"{number}\t{'x' * 1000}\n" for number in range(10_000))
        file.write(f'\\.\nCOPY public."{KEYS}" (token, metadata) FROM stdin;\n')
        file.writelines(f"{number:064d}\t{'y' * 500}\n" for number in range(10_000))
        file.write("\\.\n" + TAIL)
    with open_staging() as staging:
        tracemalloc.start()
        try:
            read_dump(path, staging, lambda _amount: None, DEFAULT_MOVE_LIMITS)
            rows = sum(1 for _ in staging.rows(KEYS))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert rows == 10_000
    assert peak < 3 << 20, "of 15 MB in the file"
