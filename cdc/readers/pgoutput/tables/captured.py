"""The captured tables of one reader: which are read, which were stopped and why.

A table is stopped by name before its first row that could be wrong; the others continue. That is seen at the
start (compared with what the checkpoint was taken with), when the stream describes a table, and by a look
at the catalog every few seconds, because DDL alone sends nothing.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import structlog

from cdc.changes import TableName
from cdc.config import PostgresSystem
from cdc.errors import TableChanged, table_snapshot_hint
from cdc.ports import ColumnsRead
from cdc.positions import Lsn
from cdc.readers.pgoutput.tables.catalog import Catalog
from cdc.readers.pgoutput.tables.definitions import (
    QUERY,
    SCHEMA_MEMBER,
    Definition,
    lost,
    lost_in_stream,
    name_of,
)
from cdc.readers.pgoutput.wire.messages import Relation

LOOK_EVERY_S = 5.0
"""Between two looks at the catalog while reading."""
LATEST = Lsn(2**63 - 1)
_ANY = ColumnsRead(frozenset(), frozenset())

log = structlog.get_logger(__name__)


class CapturedTables:
    """What is known of the captured tables at the place in the stream that is being read.

    Args:
        catalog: the source's catalog.
        settings: the system.
        system: its name.
        tables: the captured tables.
        read: what rules read of each.

    Attributes:
        stopped: tables that are no longer read, each with the reason.
        news: definitions found since they were last taken with `take_news`.
    """

    def __init__(
        self,
        catalog: Catalog,
        settings: PostgresSystem,
        system: str,
        tables: Collection[TableName],
        read: Mapping[TableName, ColumnsRead],
    ) -> None:
        self._catalog, self._settings, self._system = catalog, settings, system
        self.names = frozenset(tables)
        self._read = read
        self._definitions: dict[TableName, Definition] = {}
        self._hand_over: dict[TableName, Lsn] = {}
        self._skipped: set[TableName] = set()
        self._looked_at = time.monotonic()
        self.stopped: dict[TableName, TableChanged] = {}
        self.news: dict[TableName, Mapping[str, Any]] = {}

    def look(self, names: Collection[TableName]) -> dict[TableName, Definition]:
        """Those of the tables that exist, as they are now."""
        (version,) = self._catalog.query("select current_setting('server_version_num')::int as number")
        query = QUERY.format(schema_member=SCHEMA_MEMBER if version["number"] >= 150_000 else "null::bigint")
        rows = self._catalog.query(
            query,
            schemas=[name.schema for name in names],
            names=[name.name for name in names],
            publication=self._settings.publication,
        )
        return {name_of(row): Definition.of(row) for row in rows}

    def begin_snapshot(self) -> None:
        """All tables are read from now on, as they are now."""
        self.stopped.clear()
        self._skipped.clear()
        self._hand_over.clear()
        self._definitions = {}
        self._adopt(self.look(self.names))

    def begin(self, resume: Mapping[str, Any]) -> None:
        """Read on from a checkpoint: what changed since it was taken stops, what was stopped stays so.

        Args:
            resume: `tables` lists schema, name, definition and the position as of which it was read of
                each table; `stopped` schema, name and message.
        """
        self.stopped.clear()
        self._skipped.clear()
        stored = {
            TableName(schema, name): (found, at) for schema, name, found, at in resume.get("tables", ())
        }
        for schema, name, message, *_code in resume.get("stopped", ()):
            self._note(TableName(schema, name), str(message))
        now = self.look(self.names)
        for name in sorted(self.names - self.stopped.keys()):
            found, at = stored.get(name, (None, None))
            if at is not None:
                self._hand_over[name] = Lsn(at)
            if found is None and name in now:
                self._adopt({name: now[name]})
                continue
            then = None if found is None else Definition.stored(found)
            gone = ["the table"] if then is None else lost(then, now.get(name), self.columns_read(name))
            if gone:
                self.stop(name, gone, "since the last checkpoint")
            elif then is not None:
                self._definitions[name] = then
                self._adopt({name: now[name]})
        self._looked_at = time.monotonic()

    def watch(self) -> None:
        """Look at the catalog if it is time to: DDL alone sends nothing."""
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        self.compare(self.names - self.stopped.keys())

    def compare(self, names: Collection[TableName]) -> None:
        """Stop those that lost something by now."""
        if not names:
            return
        now = self.look(names)
        for name in sorted(names):
            then = self._definitions.get(name)
            gone = [] if then is None else lost(then, now.get(name), self.columns_read(name))
            if gone:
                self.stop(name, gone, "seen in the catalog")
            elif name in now:
                self._adopt({name: now[name]})

    def takes(self, relation: Relation, position: Lsn) -> bool:
        """Whether rows under this description are read; it may stop its table, or the one it was before.

        Args:
            relation: as the stream describes the table from here on.
            position: commit position of the transaction that brings it.
        """
        name = relation.name
        for other, known in self._definitions.items():
            if known.oid == relation.oid and other != name and other not in self.stopped:
                self.stop(other, [f"the table, which was renamed to {name}"], f"at {position}")
        if name not in self.names or name in self.stopped:
            return False
        then = self._definitions.get(name)
        gone = [] if then is None else lost_in_stream(then, relation, self.columns_read(name))
        if gone and position <= self._hand_over.get(name, Lsn(0)):
            self._skipped.add(name)  # its rows were read after this
            return False
        self._skipped.discard(name)
        if gone:
            self.stop(name, gone, f"at {position}")
        else:
            self.compare([name])
        return name not in self.stopped

    def skips(self, name: TableName, position: Lsn) -> bool:
        """Whether a row of the table is left out at that commit position."""
        if name in self.stopped:
            return True
        if name in self._skipped and position > self._hand_over.get(name, Lsn(0)):
            self.stop(name, ["columns that its rows had"], f"at {position}")
        return name in self._skipped

    def stop(self, name: TableName, gone: list[str], where: str) -> None:
        """Read this table no more."""
        reason = f"{name} lost {'; '.join(gone)}"
        self._note(name, f"{self._system}: {reason}; {where}; the table is no longer read, the others are")
        log.error(
            "table_stopped",
            system=self._system,
            table=str(name),
            position=where,
            error_code=TableChanged.code,
            reason=reason,
        )

    def begin_reading(self, names: Collection[TableName]) -> None:
        """Rows of these tables will be read beside the stream: from here on their changes are taken."""
        for name in names:
            self.stopped.pop(name, None)
            self._definitions.pop(name, None)
            self._hand_over[name] = LATEST  # until the position is known, nothing stops it
        self._adopt(self.look(names))

    def reading_from(self, names: Collection[TableName], position: Lsn) -> None:
        """Rows of these tables are read as of this position."""
        self._hand_over.update(dict.fromkeys(names, position))

    def take_news(self) -> dict[TableName, Mapping[str, Any]]:
        """Definitions that were not reported yet."""
        news, self.news = self.news, {}
        return news

    def columns_read(self, name: TableName) -> ColumnsRead:
        """What rules read of a table; nothing is known of one that no rule was given for."""
        return self._read.get(name, _ANY)

    def _adopt(self, now: Mapping[TableName, Definition]) -> None:
        for name, definition in now.items():
            if self._definitions.get(name) != definition:
                self._definitions[name] = definition
                self.news[name] = definition.as_json()

    def _note(self, name: TableName, message: str) -> None:
        self.stopped[name] = TableChanged(
            message, hint=f"adapt the rules if needed, then {table_snapshot_hint(self._system, name)}"
        )
