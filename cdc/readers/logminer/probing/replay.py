"""A recording put through the reader's own assembly and texts, without a database.

Each transaction is right if the rows it left are those that the database had: what it changed is applied to
what was there before, and compared with what was there after. Large columns are read again by key, so they
are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from cdc.changes import AFTER, BEFORE, TableChanges, TableName
from cdc.errors import CcbridgeError
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.probing.recording import Recording, StepRecord, key_text, log_row
from cdc.readers.logminer.redo_sql.charsets import codec
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.streaming.batches import BatchMaker, Slice
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed

Cells = dict[str, str | None]
Held = dict[str, dict[str, Cells]]


@dataclass(frozen=True)
class Problem:
    """What is wrong with a transaction; without a table it is the transaction as a whole."""

    text: str
    table: str = ""
    column: str = ""

    def __str__(self) -> str:
        place = ".".join(filter(None, (self.table, self.column)))
        return f"{place}: {self.text}" if place else self.text


@dataclass
class Replayed:
    """A transaction as the reader understood it."""

    step: StepRecord
    changes: int = 0
    username: str | None = None
    client_id: str | None = None
    problems: list[Problem] = field(default_factory=list)


def replayed(recording: Recording) -> dict[str, Replayed]:
    """Put every row through the reader; transactions that were not made are left out."""
    steps = {step.xid: Replayed(step) for step in recording.steps.values() if step.xid and not step.error}
    committed = dict(_committed(recording, steps))
    readers = {
        name: ImageReader(
            table.table,
            excluded=frozenset(table.excluded),
            segment_columns=table.segment_columns,
            charset=codec(recording.facts.get("character_set", "AL32UTF8")),
        )
        for name, table in recording.tables.items()
    }
    maker = BatchMaker("probe", readers, "")
    for xid, one in steps.items():
        held: Held = {
            table: {key: dict(row) for key, row in rows.items()} for table, rows in one.step.before.items()
        }
        event = committed.get(xid)
        if event is not None:
            one.username, one.client_id = event.username, event.client_id
            try:
                tables = maker.tables([Slice(event, list(event.rows), 0)])
                for name, changes in tables.items():
                    one.changes += len(changes)
                    _apply(held.setdefault(name.name, {}), changes)
            except (CcbridgeError, RedoSyntaxError) as exc:
                one.problems.append(Problem(str(exc)))
                continue
        if event is None and one.step.commits and not one.problems:
            one.problems.append(Problem("its commit was not seen"))
        elif event is not None and not one.step.commits:
            one.problems.append(Problem("was rolled back, and comes as committed"))
        elif not one.problems:
            one.problems += _differences(one.step, held)
    return {one.step.name: one for one in steps.values()}


def _committed(recording: Recording, steps: Mapping[str, Replayed]) -> Iterator[tuple[str, Committed]]:
    assembly = Assembly("probe", partial(table_of, recording))
    refused: set[str] = set()
    for row in map(log_row, recording.rows):
        if row.xid in refused:
            continue
        try:
            event = assembly.add(row)
        except CcbridgeError as exc:
            refused.add(row.xid)
            if row.xid in steps:
                steps[row.xid].problems.append(Problem(str(exc)))
            continue
        if isinstance(event, Committed):
            yield event.xid, replace(event, rows=list(event.rows))


def table_of(recording: Recording, row: LogRow) -> TableName | None:
    """The replayed table of a row, by name or, where it is undecoded, by object id."""
    if row.owner == "UNKNOWN":
        ids = {number: name for name, table in recording.tables.items() for number in table.object_ids}
        return ids.get(row.data_obj) if row.data_obj is not None else None
    if row.owner is None or row.table is None:
        return None
    name = TableName(row.owner, row.table)
    return name if name in recording.tables else None


def _apply(rows: dict[str, Cells], changes: TableChanges) -> None:
    """What the changes of one table leave of its rows."""
    table = changes.table
    small = [column.name for column in table.columns if not column.large]
    for change in changes.frame.iter_rows(named=True):
        key = {side: key_text([change[side + name] for name in table.key]) for side in (BEFORE, AFTER)}
        kept: Cells = {}
        if change["operation"] in ("u", "d"):
            kept = rows.pop(key[BEFORE], {})
        if change["operation"] != "d":
            absent = changes.shapes[change["after_shape"]]
            rows[key[AFTER]] = kept | {name: change[AFTER + name] for name in small if name not in absent}


def _differences(step: StepRecord, held: Held) -> Iterator[Problem]:
    for table, expected in step.after.items():
        found = held.get(table, {})
        for key in sorted(expected.keys() - found.keys()):
            yield Problem(f"row {key} is missing", table)
        for key in sorted(found.keys() - expected.keys()):
            yield Problem(f"row {key} is there, the database has none", table)
        for key in sorted(expected.keys() & found.keys()):
            for column, value in expected[key].items():
                read = found[key].get(column)
                if read != value:
                    yield Problem(f"row {key}: read {read!r}, the database has {value!r}", table, column)
