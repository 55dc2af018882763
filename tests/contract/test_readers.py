"""Every reader against the one contract; see `reader_suite`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from cdc.changes import TableName
from cdc.config import PostgresSystem
from cdc.ports import ChangeReader
from cdc.readers.pgoutput import PgoutputReader
from tests.contract.reader_suite import ReaderSuite, Source, TypeCase

_SCHEMA = """
create table account (id bigint primary key, name text not null, amount numeric(15,2), note text);
create table recharge (like account including all);
create table typed (id bigint primary key, int_c integer, money_c numeric(15,2), free_c numeric,
    nan_c numeric, double_c double precision, small_c real, flag_c boolean, char_c char(6), empty_c text,
    null_c text, odd_c text, date_c date, stamp_c timestamp, zone_c timestamptz, bytes_c bytea, json_c jsonb,
    array_c text[], uuid_c uuid);
create publication ccbridge for table account, recharge, typed;
select pg_replication_origin_create('ccbridge') where not exists (
    select from pg_replication_origin where roname = 'ccbridge')
"""

_LONG = "12345678901234567890123456789012345678.000100"


class _Session:
    def __init__(self, connection: psycopg.Connection[tuple[object, ...]]) -> None:
        self._connection = connection

    def execute(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def commit(self) -> None:
        self._connection.commit()

    def rollback(self) -> None:
        self._connection.rollback()


class PostgresSource:
    """A PostgreSQL database with the contract's tables."""

    type_cases = (
        TypeCase("int_c", "-12", "-12"),
        TypeCase("money_c", "1234.5", "1234.50"),
        TypeCase("free_c", _LONG, _LONG),
        TypeCase("nan_c", "'NaN'", "NaN"),
        TypeCase("double_c", "1e21", "1000000000000000000000"),
        TypeCase("small_c", "1e-7", "0.0000001"),
        TypeCase("flag_c", "true", "t"),
        TypeCase("char_c", "'ab'", "ab    "),
        TypeCase("empty_c", "''", ""),
        TypeCase("null_c", "null", None),
        TypeCase("odd_c", r"""E'a\tb"c''d\ne\\.\r,f é 😀 '""", "a\tb\"c'd\ne\\.\r,f é 😀 "),
        TypeCase("date_c", "'2024-02-29'", "2024-02-29"),
        TypeCase("stamp_c", "'2024-02-29 10:11:12.5'", "2024-02-29 10:11:12.5"),
        TypeCase("zone_c", "'2024-02-29 10:11:12+01'", "2024-02-29 09:11:12+00"),
        TypeCase("bytes_c", r"'\x00Ff'", "00ff"),
        TypeCase("json_c", """'{"a": [1, null]}'""", '{"a": [1, null]}'),
        TypeCase("array_c", "array['a', null, 'b,c']", '{a,NULL,"b,c"}'),
        TypeCase("uuid_c", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    )

    def __init__(self, database: str) -> None:
        self._info = database
        parts = conninfo_to_dict(database)
        self.settings = PostgresSystem(
            kind="postgres",
            host=str(parts["host"]),
            port=int(str(parts["port"])),
            database=str(parts["dbname"]),
            user=str(parts["user"]),
            password=str(parts["password"]),
            sslmode="disable",
            insecure=True,
            slot=f"slot_{parts['dbname']}",
        )
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute("set time zone 'Africa/Douala'")
            connection.execute(_SCHEMA)

    def spelled(self, name: str) -> str:
        return name

    def reader(self) -> ChangeReader:
        tables = [TableName("public", name) for name in ("account", "recharge", "typed")]
        return PgoutputReader("prepaid", self.settings, tables)

    @contextmanager
    def session(self, *, ours: bool = False) -> Iterator[_Session]:
        with psycopg.connect(self._info) as connection:
            if ours:
                connection.execute("select pg_replication_origin_session_setup('ccbridge')")
                connection.commit()
            yield _Session(connection)

    def rows(self, table: str) -> Mapping[str, Mapping[str, str | None]]:
        with psycopg.connect(self._info) as connection:
            rows = connection.execute(f"select id::text, name, amount::text, note from {table}".encode())
            return {row[0]: dict(zip(("id", "name", "amount", "note"), row, strict=True)) for row in rows}

    def cut(self) -> None:
        with psycopg.connect(self._info, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where application_name like 'ccbridge %' and datname = current_database()"
            )

    def move_log(self) -> None:
        with psycopg.connect(self._info, autocommit=True) as connection:
            connection.execute("select pg_logical_emit_message(false, 'test', 'x')")


class TestPgoutputReader(ReaderSuite):
    """PostgreSQL through pgoutput."""

    @pytest.fixture
    def source(self, database: str) -> Source:
        return PostgresSource(database)
