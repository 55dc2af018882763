"""A session of the Oracle stand-in's engine that takes and gives Python values, for the tests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sandbox.oracle import cells
from sandbox.oracle.engine.database import OracleDatabase
from sandbox.oracle.engine.session import EngineSession
from sandbox.oracle.interface import Bind, Client, DbType, Outcome

SCHEMA = """
create user CISADM identified by "cisadm"; grant connect, resource to CISADM;
create user CCBRIDGE identified by "ccbridge";
grant create session, logmining, select_catalog_role, execute_catalog_role, select any table to CCBRIDGE;
alter database add supplemental log data;
"""
FORMATS = (
    "alter session set nls_date_format = 'YYYY-MM-DD HH24:MI:SS' "
    "nls_timestamp_format = 'YYYY-MM-DD HH24:MI:SS.FF9' time_zone = '00:00'"
)


def a_database(**settings: Any) -> OracleDatabase:
    """A database with an owner CISADM and a reader CCBRIDGE."""
    database = OracleDatabase(**settings)
    database.run_script(SCHEMA)
    return database


def kind_of(value: object) -> DbType:
    if isinstance(value, datetime):
        return DbType.TIMESTAMP if value.microsecond else DbType.DATE
    return DbType.NUMBER if isinstance(value, int | Decimal) else DbType.VARCHAR2


class Sql:
    """One session."""

    def __init__(self, database: OracleDatabase, user: str = "CISADM") -> None:
        self.database = database
        self.session: EngineSession = database.open_session(Client(user, program="test"))
        self.session.execute(FORMATS, (), ())

    def run(self, statement: str, *values: Any) -> Outcome:
        """Execute with positional binds."""
        binds = [Bind(str(at), kind_of(value)) for at, value in enumerate(values, 1)]
        row = [cells.encode(value, kind_of(value)) for value in values]
        return self.session.execute(statement, binds, [row] if row else ())

    def many(self, statement: str, rows: Sequence[Sequence[Any]], *, batch_errors: bool = False) -> Outcome:
        """Execute once per row."""
        binds = [Bind(str(at), kind_of(value)) for at, value in enumerate(rows[0], 1)]
        encoded = [[cells.encode(value, kind_of(value)) for value in row] for row in rows]
        return self.session.execute(statement, binds, encoded, batch_errors=batch_errors)

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a query as Python values."""
        outcome = self.run(statement, *values)
        kinds = [column.type for column in outcome.columns]
        return [
            tuple(cells.decode(cell, kind) for cell, kind in zip(row, kinds, strict=True))
            for row in outcome.rows
        ]

    def value(self, expression: str, *values: Any) -> Any:
        """Value of an expression."""
        return self.rows(f"select {expression} from dual", *values)[0][0]

    def scn(self) -> int:
        """CURRENT_SCN."""
        return self.session.storage.next_scn()
