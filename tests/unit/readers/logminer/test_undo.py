"""Undone work in generated transactions: every form of statement, kept in every way, against a plain list."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import pytest

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import Code, LogRow
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.lob_filter import LobFilter
from cdc.readers.logminer.transactions.open_transactions import SpillStore
from tests.redo_sequences import EveryTable, recorded_table

XID = "0a00010057030000"
ZERO = "A" * 18
PLAIN, LOBS, INDEXED = "PLAIN", "LOBS", "INDEXED"
OBJECT_ZERO = "AAASMq" + "A" * 12
COMPENSATION = {1: 2, 2: 1, 3: 3, 0: 3}
FEW, MANY = 25, 400


@dataclass
class Statement:
    """What a statement logs, and the rows of it that are a change."""

    table: str
    code: int
    row_id: str
    forward: list[LogRow]
    changes: list[int] = field(default_factory=list)


class Writer:
    """Writes statements as LogMiner shows them."""

    def __init__(self, pick: random.Random) -> None:
        self.pick = pick
        self.scns = count(2)
        self.ids = count()
        self.live: list[Statement] = []
        self.rows: list[LogRow] = [LogRow(1, Code.START, XID)]

    def row(self, table: str, code: int, row_id: str, *, rollback: int = 0, text: str | None = "t") -> LogRow:
        named = code != Code.INTERNAL
        return LogRow(
            next(self.scns),
            code,
            XID,
            text,
            rollback=rollback,
            row_id=row_id,
            data_obj={PLAIN: 1, LOBS: 2, INDEXED: 3}[table],
            owner="S" if named else None,
            table=table if named else None,
            sequence=2 if code == Code.INTERNAL else 1,
        )

    def write(self, *, fails: bool = False) -> None:
        """One statement on one row; one that fails has no last row, and is undone at once."""
        table = self.pick.choice((PLAIN, LOBS, LOBS, INDEXED))
        places = [one.row_id for one in self.live if one.table == table and one.code == Code.INSERT]
        gone = {one.row_id for one in self.live if one.table == table and one.code == Code.DELETE}
        places = [place for place in places if place not in gone]
        code = self.pick.choice((1, 1, 2, 3, 3, 0 if table == LOBS else 3)) if places else Code.INSERT
        row_id = self.pick.choice(places) if code != Code.INSERT else f"AAASMqAAMAAA{next(self.ids):06d}"
        made = Statement(table, code, row_id, list(self._forms(table, code, row_id, fails=fails)))
        made.changes = [row.scn for row in made.forward if row.operation_code in (1, 2, 3)]
        self.rows += made.forward
        self.live.append(made)
        if fails:
            self.undo(1)

    def _forms(self, table: str, code: int, row_id: str, *, fails: bool) -> Iterator[LogRow]:
        if table == INDEXED:
            yield self.row(table, code, OBJECT_ZERO)
        elif table == PLAIN or code == Code.DELETE or (code == Code.UPDATE and self.pick.random() < 0.3):
            yield self.row(table, code, row_id)
        else:
            yield from self._lob_forms(table, code, row_id, fails=fails)

    def _lob_forms(self, table: str, code: int, row_id: str, *, fails: bool) -> Iterator[LogRow]:
        """A row without row id, LOB rows, and the end: an UPDATE or an INTERNAL row."""
        if code:
            yield self.row(table, code, self.pick.choice((ZERO, OBJECT_ZERO)))
        for kind in self.pick.sample((10, 91, 68), self.pick.randrange(0 if code else 1, 3)):
            locator = row_id if code == 0 and kind == 10 and self.pick.random() < 0.5 else ZERO
            if kind == 10:
                text = 'select "C" into loc_c from "S"."LOBS" where "ID" = \'1\' for update;'
                yield self.row(table, 9, locator, text=text)
            yield self.row(table, kind, ZERO)
        if not fails and self.pick.random() < 0.5:
            yield self.row(table, Code.UPDATE, row_id)
        elif not fails:
            yield self.row(table, Code.INTERNAL, row_id, text=None)

    def undo(self, statements: int) -> None:
        """Undo the newest statements."""
        for _ in range(min(statements, len(self.live))):
            one = self.live.pop()
            place = OBJECT_ZERO if one.table == INDEXED else one.row_id
            text = self.pick.choice(("t", None))
            self.rows.append(self.row(one.table, COMPENSATION[one.code], place, rollback=1, text=text))

    def commit(self) -> None:
        """The end."""
        self.rows.append(LogRow(next(self.scns), Code.COMMIT, XID))


def written(pick: random.Random) -> Writer:
    """A transaction with savepoints inside savepoints, and statements that fail."""
    writer = Writer(pick)
    savepoints: list[int] = []
    for _ in range(pick.randrange(1, 60)):
        chance = pick.random()
        if chance < 0.15:
            savepoints.append(len(writer.live))
        elif chance < 0.3 and savepoints:
            del savepoints[pick.randrange(len(savepoints)) + 1 :]
            writer.undo(len(writer.live) - savepoints[-1])
        else:
            writer.write(fails=chance > 0.93)
    writer.commit()
    return writer


@pytest.mark.parametrize("kept", ["in memory", "on disk", "over restarts"])
@pytest.mark.parametrize("read", [True, False], ids=["LOBs read", "LOBs not read"])
@pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
def test_only_what_was_undone_is_gone(kept: str, read: bool, seeds: int, tmp_path: Path) -> None:
    """The changes that are left are those of the statements that were not undone, in order, none refused."""
    for seed in range(seeds):
        pick = random.Random(f"{seed} {kept} {read}")  # noqa: S311 - reproducible rows, no secret
        writer = written(pick)
        lobs = LobFilter(EveryTable(), EveryTable()) if read else None
        found = _read(pick, writer.rows, lobs, tmp_path / str(seed), kept)
        expected = [scn for one in writer.live for scn in one.changes]
        shown = "\n".join(
            f"{row.scn} {row.operation_code} {'undo' if row.rollback else ''} {row.table} {row.row_id}"
            for row in writer.rows
        )
        assert found == expected, f"seed {seed}\n{shown}"


def _read(
    pick: random.Random, rows: list[LogRow], lobs: LobFilter | None, folder: Path, kept: str
) -> list[int]:
    work = SpillStore("undo", folder, every_s=0)
    work.begin({"read_from": 0, "committed": 0}, {})
    size = 2**30 if kept == "in memory" else pick.choice((0, 5_000))

    def assembly(restored: list[object]) -> Assembly:
        return Assembly(
            "undo",
            recorded_table,
            lobs=lobs,
            restored=restored,  # type: ignore[arg-type]
            max_bytes=size,
            spill=work.spill,
        )

    made = assembly([])
    for row in rows:
        event = made.add(row)
        if isinstance(event, Committed):
            return [one.scn for _, one in event.rows if one.operation_code in (1, 2, 3, 255)]
        if kept == "over restarts" and pick.random() < 0.1:
            resume = work.resume(made.open, row.scn, all_read=True)
            work = SpillStore("undo", folder, every_s=0)
            made = assembly(list(work.begin(resume, {})[1]))
    assert made.open == ()
    return []


def test_tables_are_distinguished() -> None:
    """A statement that continues in one table is not ended by rows of another, as a trigger writes them."""
    writer = Writer(random.Random(1))  # noqa: S311 - no secret
    place = "AAASMqAAMAAA000001"
    for table, code, row_id, rollback in (
        (LOBS, 1, ZERO, 0),
        (PLAIN, 1, place, 0),
        (INDEXED, 1, OBJECT_ZERO, 0),
        (LOBS, 0, place, 0),
        (PLAIN, 3, place, 0),
        (PLAIN, 3, place, 1),
        (INDEXED, 2, OBJECT_ZERO, 1),
        (PLAIN, 2, place, 1),
        (LOBS, 2, place, 1),
        (PLAIN, 1, place, 0),
    ):
        writer.rows.append(writer.row(table, code, row_id, rollback=rollback))
    writer.commit()
    assembly = Assembly("undo", recorded_table)
    (done,) = [event for row in writer.rows if isinstance(event := assembly.add(row), Committed)]
    assert [(table, row.operation_code) for table, row in done.rows] == [(TableName("S", PLAIN), 1)]


def test_a_lob_alone_is_changed_in_a_partition_that_came_since() -> None:
    """Its last row names no table, only a number that is not known; those before have it too, and a name."""
    writer = Writer(random.Random(1))  # noqa: S311 - no secret
    place = "AAASMqAAMAAA000001"
    for code, row_id, rollback in ((10, ZERO, 0), (0, place, 0), (3, place, 0), (3, place, 1)):
        made = writer.row(LOBS, code, row_id, rollback=rollback, text=None if code == 0 else "t")
        writer.rows.append(replace(made, data_obj=99))
    writer.commit()
    assembly = Assembly("undo", recorded_table, lobs=LobFilter(EveryTable(), EveryTable()))
    (done,) = [event for row in writer.rows if isinstance(event := assembly.add(row), Committed)]
    assert [(table, row.operation_code) for table, row in done.rows] == [(TableName("S", LOBS), 10)]


def test_inserts_whose_last_row_is_not_shown() -> None:
    """Rows without row id that no row ends are undone newest first, those before a savepoint stay."""
    writer = Writer(random.Random(1))  # noqa: S311 - no secret
    place = "AAASMqAAMAAA00000"
    for code, row_id, rollback in (
        (1, ZERO, 0),
        (1, ZERO, 0),
        (1, ZERO, 0),
        (3, place + "9", 0),
        (3, place + "9", 1),
        (2, place + "3", 1),
        (2, place + "2", 1),
    ):
        writer.rows.append(writer.row(LOBS, code, row_id, rollback=rollback))
    writer.commit()
    assembly = Assembly("undo", recorded_table)
    (done,) = [event for row in writer.rows if isinstance(event := assembly.add(row), Committed)]
    assert [row.scn for _, row in done.rows] == [2]


@pytest.mark.parametrize(("sequence", "has_large"), [(1, True), (2, False)])
def test_other_internal_rows_end_nothing(sequence: int, has_large: bool) -> None:
    """Index and space work has a row id too; it must not take the place of the row that was undone."""
    rows = [
        LogRow(1, Code.START, XID),
        LogRow(2, 3, XID, "t", row_id="AAB", owner="S", table="T"),
        LogRow(3, 0, XID, row_id="AAB", owner="S", table="T", sequence=sequence),
        LogRow(4, 3, XID, "t", row_id="AAB", owner="S", table="T", rollback=1),
        LogRow(5, Code.COMMIT, XID),
    ]
    assembly = Assembly("undo", recorded_table, has_large=lambda table: has_large)
    assert [event for row in rows if isinstance(event := assembly.add(row), Committed)] == []


def test_a_start_row_that_comes_twice_is_the_same_transaction() -> None:
    """An id with its sequence is given once; rows before the second START row count."""
    assembly = Assembly("undo", recorded_table)
    rows = [
        LogRow(1, Code.START, XID),
        LogRow(2, 1, XID, "t", row_id="AAB", owner="S", table="T"),
        LogRow(3, Code.START, XID),
        LogRow(4, 1, XID, "t", row_id="AAC", owner="S", table="T"),
        LogRow(5, Code.COMMIT, XID),
    ]
    (done,) = [event for row in rows if isinstance(event := assembly.add(row), Committed)]
    assert [row.scn for _, row in done.rows] == [2, 4]
    assert done.start_scn == 1
    assert assembly.counts["second START rows"] == 1


def test_an_update_of_plain_columns_ends_no_statement() -> None:
    """Where the last row of a statement is not shown, the next update of the row is not taken for it."""
    plain = 'update "S"."LOBS" set "STR0" = \'2\' where "ID" = \'1\';'
    writer = Writer(random.Random(1))  # noqa: S311 - no secret
    place = "AAASMqAAMAAA000001"
    for code, row_id, rollback, text in (
        (3, ZERO, 0, "t"),
        (10, ZERO, 0, "t"),
        (3, place, 0, plain),
        (3, place, 1, None),
        (10, ZERO, 0, "t"),
        (3, place, 0, plain),
        (3, place, 1, None),
        (3, place, 1, None),
    ):
        writer.rows.append(writer.row(LOBS, code, row_id, rollback=rollback, text=text))
    writer.commit()
    assembly = Assembly("undo", recorded_table, ends_statement=lambda _, row: row.sql_redo != plain)
    (done,) = [event for row in writer.rows if isinstance(event := assembly.add(row), Committed)]
    assert [row.scn for _, row in done.rows] == [2]


def test_lobs_of_another_table_explain_no_compensation() -> None:
    """A change of a LOB alone may have no row; in a table without LOBs there is no such thing."""
    writer = Writer(random.Random(1))  # noqa: S311 - no secret
    place = "AAASMqAAMAAA000001"
    for table, code, row_id, rollback in (
        (LOBS, 10, ZERO, 0),
        (LOBS, 3, place, 1),
        (LOBS, 3, place, 1),
        (PLAIN, 3, place, 1),
    ):
        writer.rows.append(writer.row(table, code, row_id, rollback=rollback))
    writer.commit()
    assembly = Assembly("undo", recorded_table, has_large=lambda table: table.name == LOBS)
    (done,) = [event for row in writer.rows if isinstance(event := assembly.add(row), Committed)]
    assert [(table.name, row.operation_code) for table, row in done.rows] == [(PLAIN, Code.UNSUPPORTED)]


@pytest.mark.parametrize(
    ("made", "undone"),
    [(made, undone) for made in (1, 2, 3) for undone in (1, 2, 3) if COMPENSATION[made] != undone],
)
def test_a_compensation_takes_back_nothing_but_its_inverse(made: int, undone: int) -> None:
    """Where the row that was undone is not shown, another one at its place stays, and the table stops."""
    writer = Writer(random.Random(1))  # noqa: S311 - no secret
    place = "AAASMqAAMAAA000001"
    writer.rows += [writer.row(PLAIN, made, place), writer.row(PLAIN, undone, place, rollback=1)]
    writer.commit()
    assembly = Assembly("undo", recorded_table)
    (done,) = [event for row in writer.rows if isinstance(event := assembly.add(row), Committed)]
    assert [row.operation_code for _, row in done.rows] == [made, Code.UNSUPPORTED]
