"""Which table a row of `OBJ# n` belongs to: numbers of tables, their parts and indexes, former ones too.

Numbers that a table had once are kept, over restarts: rows from before a partition was split or merged
name an object that is gone by the time they are read. A number that is in no dictionary any more may be of
a part that came and went while reading was behind; until DDL of a captured table tells of that, it is taken
for another table's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from cdc.changes import TableName
from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.tables import dictionary
from cdc.readers.logminer.tables.dictionary import CapturedTable

NOW = "select current_scn from v$database"

_OBJECT = re.compile(r"OBJ# (\d+)\Z")

log = structlog.get_logger(__name__)


def object_number(row: LogRow) -> int:
    """The number of an undecoded row's object: of its name `OBJ# n`, else DATA_OBJ#; 0 if there is none."""
    named = _OBJECT.match(row.table or "")
    return int(named.group(1)) if named else row.data_obj or 0


class ObjectNumbers:
    """Object numbers of the captured tables.

    Args:
        system: name of the source.
        session: gives the connections to the dictionary and to V$DATABASE.

    Attributes:
        unexplained: rows by number, of numbers that are in no dictionary.
    """

    def __init__(self, system: str, session: MiningSession) -> None:
        self._system, self._session = system, session
        self._tables: dict[int, TableName] = {}
        self._others: set[int] = set()
        self._asked_at: dict[int, int] = {}
        self.unexplained: Counter[int] = Counter()

    def learn(self, captured: Mapping[TableName, CapturedTable]) -> None:
        """Take the numbers that tables have now; those they had before stay theirs."""
        self._tables |= {number: name for name, one in captured.items() for number in one.object_ids}

    def restore(self, resume: Mapping[str, Any]) -> None:
        """Take the numbers of a checkpoint, and the unexplained ones whose DDL may still come."""
        for schema, name, numbers in resume.get("objects", ()):
            self._tables |= dict.fromkeys(numbers, TableName(schema, name))
        self._asked_at = dict(map(tuple, resume.get("unexplained", ())))
        self.unexplained.clear()

    def resume(self) -> dict[str, Any]:
        """What a checkpoint must hold; JSON types."""
        by_table: dict[TableName, list[int]] = {}
        for number, name in sorted(self._tables.items()):
            by_table.setdefault(name, []).append(number)
        found: dict[str, Any] = {
            "objects": [[name.schema, name.name, numbers] for name, numbers in sorted(by_table.items())]
        }
        if self._asked_at:
            found["unexplained"] = sorted(map(list, self._asked_at.items()))
        return found

    def known(self, number: int) -> TableName | None:
        """The table of a number, as far as it is known without asking."""
        return self._tables.get(number)

    def table_of(self, number: int, captured: Iterable[TableName]) -> TableName | None:
        """The table of a number; None for another one's, and for what is in no dictionary.

        Args:
            number: OBJECT_ID of a table, a part of it, or an index.
            captured: tables that are asked for their numbers, if it is not known.
        """
        if number in self._tables or number in self._others:
            return self._tables.get(number)
        if number not in self.unexplained:
            connection = self._session.tables_connection
            ids = dictionary.object_ids(connection, tuple(captured), self._system)
            self._tables |= {one: name for name, numbers in ids.items() for one in numbers}
            if number in self._tables:
                return self._tables[number]
            if dictionary.object_name(connection, number, self._system) is not None:
                self._others.add(number)
                return None
            self._asked_at[number] = self._now()
            log.warning("undecoded_rows_skipped", system=self._system, object_id=number)
        self.unexplained[number] += 1
        return None

    def _now(self) -> int:
        with oracle_errors(self._system), self._session.connection.cursor() as cursor:
            cursor.execute(NOW, fetch_decimals=False)
            return int(cursor.fetchone()[0])

    def gone_since(self, scn: int) -> list[int]:
        """Unexplained numbers that DDL at this SCN may have made so: when it ran they were not yet missed.

        Those that were missed before are forgotten: what made them so has been read.
        """
        self._asked_at = {number: asked for number, asked in self._asked_at.items() if asked >= scn}
        return sorted(self._asked_at)
