"""The heartbeat table: one row for each instance of a cluster, written there so that its redo moves on.

It is the bridge's own, in its user's schema: no table of the application is touched. In a multitenant
database that is mined in the root it is in the root, which is open in every instance that is up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import oracledb

from cdc.changes import TableName
from cdc.oracle.connect import identifier
from cdc.oracle.errors import ora_code
from cdc.ports import Finding

NAME = "CCBRIDGE_HEARTBEAT"
_UNFIT = frozenset((904, 942))
"""Another table, or none."""


@dataclass(frozen=True)
class Heartbeat:
    """The heartbeat table of one user."""

    table: TableName

    @property
    def _name(self) -> str:
        return f"{identifier(self.table.schema)}.{identifier(self.table.name)}"

    @property
    def _merge(self) -> str:
        return (
            f"merge into {self._name} mine using (select :thread as thread_number from dual) theirs "  # noqa: S608
            "on (mine.thread_number = theirs.thread_number) "
            "when matched then update set written_at = systimestamp "
            "when not matched then insert (thread_number, written_at) "
            "values (theirs.thread_number, systimestamp)"
        )

    @property
    def _look(self) -> str:
        return f"select thread_number, written_at from {self._name} where 1 = 0"  # noqa: S608 - quoted name

    @property
    def statements(self) -> tuple[str, ...]:
        """Everything that is sent about it."""
        return (self._merge, self._look)

    def ddl(self) -> str:
        """The statement that makes it, with room for its rows at once."""
        return (
            f"create table {self._name} (thread_number number(5) primary key, "
            "written_at timestamp(6) not null) segment creation immediate; -- its owner needs quota: "
            f"alter user {self.table.schema} quota 1m on its default tablespace"
        )

    def write(self, connection: oracledb.Connection, thread: int) -> None:
        """Write the row of a redo thread and commit."""
        with connection.cursor() as cursor:
            cursor.execute(self._merge, thread=thread)
        connection.commit()

    def findings(self, cursor: oracledb.Cursor) -> Iterator[Finding]:
        """Is it there? Nothing is written."""
        try:
            cursor.execute(self._look)
        except oracledb.DatabaseError as exc:
            if ora_code(exc) not in _UNFIT:
                raise
            yield Finding(
                f"heartbeat table {self.table}",
                str(exc).splitlines()[0],
                "the table whose row is written on an idle instance",
                self.ddl(),
            )


def heartbeat(user: str) -> Heartbeat:
    """The heartbeat table of the bridge's user."""
    return Heartbeat(TableName(user.upper(), NAME))
