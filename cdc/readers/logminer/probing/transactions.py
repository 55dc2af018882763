"""The transactions of a probe: each is run, and what it left in its tables is noted as the truth."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import oracledb
import polars as pl

from cdc.assumptions import Deadline, NotTried
from cdc.changes import SourceTable
from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.probing.recording import Contents, StepRecord, key_text
from cdc.readers.logminer.probing.scratch import Scratch
from cdc.readers.logminer.probing.workload import DDL_AFTER, DDL_BEFORE, STEP, TABLES, Step
from cdc.readers.logminer.redo_sql.values import canonical
from cdc.readers.logminer.tables.selected import as_text, quoted

NAME_STEP = f"insert into {STEP} (STEP) values (:1)"  # noqa: S608 - our own name


class Transactions:
    """Runs the workload in an opened scratch schema.

    Args:
        system: name of the system, for messages.
        scratch: the schema.
        deadline: no transaction begins after it.

    Attributes:
        steps: the transactions that were made or tried.
    """

    def __init__(self, system: str, scratch: Scratch, deadline: Deadline) -> None:
        self._system, self._scratch, self._deadline = system, scratch, deadline
        self.steps: dict[str, StepRecord] = {}

    def make(self, step: Step, *, scn: Callable[[], int]) -> StepRecord:
        """Run a transaction of the workload and note what it left.

        Args:
            step: what to run.
            scn: the database's SCN now.

        Raises:
            DatabaseUnreachable: the session was lost; other errors are noted in the record.
        """
        record = self.steps[step.name] = StepRecord(step.name, step.commits, client_id=step.client_id)
        missing = next(
            (self._scratch.missing[table] for table in step.tables if table in self._scratch.missing), None
        )
        try:
            if missing is not None:
                raise missing
            self._deadline.require()
            if step.name in DDL_BEFORE:
                self._scratch.run(DDL_BEFORE[step.name])
                self._scratch.describe([table for table in TABLES if table.name in step.tables])
            self._make(step, record, scn)
            if step.name in DDL_AFTER:
                self._scratch.run(DDL_AFTER[step.name])
        except NotTried as exc:
            record.error, record.hint = str(exc), exc.hint
            self._scratch.rollback()
        return record

    def _make(self, step: Step, record: StepRecord, scn: Callable[[], int]) -> None:
        self._scratch.session.client_identifier = step.client_id
        record.before = self._contents(step)
        self._scratch.run(NAME_STEP, [(step.name,)])
        for number, statement in enumerate(step.statements):
            if number == step.split_at:
                record.scn = scn()
            if isinstance(statement, tuple):
                self._scratch.run(*statement)
            elif statement.startswith("!"):
                try:
                    self._scratch.run(statement[1:])
                except NotTried:
                    continue
                raise NotTried("a statement that must fail did not")
            else:
                self._scratch.run(statement)
        after = self._contents(step)
        if step.commits:
            self._scratch.run("commit")
        else:
            self._scratch.run("rollback")
        record.after = after if step.commits else record.before

    def leave_open(self, session: oracledb.Connection, step: Step) -> None:
        """Run a transaction on a session of its own and do not end it."""
        record = self.steps[step.name] = StepRecord(step.name, step.commits, client_id=step.client_id)
        record.before = record.after = self._contents(step)
        with oracle_errors(self._system), session.cursor() as cursor:
            cursor.execute(NAME_STEP, [step.name])
            for statement in step.statements:
                cursor.execute(str(statement))

    def _contents(self, step: Step) -> Contents:
        tables = [
            self._scratch.described[name].table
            for name in (STEP, *step.tables)
            if name in self._scratch.described
        ]
        return {table.name.name: self._rows(table) for table in tables}

    def _rows(self, table: SourceTable) -> dict[str, dict[str, str | None]]:
        small = replace(table, columns=tuple(column for column in table.columns if not column.large))
        columns = ", ".join(as_text(column) for column in small.columns)
        with oracle_errors(self._system), self._scratch.session.cursor() as cursor:
            cursor.execute(f"select {columns} from {quoted(table.name)}")  # noqa: S608 - quoted names
            rows = cursor.fetchall()
        values = [
            canonical(pl.Series([row[at] for row in rows], dtype=pl.String), column).to_list()
            for at, column in enumerate(small.columns)
        ]
        found = {}
        for row in zip(*values, strict=True) if rows else ():
            cells = dict(zip(small.column_names, row, strict=True))
            found[key_text([cells[name] for name in table.key])] = cells
        return found

    def row_ids(self) -> dict[str, list[str]]:
        """The real row ids of the replayed tables now."""
        found = {}
        for name, table in self._scratch.described.items():
            statement = f"select rowid from {quoted(table.table.name)}"  # noqa: S608 - quoted names
            with suppress(NotTried):
                found[name] = [str(value) for (value,) in self._scratch.run(statement)]
        return found
