"""The captured tables along the stream: which rows are theirs, what DDL does to them.

A table that loses something by DDL (a column, its key, all rows), or has a row that cannot be read, is
*stopped*: its rows are no longer read, the other tables continue, and every batch names it until it is read
again. A checkpoint holds, for each table, which columns its rows had at that place; so after a restart it is
known whether today's dictionary can still decode rows of then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import structlog

from cdc.changes import SourceColumn, SourceTable, TableName
from cdc.errors import OperatorError, RedoUnreadable, TableChanged, TableOutdated, snapshot_hint
from cdc.oracle.errors import oracle_errors
from cdc.ports import ColumnsRead
from cdc.readers.logminer.ddl.columns import AlteredColumns, altered_columns
from cdc.readers.logminer.ddl.statements import (
    exchanged_table,
    is_of_partitions,
    read_ddl,
    rows_lost_by_alter,
    takes_key,
)
from cdc.readers.logminer.mining.rows import Code, LogRow, place
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.redo_sql.charsets import codec
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.tables import dictionary
from cdc.readers.logminer.tables.dependents import Dependents
from cdc.readers.logminer.tables.dictionary import CapturedTable
from cdc.readers.logminer.tables.object_numbers import ObjectNumbers, object_number
from cdc.readers.logminer.transactions.events import DdlSeen
from cdc.readers.logminer.transactions.undo import DATA

CHARACTER_SET = "select value from nls_database_parameters where parameter = 'NLS_CHARACTERSET'"
UNDECODED = "UNKNOWN"
"""SEG_OWNER of rows of which LogMiner does not know the table."""
NAMED_BY_NUMBER = frozenset((*DATA, Code.INTERNAL, Code.UNSUPPORTED))
"""Rows that may name no table, and are put to theirs by DATA_OBJ#."""

log = structlog.get_logger(__name__)


class CapturedTables:
    """The tables of one reader, as they are at the place in the stream that is being read.

    Args:
        system: name of the source.
        session: gives the connection to the dictionary.
        tables: the captured tables.
        read: what rules read of each table.
        relaxed: apostrophes in texts may not be doubled.

    Attributes:
        readers: the reader of each table's texts; a stopped table keeps its last one.
        stopped: tables that are no longer read, each with the reason.
        stopped_at: SCN of each, behind which none of its transactions counts.
        large: all large columns of each table of which rules read at least one.
        outdated: tables of which older rows have values that no redo brings; they are read on.
    """

    def __init__(
        self,
        system: str,
        session: MiningSession,
        tables: Sequence[TableName],
        *,
        read: Mapping[TableName, ColumnsRead] = MappingProxyType({}),
        relaxed: bool = False,
    ) -> None:
        self._system, self._session, self._tables = system, session, tuple(tables)
        self._read = read
        self._relaxed = relaxed
        self._charset: str | None = None
        self._captured: dict[TableName, CapturedTable] = {}
        self._by_name: dict[tuple[str | None, str | None], TableName] = {}
        self._numbers = ObjectNumbers(system, session)
        self._shapes: dict[TableName, str] = {}
        self._altered: set[TableName] = set()
        self._dependents = Dependents(system)
        self.readers: dict[TableName, ImageReader] = {}
        self.stopped: dict[TableName, OperatorError] = {}
        self.stopped_at: dict[TableName, int] = {}
        self.large: dict[TableName, tuple[SourceColumn, ...]] = {}
        self.outdated: dict[TableName, OperatorError] = {}

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables that exist and are visible now, with large columns that no rule reads."""
        self._describe(self._tables)
        return {name: captured.described for name, captured in self._captured.items()}

    def _describe(self, names: Sequence[TableName]) -> None:
        """Look at some tables; the others stay as they were: their own DDL may be further on."""
        connection = self._session.tables_connection
        found = dictionary.captured_tables(connection, names, self._system, read=self._read)
        if self._charset is None:
            with oracle_errors(self._system), connection.cursor() as cursor:
                cursor.execute(CHARACTER_SET)
                row = cursor.fetchone()
            self._charset = codec(row[0] if row else "AL32UTF8")
        kept = {name: one for name, one in self._captured.items() if name not in names}
        self._captured = {**kept, **found}
        self.readers.update({name: self._reader(one, self._charset) for name, one in found.items()})
        self._by_name = {(name.schema, name.name): name for name in self._captured}
        self._dependents.learn(connection, names)
        self._numbers.learn(found)
        self.large.clear()
        self.large.update(
            (name, tuple(column for column in one.described.columns if column.large))
            for name, one in self._captured.items()
            if any(column.large for column in one.table.columns)
        )

    @property
    def _hint(self) -> str:
        return f"adapt the rules if needed, then {snapshot_hint(self._system)}"

    def _reader(self, captured: CapturedTable, charset: str) -> ImageReader:
        return ImageReader(
            captured.table,
            excluded=frozenset(captured.excluded),
            segment_columns=captured.segment_columns,
            charset=charset,
            relaxed=self._relaxed,
        )

    # -- checkpoints ---------------------------------------------------------------------------

    def begin_snapshot(self) -> Mapping[TableName, SourceTable]:
        """Describe the tables as a snapshot that is about to be taken finds them; none is stopped."""
        self._describe(self._tables)
        self.stopped, self.stopped_at, self.outdated, self._altered = {}, {}, {}, set()
        self._shapes = {name: dictionary.shape(one) for name, one in self._captured.items()}
        return {name: captured.table for name, captured in self._captured.items()}

    def begin(self, resume: Mapping[str, Any]) -> None:
        """Read from a checkpoint: tables stopped then stay stopped, and what is gone since stops."""
        then = {TableName(schema, name): str(shape) for schema, name, shape in resume.get("shapes", ())}
        if not self._captured or {n: dictionary.shape(one) for n, one in self._captured.items()} != then:
            self._describe(self._tables)
        self._numbers.restore(resume)
        self.stopped = {
            TableName(schema, name): self._error(message, *code)
            for schema, name, message, *code in resume.get("stopped", ())
        }
        self.stopped_at = dict.fromkeys(self.stopped, 0)
        self.outdated = outdated_tables(self._system, resume)
        self._shapes = {name: then.get(name, dictionary.shape(one)) for name, one in self._captured.items()}
        self._altered = {
            name
            for name, one in self._captured.items()
            if not dictionary.is_extended(self._shapes[name], one)
        }
        for name in self._tables:
            if name not in self._captured and name not in self.stopped:
                self._stop(name, f"{name} was dropped, or may no longer be seen", int(resume["committed"]))

    def resume(self) -> dict[str, Any]:
        """What a checkpoint must hold about the tables; JSON types."""
        shapes = [[name.schema, name.name, shape] for name, shape in sorted(self._shapes.items())]
        found: dict[str, Any] = {"shapes": shapes, **self._numbers.resume()}
        if self.outdated:
            found["outdated"] = [
                [name.schema, name.name, str(error)] for name, error in sorted(self.outdated.items())
            ]
        if self.stopped:
            found["stopped"] = [
                [name.schema, name.name, str(error), error.code]
                for name, error in sorted(self.stopped.items())
            ]
        return found

    # -- rows ----------------------------------------------------------------------------------

    def table_of(self, row: LogRow) -> TableName | None:
        """The table of a row, undecoded rows by their object id; None for others' and stopped ones."""
        if row.table is None and row.operation_code in NAMED_BY_NUMBER:
            name, undecoded = self._numbers.known(row.data_obj or 0), False
        elif row.owner != UNDECODED:
            name = self._by_name.get((row.owner, row.table))
            undecoded = row.status == 2 and "ismatch" in (row.info or "")
        else:
            name, undecoded = self._numbers.table_of(object_number(row), self._captured), True
        if undecoded and name in self._altered and name not in self.stopped:
            self._stop(name, f"rows of {name} are older than its columns of today", row.scn)
        return None if self.stopped and name in self.stopped else name

    def has_large(self, name: TableName) -> bool:
        """Whether a table has columns that are logged by rows of their own, captured or not."""
        one = self._captured.get(name)
        return one is None or bool(one.excluded) or any(column.large for column in one.described.columns)

    @property
    def skipped_rows(self) -> int:
        """Undecoded rows of objects that are in no dictionary."""
        return self._numbers.unexplained.total()

    # -- DDL -----------------------------------------------------------------------------------

    def apply(self, event: DdlSeen) -> None:
        """Take DDL on a captured table; rows before it must have been handed out."""
        text = event.row.sql_redo or ""
        self._stop_others(event)
        name = event.table
        if name is None or name in self.stopped:
            return
        verb, lost = "DDL", []
        try:
            read = read_ddl(text)
        except RedoSyntaxError:
            lost.append("what its text, which is of no known form, does not tell")  # it may be a TRUNCATE
        else:
            if read.kind not in ("TABLE", None):
                return
            verb = read.verb
        before = self._captured[name]
        lost += self._removed_by(verb, text, before, event.row.scn)
        self._describe([name])
        now = self._captured.get(name)
        lost += _lost(before.table, now.table if now else None)
        if verb == "ALTER" and now is not None:
            lost += _altered_again(before, now, altered_columns(text))
        if lost:
            self._stop(name, f"{verb} of {name} removed: {', '.join(dict.fromkeys(lost))}", event.row.scn)
        if now is not None:
            if name not in self.stopped:
                self._outdate(name, now, event.row.scn)
            self._shapes[name] = dictionary.shape(now)
            log.info("table_altered", system=self._system, table=str(name), position=event.row.scn)

    def _stop_others(self, event: DdlSeen) -> None:
        """Stop the captured tables that lose rows by DDL on something else."""
        other = self._exchanged(event)
        if other is not None and other not in self.stopped:
            self._stop(
                other, f"rows of {other} were exchanged with a partition of another table", event.row.scn
            )
        for dependent, reason in list(self._emptied(event)):
            self._stop(dependent, reason, event.row.scn)

    def _removed_by(self, verb: str, text: str, before: CapturedTable, scn: int) -> Iterator[str]:
        """What the text of DDL takes from a table, and what has been taken from it already."""
        if verb == "TRUNCATE":
            yield "all rows"
        if verb in ("CREATE", "DROP", "RENAME"):
            yield "the table"  # one of that name and these columns may be there again: its rows are others
        altered = verb == "ALTER"
        if altered and (rows := rows_lost_by_alter(text)) is not None:
            yield rows
        if before.table.name in self._altered:
            yield "columns that older rows have"
        if altered and is_of_partitions(text) and (numbers := self._numbers.gone_since(scn)):
            yield f"objects {', '.join(map(str, numbers))}, whose rows may have been of its partitions"
        if altered and before.key_constraint and takes_key(text, before.key_constraint):
            yield _key_of(before.table)

    def _outdate(self, name: TableName, now: CapturedTable, scn: int) -> None:
        """Mark a table that got a column with a default: older rows have it, and no redo ever says so."""
        known = self._read[name].names if name in self._read else frozenset(now.table.column_names)
        added = dictionary.added_columns(self._shapes[name], now) & now.defaulted & known
        if added:
            message = (
                f"{self._system}: {name} got {', '.join(sorted(added))} with a default at SCN {scn}: "
                "rows from before have it, and the redo does not bring it"
            )
            self.outdated[name] = TableOutdated(self._system, message)
            log.warning(
                "table_outdated", system=self._system, table=str(name), columns=sorted(added), position=scn
            )

    def lob_unplaced(self, name: TableName) -> None:
        """Mark a table of which a LOB was written to in a row that nothing in its transaction names."""
        if name not in self.outdated:
            message = (
                f"{self._system}: {name} had a LOB written to, and nothing in the redo says in which row: "
                "that row's value is not the one staged"
            )
            self.outdated[name] = TableOutdated(self._system, message)

    def concerns(self, event: DdlSeen) -> bool:
        """Whether DDL is about a captured table."""
        return event.table is not None or self._exchanged(event) is not None or any(self._emptied(event))

    def _emptied(self, event: DdlSeen) -> Iterator[tuple[TableName, str]]:
        """The captured tables that lose rows by DDL on something else, and why."""
        found = self._dependents.emptied(event, self._captured)
        return ((name, reason) for name, reason in found if name not in self.stopped)

    def _exchanged(self, event: DdlSeen) -> TableName | None:
        """The captured table that a partition of another one is exchanged with."""
        named = exchanged_table(event.row.sql_redo or "")
        return self._by_name.get((named[0] or event.row.owner, named[1])) if named else None

    def refuse(self, name: TableName, row: LogRow, reason: str, altered: bool) -> None:
        """Stop a table at a row that cannot be read; its values are not shown.

        Args:
            name: the table.
            row: the row.
            reason: why it cannot be read.
            altered: the columns of today do not explain it.
        """
        found = "is of other columns than it has today" if altered else "cannot be read"
        code = TableChanged.code if altered else RedoUnreadable.code
        self._stop(name, f"a row of {name} {found}, {place(row)}: {reason}", row.scn, code)

    def _error(self, message: str, code: str = TableChanged.code) -> OperatorError:
        """The error of a stopped table by its code, as a checkpoint keeps it."""
        if code == RedoUnreadable.code:
            hint = f"check the row in V$LOGMNR_CONTENTS; {snapshot_hint(self._system)}"
            return RedoUnreadable(message, hint=hint)
        return TableChanged(message, hint=self._hint)

    def _stop(self, name: TableName, reason: str, scn: int, code: str = TableChanged.code) -> None:
        error = self._error(
            f"{self._system}: {reason}; at SCN {scn}; the table is no longer read, the others are", code
        )
        self.stopped[name], self.stopped_at[name] = error, scn
        log.error(
            "table_stopped",
            system=self._system,
            table=str(name),
            position=scn,
            error_code=error.code,
            reason=reason,
        )


def outdated_tables(system: str, resume: Mapping[str, Any]) -> dict[TableName, OperatorError]:
    """The tables that a checkpoint marks as outdated."""
    return {
        TableName(schema, name): TableOutdated(system, message)
        for schema, name, message in resume.get("outdated", ())
    }


def _altered_again(before: CapturedTable, now: CapturedTable, altered: AlteredColumns) -> list[str]:
    """What the dictionary of now does not tell of an ALTER TABLE that others followed before it was read."""
    lost = [f"column {name}" for name in altered.taken if before.table.column(name) is not None]
    if not lost and not altered.leads_to(before.names_in_row, now.names_in_row, now.excluded):
        lost.append("columns that rows behind it have, and were dropped since")
    return lost


def _lost(before: SourceTable, now: SourceTable | None) -> list[str]:
    """What a table had and has no more."""
    if now is None:
        return ["the table"]
    lost = []
    for column in before.columns:
        kept = now.column(column.name)
        if kept is None:
            lost.append(f"column {column.name}")
        elif kept.type is not column.type:
            lost.append(f"type {column.declared} of column {column.name}, now {kept.declared}")
    if before.key != now.key:
        lost.append(_key_of(before))
    return lost


def _key_of(table: SourceTable) -> str:
    return f"primary key ({', '.join(table.key)})"
