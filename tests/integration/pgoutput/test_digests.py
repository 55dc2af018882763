"""Digests of rows: what PostgreSQL computes over a table is what the texts that the reader gives say."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from psycopg.conninfo import make_conninfo

from cdc.changes import AFTER, SourceColumn, SourceTable, SourceType, TableName
from cdc.digests import postgres as rendered
from cdc.digests.definition import Algorithm, RowDigest, row_digest
from cdc.digests.frames import digests
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS
from sandbox.postgres import PostgresServer
from tests.contract.reader_suite import snapshot
from tests.integration.pgoutput.source import Prepaid

TYPES = {
    "a_boolean": ("boolean", ["true", "false"]),
    "a_smallint": ("smallint", ["-32768", "0", "7"]),
    "a_bigint": ("bigint", ["-9223372036854775808", "9223372036854775807"]),
    "an_oid": ("oid", ["4294967295", "0"]),
    "a_real": ("real", ["1e-30", "3.4e38", "-0", "NaN", "Infinity", "0.1", "16777216"]),
    "a_double": ("double precision", ["1e-300", "1.7e308", "-Infinity", "0.1", "1e15", "1e16", "5e-324"]),
    "a_numeric": ("numeric", ["NaN", "Infinity", "-0.00", "1.50", "0.1", "1e200", "1e-200", "-12.3400"]),
    "a_scaled": ("numeric(10,2)", ["0", "-0.01", "99999999.99"]),
    "a_negative_scale": ("numeric(3,-3)", ["123456"]),
    "a_money": ("money", ["-12.34", "1234567.89"]),
    "a_text": ("text", ["", " ", ";", ":", "1:a", "\u2400", "x" * 9000, "\U0001f600 é", "a\nb\\\t\"'"]),
    "a_varchar": ("varchar(20)", ["trailing ", ""]),
    "a_char": ("char(6)", ["", "ab", "a b", "\U0001f600"]),
    "a_quoted_char": ('"char"', ["a", ""]),
    "a_name": ("name", ["pg_class"]),
    "a_bytea": ("bytea", ["", "\\x00ff", "\\xdeadbeef"]),
    "a_date": ("date", ["2024-02-29", "0044-03-15 BC", "infinity", "-infinity", "12345-01-01"]),
    "a_timestamp": ("timestamp", ["2024-02-29 10:11:12.5", "0044-03-15 10:00:00 BC", "infinity"]),
    "a_timestamptz": ("timestamptz", ["2024-02-29 24:00:00+05:30", "0001-01-01 00:00:00+14 BC", "-infinity"]),
    "a_time": ("time", ["24:00:00", "10:11:12.123456"]),
    "a_timetz": ("timetz", ["10:11:12+05:30"]),
    "an_interval": ("interval", ["1 year -2 mons 3 days -04:05:06.5", "0", "-1 day"]),
    "a_uuid": ("uuid", ["00000000-0000-0000-0000-0000000000ff"]),
    "a_json": ("json", ['{"b": 1,  "a": [null]}', "null"]),
    "a_jsonb": ("jsonb", ['{"b": 1,  "a": [null]}', "1.50"]),
    "an_xml": ("xml", ["<a>é</a>"]),
    "an_inet": ("inet", ["10.0.0.1/8", "::1"]),
    "a_macaddr": ("macaddr", ["08:00:2b:01:02:03"]),
    "a_bit": ("bit(3)", ["101"]),
    "a_varbit": ("bit varying", ["", "1"]),
    "a_point": ("point", ["(1e300,-0)"]),
    "a_range": ("int4range", ["[1,5)", "empty"]),
    "a_tsvector": ("tsvector", ["'a':1 'b':2"]),
    "a_mood": ("mood", ["ok", "not ok"]),
    "some_texts": ("text[]", ["{}", '{NULL,"NULL","",a}']),
    "some_chars": ("char(3)[]", ["{a,bc}"]),
    "a_pair": ("pair", ["(,)", "(1,)", '(1," x")']),
    "a_short": ("short", ["abc "]),
    "a_flag": ("flag", ["true"]),
}
"""Column, its type, and literals of it."""


@pytest.fixture(scope="module")
def prepaid(postgres: PostgresServer) -> Iterator[Prepaid]:
    """A database with one table of every type."""
    source = Prepaid(postgres.create_database("digests"))
    source.execute(
        "create type mood as enum ('ok', 'not ok')",
        "create type pair as (a integer, b text)",
        "create domain short as varchar(5)",
        "create domain flag as boolean",
        "create table every (id bigint primary key, "
        + ", ".join(f"{name} {type_}" for name, (type_, _) in TYPES.items())
        + ")",
    )
    yield source
    source.close()


def computed(source: Prepaid, definition: RowDigest, order: str) -> list[int | None]:
    """The digests of a table's rows, as the server computes them."""
    with psycopg.connect(make_conninfo(source.info, options=SESSION_OPTIONS)) as connection:
        query = sql.SQL("select {} from {} order by {}").format(
            sql.SQL(rendered.digest(definition)),
            sql.Identifier(definition.table.schema, definition.table.name),
            sql.Identifier(order),
        )
        return [None if value is None else int(str(value)) for (value,) in connection.execute(query)]


def literal(value: str | None) -> str:
    return "null" if value is None else sql.Literal(value).as_string()


@pytest.mark.parametrize("algorithm", Algorithm)
def test_server_and_frame_agree_on_every_type(prepaid: Prepaid, algorithm: Algorithm) -> None:
    """Each literal of each type alone in its row, NULL in all, and all of the first ones together."""
    rows: list[dict[str, str]] = [{}, {name: literals[0] for name, (_, literals) in TYPES.items()}]
    rows += [{name: one} for name, (_, literals) in TYPES.items() for one in literals]
    if algorithm is Algorithm.MD5:
        prepaid.execute(
            *(
                f"insert into every (id{''.join(f', {name}' for name in row)}) "
                f"values ({number}{''.join(f', {literal(text)}' for text in row.values())})"
                for number, row in enumerate(rows)
            )
        )
        prepaid.publish("every")
    batches = snapshot(prepaid.reader("every"), max_rows=1_000)
    (changes,) = (table for batch in batches for table in batch.tables.values())
    definition = row_digest(changes.table, TYPES, kind="postgres", algorithm=algorithm)
    assert not definition.left_out
    by_frame = digests(definition, changes.frame, AFTER).to_list()
    by_server = computed(prepaid, definition, "id")
    different = [
        rows[number]
        for number, pair in enumerate(zip(by_frame, by_server, strict=True))
        if pair[0] != pair[1]
    ]
    assert different == []
    assert len(set(by_frame)) == len(rows)


def test_stream_and_server_agree(prepaid: Prepaid) -> None:
    """What comes through the log has the digest of the row in the table."""
    prepaid.execute(
        "create table streamed (id bigint primary key, amount numeric, label char(5), raw bytea, "
        "paid_at timestamptz, ratio real)"
    )
    reading = prepaid.start("streamed")
    prepaid.execute(
        "insert into streamed values (1, 1.50, 'a', '', '2024-02-29 10:00+05:30', 1e20)",
        "insert into streamed values (2, null, '', null, null, null)",
        "update streamed set amount = -0.00 where id = 2",
    )
    reading.take(3)
    changes = [table for batch in reading.batches for table in batch.tables.values()]
    frame = pl.concat(table.frame for table in changes)
    definition = row_digest(changes[0].table, changes[0].table.column_names, kind="postgres")
    by_frame = digests(definition, frame[[0, 2]], AFTER).to_list()
    assert by_frame == computed(prepaid, definition, "id")


TEXTS = st.none() | st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=6)

NUMBERS = st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS, NUMBERS)))
def test_any_texts_and_numbers(prepaid: Prepaid, rows: list[tuple[str | None, str | None, object]]) -> None:
    """Whatever the values: the same number on both sides, and rows that differ have texts that differ."""
    prepaid.execute(
        "create table if not exists random (id bigint primary key, a text, b text, n numeric)",
        "truncate random",
    )
    prepaid.connection.cursor().executemany(
        "insert into random values (%s, %s, %s, %s)", [(number, *row) for number, row in enumerate(rows)]
    )
    (table,) = prepaid.reader("random").describe().values()
    definition = row_digest(replace(table, key=()), ["a", "b", "n"], kind="postgres")
    frame = pl.DataFrame(
        [(a, b, None if n is None else format(n, "f")) for a, b, n in rows],
        schema=dict.fromkeys(("a", "b", "n"), pl.String),
        orient="row",
    )
    by_frame = digests(definition, frame).to_list()
    assert by_frame == computed(prepaid, definition, "id")
    assert len(set(by_frame)) == len(set(frame.rows()))


def test_database_that_is_not_utf8(postgres: PostgresServer) -> None:
    """The bytes hashed are UTF-8 whatever the server stores."""
    rows = [("é", "à"), ("e", None), ("ÿ;", "")]
    definition = row_digest(
        SourceTable(TableName("pg_temp", "narrow"), (text_column("a"), text_column("b")), ()),
        "ab",
        kind="postgres",
    )
    with psycopg.connect(postgres.conninfo("postgres"), autocommit=True) as server:
        server.execute(
            "create database narrow encoding 'LATIN1' lc_collate 'C' lc_ctype 'C' template template0"
        )
    with psycopg.connect(postgres.conninfo("narrow"), client_encoding="UTF8") as connection:
        connection.execute("create temp table narrow (n serial, a text, b text)")
        connection.cursor().executemany("insert into narrow (a, b) values (%s, %s)", rows)
        found = {}
        for algorithm in Algorithm:
            expression = rendered.digest(replace(definition, algorithm=algorithm), encoding="LATIN1")
            query = sql.SQL("select {} from narrow order by n").format(sql.SQL(expression))
            found[algorithm] = [value for (value,) in connection.execute(query)]
    frame = pl.DataFrame(rows, schema=dict.fromkeys("ab", pl.String), orient="row")
    for algorithm, values in found.items():
        assert values == digests(replace(definition, algorithm=algorithm), frame).to_list()


def text_column(name: str) -> SourceColumn:
    return SourceColumn(name, SourceType.TEXT, "text")
