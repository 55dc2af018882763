"""Small questions to the database, for the checks before reading: may I, and what is it set to?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import oracledb

from cdc.oracle.errors import ora_code, oracle_errors

NOT_VISIBLE = frozenset((942, 1031))


@dataclass(frozen=True)
class Probe:
    """Questions over one connection.

    Args:
        connection: in the container that is asked about.
        system: name of the source, for messages.
    """

    connection: oracledb.Connection
    system: str

    def is_refused(self, statement: str, **binds: object) -> bool:
        """Does a statement fail because its object cannot be seen or used?"""
        return self.code(statement, **binds) in NOT_VISIBLE

    def code(self, statement: str, **binds: object) -> int:
        """The ORA number that a statement fails with, 0 if it does not."""
        return self._try(lambda cursor: cursor.execute(statement, binds))

    def _try(self, call: Callable[[oracledb.Cursor], object]) -> int:
        with oracle_errors(self.system):
            try:
                with self.connection.cursor() as cursor:
                    call(cursor)
            except oracledb.DatabaseError as exc:
                number = ora_code(exc)
                if not number or exc.args[0].isrecoverable:
                    raise
                return number
        return 0

    def rows(self, statement: str, **binds: object) -> list[tuple[Any, ...]]:
        """Rows of a query; counts are int.

        Raises:
            CcbridgeError: it cannot be run.
        """
        with oracle_errors(self.system), self.connection.cursor() as cursor:
            cursor.execute(statement, binds, fetch_decimals=False)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found
