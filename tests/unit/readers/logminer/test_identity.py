"""A change has the same place (position, ordinal) however often and from wherever the redo is read.

Histories of two redo threads with commits of equal SCNs are read with other starts and windows, with and
without the rows that LogMiner shows in some sessions only, and stopped between any two batches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from cdc.changes import ChangeBatch, SourceColumn, SourceTable, SourceType, TableName
from cdc.readers.logminer.lobs.large_rows import LargeRows
from cdc.readers.logminer.mining.rows import NO_ROW, Code, LogRow, transaction_name
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.streaming.batch_cutter import ORDINALS, BatchCutter
from cdc.readers.logminer.streaming.batches import BatchMaker
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.open_transactions import SpillStore
from cdc.staging.batches.open_batch import OpenBatch
from cdc.staging.batches.replay_filter import SnapshotProgress, incoming
from cdc.staging.checkpoints import StoredCheckpoint

PLAIN, NOTED = TableName("CISADM", "CI_PLAIN"), TableName("CISADM", "CI_NOTED")
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC).replace(tzinfo=None)
FIRST_SCN = 100

Change = tuple[int, int, str, str]
"""Position, ordinal, transaction and key of a change."""


@dataclass
class Logged:
    """Rows of a statement, and what must be asked for to see each of them."""

    rows: list[tuple[LogRow, str]]
    keys: list[str]


@dataclass
class Work:
    """A transaction that is being made."""

    xid: str
    thread: int
    keys: list[str] = field(default_factory=list)


@dataclass
class History:
    """Rows with what must be asked for to see them, and the changes that came of them."""

    rows: list[tuple[LogRow, str]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    last_scn: int = FIRST_SCN


# -- histories -------------------------------------------------------------------------------------


class Writer:
    """Makes a history: rows in the order of their SCNs, each with a place in the redo of its thread."""

    def __init__(self, seed: int) -> None:
        self._pick = random.Random(seed)  # noqa: S311 - reproducible data, no secret
        self._made = History()
        self._scn, self._numbers, self._places = FIRST_SCN, 0, {1: 0, 2: 0}

    def history(self) -> History:
        """Some transactions side by side; several may end at one SCN."""
        waiting: list[Work] = []
        for _ in range(self._pick.randrange(30, 60)):
            if len(waiting) < 4 and self._pick.random() < 0.4:
                waiting.append(self._begin())
            elif waiting and self._pick.random() < 0.3:
                count = self._pick.choice((1, 1, 2, 3))
                ending = [
                    waiting.pop(self._pick.randrange(len(waiting))) for _ in range(min(count, len(waiting)))
                ]
                self._end(ending)
            elif waiting:
                self._statement(self._pick.choice(waiting))
        self._end(waiting)
        self._made.last_scn = self._scn
        return self._made

    def _begin(self) -> Work:
        self._numbers += 1
        slot = self._pick.randrange(256)
        work = Work(f"{slot:02x}00{slot:02x}00{self._numbers:02x}000000", self._pick.choice((1, 2)))
        self._log(work, LogRow(0, Code.START, work.xid))
        return work

    def _statement(self, work: Work) -> None:
        self._numbers += 1
        key, kind = str(self._numbers), self._pick.choice(("plain", "plain", "undone", "lob", "long"))
        insert = LogRow(
            0,
            Code.INSERT,
            work.xid,
            f'insert into "CISADM"."CI_PLAIN"("ID") values (\'{key}\')',
            row_id=f"AAASMqAAEAAA{self._numbers:06d}",
            data_obj=1,
            owner=PLAIN.schema,
            table=PLAIN.name,
        )
        if kind in ("lob", "long"):
            self._noted(work, insert, key, kind)
            return
        shown = "undone" if kind == "undone" else ""
        self._log(work, insert, shown)
        if kind == "undone":
            self._log(work, replace(insert, operation_code=Code.DELETE, rollback=1, sql_redo=None), shown)
            return
        work.keys.append(key)

    def _noted(self, work: Work, insert: LogRow, key: str, kind: str) -> None:
        """An insert into a table with a LOB that no rule reads: rows of one statement, SCNs rising."""
        insert = replace(
            insert,
            sql_redo=f'insert into "CISADM"."CI_NOTED"("ID","NOTE") values (\'{key}\',EMPTY_CLOB())',
            data_obj=2,
            table=NOTED.name,
        )
        self._log(work, replace(insert, row_id="AAASMq" + NO_ROW))
        if kind == "long":
            lob = replace(insert, row_id="A" * 18, sql_redo="declare ..")
            self._log(work, replace(lob, operation_code=Code.SELECT_LOB_LOCATOR), "lob")
            self._log(work, replace(lob, operation_code=Code.LOB_WRITE), "lob")
            end = replace(insert, operation_code=Code.INTERNAL, sql_redo=None, owner=None, table=None)
            self._log(work, replace(end, sequence=4), "internal")
        else:
            where = f"where \"ID\" = '{key}' and ROWID = '{insert.row_id}'"
            text = f'update "CISADM"."CI_NOTED" set "NOTE" = \'n\' {where}'
            self._log(work, replace(insert, operation_code=Code.UPDATE, sql_redo=text, sequence=2))
        work.keys.append(key)

    def _end(self, ending: list[Work]) -> None:
        """Commit some transactions at one SCN, or roll the last one back."""
        if len(ending) == 1 and self._pick.random() < 0.2:
            self._log(ending[0], LogRow(0, Code.ROLLBACK, ending[0].xid))
            return
        self._scn += 1
        commits = [
            (self._log(work, LogRow(0, Code.COMMIT, work.xid, username="X"), moves=False), work)
            for work in ending
        ]
        with_rows = sorted(((row.rs_id or "", work.xid, work) for row, work in commits if work.keys))
        for number, (_, xid, work) in enumerate(with_rows):
            self._made.changes += [
                (self._scn, number * ORDINALS + at, transaction_name(xid), key)
                for at, key in enumerate(work.keys)
            ]

    def _log(self, work: Work, row: LogRow, shown: str = "", *, moves: bool = True) -> LogRow:
        self._scn += moves
        self._places[work.thread] += 1
        place = f" 0x000007.{self._places[work.thread]:08x}.0010 "
        row = replace(row, scn=self._scn, thread=work.thread, rs_id=place, when=NOON)
        self._made.rows.append((row, shown))
        return row


# -- reading ---------------------------------------------------------------------------------------


def image_readers() -> dict[TableName, ImageReader]:
    """Readers of the two tables; NOTE is read by no rule."""
    columns = (SourceColumn("ID", SourceType.TEXT, "VARCHAR2(10)"),)
    return {
        PLAIN: ImageReader(SourceTable(PLAIN, columns, ("ID",))),
        NOTED: ImageReader(SourceTable(NOTED, columns, ("ID",)), excluded=frozenset({"NOTE"})),
    }


def table_of(row: LogRow) -> TableName | None:
    """Both tables are captured; an INTERNAL row names its object only."""
    return {"CI_PLAIN": PLAIN, "CI_NOTED": NOTED}.get(row.table or "", NOTED if row.data_obj == 2 else None)


def batches(
    history: History, shown: frozenset[str], resume: dict[str, Any], pick: random.Random
) -> Iterator[ChangeBatch]:
    """What a reader makes of the redo from a checkpoint on, in windows of any size.

    Rows of one SCN come in an order of the threads that is another one each time.
    """
    readers, work = image_readers(), SpillStore("ccb", None, every_s=0)
    assembly = Assembly("ccb", table_of, has_large=lambda table: table == NOTED)
    output = BatchCutter(
        "ccb",
        BatchMaker("ccb", readers, "CCBRIDGE"),
        assembly,
        lambda open_then, position, all_read: work.resume(open_then, position, all_read=all_read),
        {},
        resume["committed"],
        pick.choice((1, 3, 1_000)),
        dict(resume),
        LargeRows("ccb", readers, {}, {}),
    )
    read_to = resume["read_from"]
    first = pick.choice((1, 2))
    visible = [row for row, needs in history.rows if not needs or needs in shown]
    rows = sorted(visible, key=lambda row: (row.scn, row.thread != first))
    while read_to < history.last_scn:
        end = min(history.last_scn, read_to + pick.choice((1, 2, 7, 1_000)))
        for row in rows:
            if read_to < row.scn <= end and isinstance(event := assembly.add(row), Committed):
                yield from output.take(event)
        read_to = end
        yield from output.flush(end)


@dataclass
class Staging:
    """What staging keeps of a stream: its own rule of what is new, and its own checkpoint."""

    changes: list[Change] = field(default_factory=list)
    stored: StoredCheckpoint = field(
        default_factory=lambda: StoredCheckpoint(
            "ccb",
            "logminer",
            {},
            FIRST_SCN,
            -1,
            {"read_from": FIRST_SCN, "committed": FIRST_SCN},
            snapshot_complete=True,
        )
    )

    def read(self, stream: Iterator[ChangeBatch], stop_at: Callable[[], bool]) -> None:
        """Stage batches until one is not to be taken; slices wait for the end of their transaction."""
        slices: list[Change] = []
        for batch in stream:
            if stop_at():
                return
            new = incoming(batch, self.stored, SnapshotProgress())
            slices += _changes(new.tables.values())
            if not batch.continues:
                self.stored = OpenBatch(0, "ccb", self.stored, None).checkpoint(batch, new, "logminer", None)
                self.changes += sorted(slices)
                slices = []


def _changes(tables: Any) -> list[Change]:
    return [
        row
        for one in tables
        for row in one.frame.select("position", "ordinal", "transaction_id", "after.ID").rows()
    ]


SEEN: Sequence[frozenset[str]] = (
    frozenset(),
    frozenset({"undone"}),
    frozenset({"internal"}),
    frozenset({"lob"}),
    frozenset({"undone", "internal", "lob"}),
)


@pytest.mark.parametrize("seed", range(15))
def test_a_change_has_the_same_place_in_every_reading(seed: int) -> None:
    """Whatever rows are shown, however threads are merged, wherever windows end: as a plain model says."""
    history, pick = Writer(seed).history(), random.Random(seed)  # noqa: S311 - reproducible, no secret
    for shown in SEEN:
        staging = Staging()
        staging.read(batches(history, shown, dict(staging.stored.resume), pick), lambda: False)
        assert staging.changes == history.changes


@pytest.mark.parametrize("seed", range(15))
def test_nothing_is_lost_or_doubled_by_a_stop_between_any_two_batches(seed: int) -> None:
    """Each attempt continues from the checkpoint, sees other rows and cuts otherwise."""
    history, pick = Writer(seed).history(), random.Random(seed)  # noqa: S311 - reproducible, no secret
    staging = Staging()
    while staging.stored.position < history.last_scn:
        left = pick.choice((1, 2, 5))

        def stop() -> bool:
            nonlocal left
            left -= 1
            return left < 0

        staging.read(batches(history, pick.choice(SEEN), dict(staging.stored.resume), pick), stop)
    assert staging.changes == history.changes


def test_histories_have_what_makes_places_differ() -> None:
    """Transactions that share a commit SCN, of both threads, are in the histories."""
    places = [change[:2] for seed in range(15) for change in Writer(seed).history().changes]
    assert sum(ordinal >= ORDINALS for _, ordinal in places) > 30
