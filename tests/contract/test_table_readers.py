"""Every reader of tables against the one contract; see `table_reader_suite`."""

from __future__ import annotations

from typing import Literal

import pytest

from cdc.changes import TableName
from cdc.ports import TableReader
from cdc.readers.pgoutput.table_reader import PgTableReader
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


class TestPgTableReader(TableReaderSuite):
    """PostgreSQL."""

    @pytest.fixture
    def tables(self, database: str) -> TableSource:
        return PostgresTables(database)
