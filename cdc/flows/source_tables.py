"""Which tables of a source are read, and reading single ones beside the stream.

A table that is new in the rules, or of which rules read a new column, is read before its state counts as
known; one that was stopped is read again on request (`ccbridge snapshot`). Its rows come at a
position of their own while the stream continues: what the stream brings later wins, and so does the end of a
row, which staging remembers meanwhile even where it has no such row. Nothing of it moves the checkpoint; if
it is broken off it starts over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from cdc.changes import ChangeBatch, TableName
from cdc.config import Run
from cdc.errors import OperatorError, TableNotRead, TransientError
from cdc.ports import ChangeReader, ColumnsRead, StopAsked
from cdc.staging.batches.stage import Staged, Stager
from cdc.staging.source_tables import StoredTable

LOOK_EVERY_S = 5.0
"""Between two looks for requests."""
LATEST = 2**63 - 1
"""Position before which everything is: of a table whose rows are to be read, nothing read so far counts."""
PAUSE_S = 30.0
"""Before a reading that failed is tried again."""

log = structlog.get_logger(__name__)


@dataclass
class SourceTables:
    """The captured tables of one system in one run of its flow.

    Args:
        system: name of the source.
        read: what rules read of each captured table.
        reader: reads the source.
        stager: writes staging.
        sizes: rows of one batch.

    Attributes:
        open_errors: by table, of tables without which the flow continues: shown until an operator acts.
    """

    system: str
    read: Mapping[TableName, ColumnsRead]
    reader: ChangeReader
    stager: Stager
    sizes: Run
    open_errors: dict[TableName, OperatorError] = field(default_factory=dict)
    _known: dict[TableName, StoredTable] = field(default_factory=dict)
    _stopped: dict[TableName, OperatorError] = field(default_factory=dict)
    _names: tuple[TableName, ...] = ()
    _batches: Iterator[ChangeBatch | None] | None = None
    _look_at: float = 0.0
    _not_before: float = 0.0

    def begin(self, resume: Mapping[str, Any]) -> Mapping[str, Any]:
        """Compare the rules with what was read; returns `resume` with what the reader must know of it."""
        stored = self.stager.source_tables()
        self._known = {name: one for name, one in stored.items() if name in self.read}
        news: dict[TableName, StoredTable] = {}
        for name, columns in self.read.items():
            one = stored.get(name)
            if one is None and not stored:  # a release that did not keep account read it
                news[name] = StoredTable("read", columns=columns.names)
            elif one is None:
                news[name] = self._never_read(name)
            elif one.state == "read" and one.columns is not None and not columns.names <= one.columns:
                added = ", ".join(sorted(columns.names - one.columns))
                if self.reader.can_read_tables:
                    log.info("column_read_first", system=self.system, table=str(name), columns=added)
                    news[name] = replace(one, state="reading")
                else:
                    self.open_errors[name] = TableNotRead.columns(self.system, name, added)
        self._known |= news
        self.stager.forget_tables(stored.keys() - self.read.keys())
        self.stager.note(news)
        return self._resume(resume)

    def loaded(self, last: ChangeBatch, definitions: Mapping[TableName, Mapping[str, Any]]) -> None:
        """The first load of all tables is staged."""
        self._known = {
            name: StoredTable("read", definitions.get(name), columns.names, int(last.position))
            for name, columns in self.read.items()
        }
        self.stager.note(self._known)

    def stopped(self) -> dict[TableName, OperatorError]:
        """Tables that the flow leaves out by its own decision; may be changed by `cdc.flows.truncation`."""
        return self._stopped

    def before(self, batch: ChangeBatch) -> None:
        """Note what a batch says of tables; it is stored with the batch."""
        news: dict[TableName, StoredTable] = {}
        for name, definition in batch.definitions.items():
            if name in self._known:
                news[name] = replace(self._known[name], definition=definition)
        for name, error in batch.stopped.items():
            one = news.get(name) or self._known.get(name)
            if one is not None and one.state != "stopped":
                news[name] = replace(one, state="stopped", error_code=error.code, reason=str(error))
                if name in self._names:
                    self._give_up()
        if news:
            self._known |= news
            self.stager.note(news)

    def turn(self, stop: StopAsked) -> Iterator[Staged]:
        """Stage the next rows of tables that are read beside the stream; call it between two batches."""
        if self._batches is None:
            self._start(stop)
        if self._batches is None:
            return
        try:
            batch = next(self._batches, None)
        except TransientError as exc:
            log.warning(
                "table_snapshot_retried",
                system=self.system,
                tables=_list(self._names),
                error_code=exc.code,
                reason=str(exc),
            )
            self._give_up()
            self._not_before = time.monotonic() + PAUSE_S
            return
        except OperatorError as exc:
            for name in self._names:
                self._stopped[name] = exc
            log.error(
                "table_snapshot_failed",
                system=self.system,
                tables=_list(self._names),
                error_code=exc.code,
                reason=str(exc),
                hint=exc.hint,
            )
            self._give_up()
            return
        if batch is None:
            return
        self._note_done(batch)
        yield self.stager.stage_table(batch)
        if all(self._known[name].state == "read" for name in self._names):
            log.info("table_snapshot_completed", system=self.system, tables=_list(self._names))
            self._give_up()

    def _never_read(self, name: TableName) -> StoredTable:
        columns = self.read[name].names
        if self.reader.can_read_tables:
            log.info("table_read_first", system=self.system, table=str(name))
            return StoredTable("reading", columns=columns)
        error = TableNotRead.of(self.system, name)
        log.error(
            "table_stopped",
            system=self.system,
            table=str(name),
            position=None,
            error_code=error.code,
            reason=str(error),
        )
        return StoredTable("stopped", columns=columns, error_code=error.code, reason=str(error))

    def _resume(self, resume: Mapping[str, Any]) -> Mapping[str, Any]:
        known: dict[tuple[str, str], list[str | None]] = {
            (schema, name): why for schema, name, *why in resume.get("stopped", ())
        }
        known |= {
            (name.schema, name.name): [one.reason, one.error_code]
            for name, one in self._known.items()
            if one.state == "stopped"
        }
        found = {**resume}
        if known:
            found["stopped"] = [[*table, *why] for table, why in sorted(known.items())]
        if self.reader.can_read_tables:
            found["tables"] = [
                [name.schema, name.name, one.definition, one.read_position]
                if one.state == "read"
                else [name.schema, name.name, None, LATEST]
                for name, one in sorted(self._known.items())
                if one.state != "stopped"
            ]
        return found

    def _start(self, stop: StopAsked) -> None:
        now = time.monotonic()
        if now < max(self._look_at, self._not_before):
            return
        self._look_at = now + LOOK_EVERY_S
        requested = {name for name, one in self.stager.source_tables().items() if one.requested}
        due = {name for name, one in self._known.items() if name in requested or one.state == "reading"}
        if not due:
            return
        if not self.reader.can_read_tables:
            for name in due:
                self.open_errors[name] = TableNotRead.alone(self.system, name)
            return
        self._names = tuple(sorted(due))
        news = {
            name: replace(self._known[name], state="reading", error_code=None, reason=None)
            for name in self._names
        }
        self._known |= news
        self.stager.note(news)
        self.stager.keep_ends(self._names)
        for name in self._names:
            self._stopped.pop(name, None)
        log.info("table_snapshot_started", system=self.system, tables=_list(self._names))
        self._batches = self.reader.read_tables(self._names, max_rows=self.sizes.snapshot_rows, stop=stop)

    def _note_done(self, batch: ChangeBatch) -> None:
        news = {
            name: replace(self._known[name], definition=definition)
            for name, definition in batch.definitions.items()
            if name in self._known
        }
        for name in batch.snapshot_done:
            one = news.get(name) or self._known[name]
            news[name] = replace(
                one, state="read", columns=self.read[name].names, read_position=int(batch.position)
            )
        self._known |= news
        self.stager.note(news)

    def _give_up(self) -> None:
        batches, self._batches, self._names = self._batches, None, ()
        self.stager.keep_ends(())
        close = getattr(batches, "close", None)
        if close is not None:
            close()


def _list(names: tuple[TableName, ...]) -> str:
    return ", ".join(map(str, names))
