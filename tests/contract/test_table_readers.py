"""Every reader of tables against the one contract; see `table_reader_suite`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from cdc.changes import TableName
from cdc.ports import TableReader
from cdc.readers.logminer.flashback.table_reader import OracleTableReader
from cdc.readers.pgoutput.table_reader import PgTableReader
from tests.contract.logminer_source import OracleSource, oracle_server, system_session
from tests.contract.table_reader_suite import TableReaderSuite, TableSource, reader, write
from tests.contract.test_readers import PostgresSource

__all__ = ["reader"]


class PostgresTables:
    """The tables of a PostgreSQL source."""

    kind: Literal["oracle", "postgres"] = "postgres"

    def __init__(self, database: str) -> None:
        self.source = PostgresSource(database)
        write(
            self,
            "create table keyed (name varchar(20), n numeric(10, 3), v varchar(60), primary key (name, n))",
        )

    def name(self, table: str) -> TableName:
        return TableName("public", table)

    def table_reader(self) -> TableReader:
        tables = [self.name(table) for table in ("recharge", "typed", "keyed")]
        return PgTableReader("prepaid", self.source.settings, tables)


class OracleTables:
    """The tables of an Oracle source."""

    kind: Literal["oracle", "postgres"] = "oracle"

    def __init__(self, dsn: str) -> None:
        self.source = OracleSource(dsn)
        with system_session(dsn) as cursor:
            keyed = f"{self.source.owner}.KEYED"
            cursor.execute(
                f"create table {keyed} (name varchar2(20), n number(10, 3), v varchar2(60), "
                "primary key (name, n))"
            )
            cursor.execute(f"grant select, flashback on {keyed} to {self.source.settings.user}")

    def name(self, table: str) -> TableName:
        return TableName(self.source.owner, table.upper())

    def table_reader(self) -> TableReader:
        tables = [self.name(table) for table in ("recharge", "typed", "keyed")]
        return OracleTableReader("ccb", self.source.settings, tables, {})


class TestPgTableReader(TableReaderSuite):
    """PostgreSQL."""

    @pytest.fixture
    def tables(self, database: str) -> TableSource:
        return PostgresTables(database)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests of the class; each has a schema of its own."""
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


class TestOracleTableReader(TableReaderSuite):
    """Oracle, the stand-in by default."""

    @pytest.fixture
    def tables(self, oracle: str) -> TableSource:
        return OracleTables(oracle)
