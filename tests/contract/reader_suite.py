"""The contract that every ChangeReader passes, whatever it reads.

A reader's own tests subclass `ReaderSuite` and give a fixture `source`: a `Source` with two captured
tables, `account` and `recharge`, both with the columns id (key), name, amount, note, and an empty
captured table `typed` with one column for each of `Source.type_cases` and the key id. Names are
written here in lower case; a source may spell them otherwise (`Source.spelled`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import polars as pl
import pytest

from cdc.changes import AFTER, BEFORE, ChangeBatch, TableChanges, TableName
from cdc.errors import TransientError
from cdc.ports import ChangeReader, Resume

TIMEOUT_S = 45.0
ABSENT = "<absent>"


class TypeCase(NamedTuple):
    """A column of `typed`: the SQL literal written to it and the canonical text expected."""

    column: str
    literal: str
    canonical: str | None


class Session(Protocol):
    """A session of the application that changes the source."""

    def execute(self, statement: str) -> None:
        """Run one SQL statement inside the session's transaction."""

    def commit(self) -> None:
        """Commit; the next statement begins a new transaction."""

    def rollback(self) -> None:
        """Roll back."""


class Source(Protocol):
    """A source system that one reader can read."""

    @property
    def type_cases(self) -> Sequence[TypeCase]:
        """Columns of `typed` with what is written to them."""

    def spelled(self, name: str) -> str:
        """A table's or column's name as the source spells it."""

    def reader(self) -> ChangeReader:
        """A new reader of the captured tables; the test closes it."""

    def session(self, *, ours: bool = False) -> AbstractContextManager[Session]:
        """A session of the application, or one marked as our own; closed at the end of the block."""

    def rows(self, table: str) -> Mapping[str, Mapping[str, str | None]]:
        """What a table holds now: id -> column -> canonical text."""

    def cut(self) -> None:
        """Cut the connections of all readers, as a network failure would."""

    def move_log(self) -> None:
        """Write to the source's log without touching a captured table."""


@dataclass(frozen=True)
class Event:
    """One change out of a frame; absent columns hold ABSENT."""

    table: str
    operation: str
    position: int
    ordinal: int
    ours: bool
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]

    @property
    def place(self) -> tuple[int, int]:
        """Where it is in the stream."""
        return self.position, self.ordinal


def events(batch: ChangeBatch) -> list[Event]:
    """The changes of a batch over all tables, in stream order."""
    found = [event for changes in batch.tables.values() for event in _table_events(changes)]
    return sorted(found, key=lambda event: event.place)


def _table_events(changes: TableChanges) -> Iterator[Event]:
    names = changes.table.column_names
    frame = changes.frame.with_columns(
        changes.absent(side, name).alias(f"absent:{side}{name}") for side in (BEFORE, AFTER) for name in names
    )
    assert frame.columns[: len(changes.frame.columns)] == changes.frame.columns
    for row in frame.iter_rows(named=True):
        sides = {
            side: {
                name.lower(): ABSENT if row[f"absent:{side}{name}"] else row[f"{side}{name}"]
                for name in names
            }
            for side in (BEFORE, AFTER)
        }
        assert row["committed_at"] is not None
        yield Event(
            changes.table.name.name.lower(),
            row["operation"],
            row["position"],
            row["ordinal"],
            row["ours"],
            sides[BEFORE],
            sides[AFTER],
        )


class Reading:
    """Reads a source's stream in a test, bounded in time.

    Args:
        reader: closed by its maker.
        resume: where to start.
        max_changes: size of a batch.
    """

    def __init__(self, reader: ChangeReader, resume: Resume, *, max_changes: int = 1_000) -> None:
        self.reader = reader
        self.resume = resume
        self.batches: list[ChangeBatch] = []
        self._max_changes = max_changes

    def until(self, done: Callable[[list[Event]], bool], *, expect: str = "events") -> list[Event]:
        """Read on until `done(events so far)`; fails after TIMEOUT_S."""
        deadline = time.monotonic() + TIMEOUT_S
        found: list[Event] = []

        def stop() -> bool:
            return time.monotonic() > deadline

        with closing(_generator(self.reader, self.resume, self._max_changes, stop)) as stream:
            for batch in stream:
                self.batches.append(batch)
                self.resume = batch.resume
                found += events(batch)
                if not batch.continues and done(found):
                    return found
        pytest.fail(f"no {expect} within {TIMEOUT_S} s; had {len(found)} events")

    def take(self, count: int) -> list[Event]:
        """Read on until there are at least `count` changes."""
        return self.until(lambda found: len(found) >= count, expect=f"{count} events")


def _generator(
    reader: ChangeReader, resume: Resume, max_changes: int, stop: Callable[[], bool]
) -> Generator[ChangeBatch, None, None]:
    yield from reader.read(resume, max_changes=max_changes, stop=stop)


def snapshot(reader: ChangeReader, *, max_rows: int = 100) -> list[ChangeBatch]:
    """Take a whole snapshot."""
    deadline = time.monotonic() + TIMEOUT_S
    batches = list(reader.snapshot(max_rows=max_rows, stop=lambda: time.monotonic() > deadline))
    assert time.monotonic() < deadline, f"no snapshot within {TIMEOUT_S} s"
    return batches


def insert(
    key: int, name: str = "a", amount: str = "1.5", note: str | None = None, *, into: str = "account"
) -> str:
    """An insert statement."""
    text = "null" if note is None else f"'{note}'"
    return f"insert into {into} (id, name, amount, note) values ({key}, '{name}', {amount}, {text})"


class ReaderSuite:
    """What every reader promises."""

    @pytest.fixture
    def reader(self, source: Source) -> Iterator[ChangeReader]:
        """A reader that is closed at the end."""
        made = source.reader()
        yield made
        made.close()

    def test_preflight_of_a_well_set_source_finds_nothing(self, reader: ChangeReader) -> None:
        """A source that can be read is not complained about."""
        assert reader.preflight() == []

    def test_snapshot_hands_over_to_the_stream_without_gap_or_copy(
        self, source: Source, reader: ChangeReader
    ) -> None:
        """Writers need not stop for a snapshot: each row is in it or in the stream, once."""
        with source.session() as session:
            for key in range(300):
                session.execute(insert(key))
            session.commit()
        quit_ = threading.Event()
        busy = threading.Event()

        def write() -> None:
            with source.session() as session:
                for number in range(100_000):
                    if quit_.is_set():
                        return
                    session.execute(insert(1_000 + number))
                    session.execute(f"update account set name = 'w{number}' where id = {number % 300}")
                    session.execute(f"delete from account where id = {900 + number}")
                    session.commit()
                    busy.set()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            assert busy.wait(TIMEOUT_S)
            batches = snapshot(reader, max_rows=70)
            busy.clear()
            assert busy.wait(TIMEOUT_S)
        finally:
            quit_.set()
            writer.join()
        with source.session() as session:
            session.execute(insert(999_999))
            session.commit()

        state: dict[str | None, Mapping[str, str | None]] = {}
        read = [event for batch in batches for event in events(batch)]
        for event in read:
            assert event.operation == "r"
            assert event.after["id"] not in state, "a row twice in the snapshot"
            state[event.after["id"]] = event.after
        done = {name.name.lower() for batch in batches for name in batch.snapshot_done}
        assert done == {"account", "recharge", "typed"}
        stream = Reading(reader, batches[-1].resume).until(lambda found: found[-1].after["id"] == "999999")
        places = [event.place for event in read + stream]
        assert places == sorted(set(places)), "places must grow strictly from the snapshot on"
        for event in stream:
            row = (event.before if event.operation == "d" else event.after)["id"]
            assert (row in state) == (event.operation != "c"), f"{event.operation} of {row}: gap or copy"
            if event.operation == "d":
                del state[row]
            else:
                state[row] = event.after
        assert state == source.rows("account")

    def test_transactions_come_in_commit_order(self, source: Source, reader: ChangeReader) -> None:
        """The order is that of the commits, not that of the statements."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as first, source.session() as second:
            first.execute(insert(1, "began first"))
            second.execute(insert(2, "began second"))
            second.commit()
            first.execute(insert(3, into="recharge"))
            first.commit()
        found = reading.take(3)
        assert [(event.table, event.after["id"]) for event in found] == [
            ("account", "2"),
            ("account", "1"),
            ("recharge", "3"),
        ]
        assert found[0].position < found[1].position == found[2].position
        assert found[1].ordinal < found[2].ordinal

    def test_batches_hold_whole_transactions(self, source: Source, reader: ChangeReader) -> None:
        """A consumer that stages batch by batch never shows half a transaction."""
        reading = Reading(reader, snapshot(reader)[-1].resume, max_changes=10)
        with source.session() as session:
            for transaction in range(12):
                for row in range(4):
                    session.execute(insert(transaction * 10 + row))
                session.commit()
        reading.take(48)
        batch_of: dict[int, int] = {}
        for number, batch in enumerate(reading.batches):
            assert not batch.continues
            for event in events(batch):
                assert batch_of.setdefault(event.position, number) == number
                assert event.position <= batch.position
        assert len(batch_of) == 12

    def test_a_dropped_connection_is_transient_and_the_stream_comes_again_alike(
        self, source: Source, reader: ChangeReader
    ) -> None:
        """After a drop the same changes have the same place, so staging can tell them apart."""
        start = snapshot(reader)[-1].resume
        with source.session() as session:
            for key in range(20):
                session.execute(insert(key))
                session.execute(insert(key, into="recharge"))
                session.commit()
        once = Reading(reader, start, max_changes=5).take(40)
        stream = reader.read(start, max_changes=5, stop=lambda: False)
        next(stream)
        source.cut()
        with pytest.raises(TransientError):
            for _ in stream:
                pass
        assert Reading(reader, start, max_changes=7).take(40) == once

    def test_what_was_staged_does_not_come_again(self, source: Source, reader: ChangeReader) -> None:
        """`resume` of a batch leads to exactly what follows it."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        for key in (1, 2):
            with source.session() as session:
                session.execute(insert(key))
                session.commit()
            (event,) = reading.take(1)
            assert event.after["id"] == str(key)
            reader.acknowledge(reading.resume)
            reader.close()
            reader = reading.reader = source.reader()
        reader.close()

    def test_one_key_inserted_updated_and_deleted_in_one_transaction(
        self, source: Source, reader: ChangeReader
    ) -> None:
        """Every step is reported, in order."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as session:
            session.execute(insert(7, "new"))
            session.execute("update account set name = 'changed' where id = 7")
            session.execute("delete from account where id = 7")
            session.execute(insert(7, "again"))
            session.commit()
        found = reading.take(4)
        assert [event.operation for event in found] == ["c", "u", "d", "c"]
        assert [event.after["name"] for event in found] == ["new", "changed", ABSENT, "again"]
        assert found[2].before["id"] == "7"
        assert len({event.position for event in found}) == 1

    def test_a_changed_key_is_reported_with_the_old_and_the_new_one(
        self, source: Source, reader: ChangeReader
    ) -> None:
        """The row under the old key can be found and removed."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as session:
            session.execute(insert(1, "mover", note="stays"))
            session.commit()
            session.execute("update account set id = 2 where id = 1")
            session.commit()
            session.execute("update account set name = 'at rest' where id = 2")
            session.commit()
        _, moved, changed = reading.take(3)
        assert (moved.operation, moved.before["id"], moved.after["id"]) == ("u", "1", "2")
        assert moved.after["note"] == "stays"
        assert (changed.operation, changed.before["id"], changed.after["id"]) == ("u", "2", "2")

    def test_what_was_rolled_back_is_never_seen(self, source: Source, reader: ChangeReader) -> None:
        """Neither a whole transaction nor one back to a savepoint."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as session:
            session.execute(insert(1))
            session.rollback()
            session.execute(insert(2))
            session.execute("savepoint here")
            session.execute(insert(3))
            session.execute("update account set name = 'gone' where id = 2")
            session.execute("rollback to savepoint here")
            session.execute(insert(4))
            session.commit()
        found = reading.until(lambda events_: events_[-1].after["id"] == "4")
        assert [(event.operation, event.after["id"], event.after["name"]) for event in found] == [
            ("c", "2", "a"),
            ("c", "4", "a"),
        ]

    def test_an_idle_source_moves_the_position_on(self, source: Source, reader: ChangeReader) -> None:
        """Otherwise the source would keep its log for ever; and once a second is often enough."""
        resume = snapshot(reader)[-1].resume
        deadline = time.monotonic() + TIMEOUT_S
        moved: list[tuple[float, ChangeBatch]] = []
        with closing(
            _generator(reader, resume, 100, lambda: len(moved) == 2 or time.monotonic() > deadline)
        ) as stream:
            source.move_log()
            for batch in stream:
                assert batch.tables == {}
                moved.append((time.monotonic(), batch))
                reader.acknowledge(batch.resume)
                source.move_log()
        assert len(moved) == 2
        assert moved[0][1].position < moved[1][1].position
        assert moved[1][0] - moved[0][0] > 0.9
        with source.session() as session:
            session.execute(insert(1))
            session.commit()
        (event,) = Reading(reader, moved[1][1].resume).take(1)
        assert event.position > moved[1][1].position

    def test_null_is_a_value_and_not_absence(self, source: Source, reader: ChangeReader) -> None:
        """A column set to NULL is known to be NULL."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as session:
            session.execute(insert(1, note="here"))
            session.execute("update account set note = null where id = 1")
            session.commit()
        created, updated = reading.take(2)
        assert created.after["note"] == "here"
        assert updated.after["note"] is None
        assert all(value != ABSENT for value in updated.after.values())
        assert all(value == ABSENT for value in created.before.values())

    def test_rows_are_read_again_by_key_with_the_values_of_the_stream(
        self, source: Source, reader: ChangeReader
    ) -> None:
        """What the log left out comes in the same text; a row that is gone is left out."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        with source.session() as session:
            session.execute(insert(1, amount="12.50", note='a \\ "b"'))
            session.execute(insert(2))
            session.commit()
        first, second = reading.take(2)
        names = [source.spelled(name) for name in ("amount", "note")]
        table = next(t for name, t in reader.describe().items() if name.name == source.spelled("account"))
        found = reader.reread(table, names, {first.position: [("1",), ("2",), ("77",)]})
        assert {key: list(values) for (_, key), values in found.items()} == {
            ("1",): [first.after["amount"], first.after["note"]],
            ("2",): [second.after["amount"], None],
        }

    @pytest.mark.parametrize("way", ["snapshot", "stream"])
    def test_types_arrive_as_canonical_text(self, source: Source, reader: ChangeReader, way: str) -> None:
        """The same text whether a row was read or captured."""
        cases = source.type_cases
        columns = ", ".join(["id", *(case.column for case in cases)])
        literals = ", ".join(["1", *(case.literal for case in cases)])

        def write() -> None:
            with source.session() as session:
                session.execute(f"insert into typed ({columns}) values ({literals})")
                session.commit()

        if way == "snapshot":
            write()
            found = [event for batch in snapshot(reader) for event in events(batch)]
        else:
            reading = Reading(reader, snapshot(reader)[-1].resume)
            write()
            found = reading.take(1)
        expected = {"id": "1"} | {case.column: case.canonical for case in cases}
        assert [event.after for event in found] == [expected]

    def test_a_large_transaction_comes_in_slices(self, source: Source, reader: ChangeReader) -> None:
        """Memory stays bounded, and anyone who restarts inside it gets it again from its start."""
        reading = Reading(reader, snapshot(reader)[-1].resume, max_changes=50)
        with source.session() as session:
            session.execute(insert(0))
            session.commit()
            for key in range(1, 401):
                session.execute(insert(key, into="recharge" if key % 3 == 0 else "account"))
            session.commit()
            session.execute(insert(1_000))
            session.commit()
        found = reading.take(402)
        assert [int(event.after["id"] or "") for event in found] == [*range(401), 1_000]
        places = [event.place for event in found]
        assert places == sorted(set(places))
        slices = [batch for batch in reading.batches if batch.continues]
        assert len(slices) >= 4
        assert max(batch.rows for batch in reading.batches) <= 150
        again = Reading(reader, slices[-1].resume).take(401)
        assert again == found[1:]

    def test_reading_ends_soon_after_stop_was_asked(self, source: Source, reader: ChangeReader) -> None:
        """A service that must end is not held up by an idle source."""
        resume = snapshot(reader)[-1].resume
        asked = threading.Event()
        ended = threading.Event()

        def read() -> None:
            for _ in reader.read(resume, max_changes=100, stop=asked.is_set):
                pass
            ended.set()

        thread = threading.Thread(target=read)
        thread.start()
        asked.set()
        assert ended.wait(5)
        thread.join()

    def test_our_own_writes_are_marked(self, source: Source, reader: ChangeReader) -> None:
        """The echo of a delivery can be distinguished from what the application did."""
        reading = Reading(reader, snapshot(reader)[-1].resume)
        for key, ours in ((1, True), (2, False)):
            with source.session(ours=ours) as session:
                session.execute(insert(key))
                session.commit()
        assert [(event.after["id"], event.ours) for event in reading.take(2)] == [("1", True), ("2", False)]

    def test_described_tables_fit_the_frames(self, source: Source, reader: ChangeReader) -> None:
        """Rules are checked against `describe`, so frames must hold the same columns."""
        described = reader.describe()
        assert {name.name.lower() for name in described} == {"account", "recharge", "typed"}
        account = next(table for name, table in described.items() if name.name == source.spelled("account"))
        assert account.column_names == tuple(source.spelled(n) for n in ("id", "name", "amount", "note"))
        assert account.key == (source.spelled("id"),)
        with source.session() as session:
            session.execute(insert(1))
            session.commit()
        batch = snapshot(reader)[0]
        changes = batch.tables[account.name]
        assert isinstance(account.name, TableName)
        assert changes.table == account
        assert changes.frame.schema["after." + source.spelled("id")] == pl.String
