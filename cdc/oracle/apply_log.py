"""The apply log: a table of our own in Oracle, one row in each transaction we write there.

The user and the client identifier of a transaction are not always in the redo; a row is. Who reads the redo
identifies own writes by such a row, and by nothing else. The rows also show the DBA what ccbridge wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import oracledb

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.oracle.connect import identifier
from cdc.oracle.errors import ora_code
from cdc.ports import Finding

INSUFFICIENT, UNKNOWN = 1031, 942


@dataclass(frozen=True)
class ApplyLog:
    """The apply log of one system.

    Args:
        table: where it is.
        user: who writes it.
    """

    table: TableName
    user: str

    @property
    def _name(self) -> str:
        return f"{identifier(self.table.schema)}.{identifier(self.table.name)}"

    def insert_of(self, name: str) -> str:
        """The statement that marks its transaction as ours; it goes and stays with it.

        Args:
            name: SQL expression for the name of the transaction.
        """
        return f"insert into {self._name} (transaction_name) values ({name})"  # noqa: S608 - quoted name

    @property
    def _harmless(self) -> tuple[str, str]:
        """Statements that need each right on it, and do nothing."""
        return (
            f"select transaction_name, written_at from {self._name} where 1 = 0",  # noqa: S608
            f"insert into {self._name} (transaction_name) select 'x' from dual where 1 = 0",  # noqa: S608
        )

    @property
    def statements(self) -> tuple[str, ...]:
        """Everything that is sent about it alone."""
        return self._harmless

    def ddl(self) -> Iterator[str]:
        """Statements that make it, unless it is there, and let the user write it."""
        yield (
            f"create table {self._name} "
            "(transaction_name varchar2(60) not null, written_at timestamp(6) default systimestamp not null);"
        )
        yield self.grant()

    def grant(self) -> str:
        """The right that is needed on it."""
        return f"grant select, insert on {self._name} to {self.user};"

    def findings(self, cursor: oracledb.Cursor) -> Iterator[Finding]:
        """Is it there, and may it be written? Nothing is written."""
        try:
            for statement in self._harmless:
                cursor.execute(statement)
        except oracledb.DatabaseError as exc:
            if ora_code(exc) == UNKNOWN:
                yield Finding(
                    f"apply log {self.table}",
                    "no such table, or not visible",
                    "the table of apply_log",
                    "\n".join(self.ddl()),
                )
            elif ora_code(exc) == INSUFFICIENT:
                yield Finding(f"apply log {self.table}", "may not be written", "select, insert", self.grant())
            else:
                raise


def apply_log(settings: OracleSystem) -> ApplyLog | None:
    """The apply log that is configured, if any; without a schema it is the owner's."""
    if settings.apply_log is None:
        return None
    schema, _, name = settings.apply_log.rpartition(".")
    return ApplyLog(TableName(schema or settings.owner, name), settings.user)
