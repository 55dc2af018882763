"""Where mining begins and ends: the hand-over's SCN, rows of several redo records, databases at rest."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cdc.changes import TableName
from cdc.errors import RedoUnreadable
from cdc.ports import ColumnsRead
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.streaming import stream
from cdc.readers.logminer.transactions import missed_ends
from tests.contract.logminer_source import BRIDGE, OracleSource, needs_stand_in, system_session
from tests.contract.reader_suite import events, insert
from tests.integration.logminer.test_failures import Follower, inject, write


@pytest.fixture
def source(oracle: str) -> Iterator[OracleSource]:
    """A schema of its own; afterwards the server is as it was."""
    needs_stand_in()
    made = OracleSource(oracle)
    yield made
    for call in (
        "late_commits(on => 0)",
        "mine_from_start(scns => 0, commits => 0)",
        "heartbeat(seconds => 0)",
        "switch_logs(every => 100000)",
    ):
        inject(made, call)


def test_a_commit_at_the_snapshots_scn(source: OracleSource) -> None:
    """Its record has the very SCN of the snapshot, which does not show it yet: it comes in the stream."""
    follower = Follower(source)
    inject(source, "late_commits")
    with source.session() as writer:
        writer.execute(insert(1))
        with closing(follower.reader()) as reader:
            batches = reader.snapshot(max_rows=100, stop=lambda: False)
            seen = events(next(batches))
            writer.commit()
            for batch in batches:
                seen += events(batch)
                follower.resume = batch.resume
    assert seen == []
    assert follower.keys(1) == ["1"]


def test_a_commit_in_the_snapshot_comes_again(source: OracleSource) -> None:
    """The same SCN, but visible: at most it comes twice, behind the snapshot's row."""
    with source.session() as writer:
        writer.execute(insert(1))
        writer.commit()
    follower = Follower(source)
    write(source, 2)
    assert follower.keys(1)[-1] == "2"


def test_a_row_of_several_redo_records_across_a_windows_end(source: OracleSource) -> None:
    """LogMiner begun in the middle of it cannot show it: mining begins before the transaction."""
    source.settings = source.settings.model_copy(update={"max_window_scn": 2})
    follower = Follower(source)
    inject(source, "mine_from_start(scns => 2)")
    with source.session() as writer:
        for key in range(1, 8):
            writer.execute(f"insert into aside (id, name) values ({key}, 'of a table that is not captured')")
            writer.execute(insert(key))
            writer.commit()
    assert follower.keys(7) == [str(key) for key in range(1, 8)]


def test_a_missed_commit_is_found(
    source: OracleSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The database has ended a transaction, and LogMiner did not show its COMMIT: that stops by name."""
    monkeypatch.setattr(missed_ends, "LOOK_EVERY_S", 0.0)
    source.settings = source.settings.model_copy(
        update={"spill_directory": tmp_path, "open_transaction_write_s": 0, "max_window_scn": 5}
    )
    follower = Follower(source)
    with source.session() as writer:
        writer.execute(insert(1))
        write(source, 2)
        assert follower.keys(1) == ["2"]
        write(source, *range(10, 20))
        assert len(follower.keys(11)) == 11
        inject(source, "mine_from_start(scns => 0, commits => 1)")
        writer.commit()
    with pytest.raises(RedoUnreadable, match=r"transaction [0-9.]+ .* COMMIT"):
        follower.attempt(12)


@pytest.mark.slow
def test_a_database_at_rest_under_heartbeats(source: OracleSource) -> None:
    """The last commit of a quiet database is read, though LogMiner refuses to end at the flushed SCN."""
    inject(source, "heartbeat(seconds => 1)")
    follower = Follower(source)
    for key in range(1, 4):
        write(source, key)
        assert follower.keys(key)[-1] == str(key)
    assert follower.errors == []


def test_mining_begins_anywhere_in_a_log(source: OracleSource) -> None:
    """Behind any SCN, in the middle of a log or just where one ends, whether its redo was read or not."""
    inject(source, "open_thread(thread => 2)")  # its log reaches further back
    inject(source, "switch_logs(every => 2)")
    with closing(MiningSession("ccb", source.settings, [])) as session:
        first = session.current_scn()
        write(source, *range(3))
        inject(source, "close_thread(thread => 2)")
        state = session.look()
    last = state.flushed_scn - 1
    assert last - first > 5
    for start in range(first, last):
        with closing(MiningSession("ccb", source.settings, [])) as session:
            for read_to in (start, start + 1):
                for _ in session.rows(start, read_to, last, state):
                    pass


NOTES = 4
ALL_NOTES = [str(key) for key in range(NOTES)]


@pytest.fixture
def documents(source: OracleSource) -> OracleSource:
    """A source with a table of LOBs, each statement on which has redo records of rising SCNs."""
    with system_session(source.settings.dsn) as cursor:
        for statement in (
            f"create table {source.owner}.DOC (id number(9) primary key, note clob)",
            f"alter table {source.owner}.DOC add supplemental log data (all) columns",
            f"grant select, flashback on {source.owner}.DOC to {BRIDGE}",
        ):
            cursor.execute(statement)
    source.settings = source.settings.model_copy(update={"max_window_scn": 1})
    return source


def notes(
    source: OracleSource, resume: Mapping[str, Any], *, batches: int, count: int = NOTES
) -> tuple[list[str], list[Any]]:
    """Keys of notes that a new reader brings, until there are enough, and the checkpoint of each batch."""
    table = TableName(source.owner, "DOC")
    read = {table: ColumnsRead(frozenset({"ID"}), frozenset({"ID"}))}
    found: list[str] = []
    checkpoints: list[Any] = []
    deadline = time.monotonic() + 60
    reader = LogMinerReader("ccb", source.settings, [table], read)
    stream = reader.read(resume, max_changes=100, stop=lambda: time.monotonic() > deadline)
    with closing(reader), closing(stream):  # type: ignore[type-var]
        for batch in itertools.islice(stream, batches):
            assert not batch.stopped, batch.stopped
            found += [str(row.after["id"]) for row in events(batch)]
            checkpoints.append((len(found), batch.resume))
            if len(found) >= count:
                break
    return found, checkpoints


def write_notes(source: OracleSource) -> Mapping[str, Any]:
    """Notes written in two transactions side by side; returns where reading begins."""
    with closing(LogMinerReader("ccb", source.settings, [TableName(source.owner, "DOC")])) as reader:
        resume = [batch.resume for batch in reader.snapshot(max_rows=10, stop=lambda: False)][-1]
    with source.session() as one, source.session() as other:
        for key in range(NOTES):
            (one, other)[key % 2].execute(f"insert into doc values ({key}, '{'n' * 30}')")
        one.commit()
        other.commit()
    return resume


def test_a_statement_on_lobs_across_windows_and_restarts(
    documents: OracleSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows of one SCN end inside every statement, and a new reader continues from any of their ends."""
    monkeypatch.setattr(stream, "IDLE_BATCH_S", 0.0)
    resume = write_notes(documents)
    found, checkpoints = notes(documents, resume, batches=1_000)
    assert sorted(found) == ALL_NOTES
    documents.settings = documents.settings.model_copy(update={"max_window_scn": 100})
    for staged, checkpoint in checkpoints[:-1]:
        rest = notes(documents, checkpoint, batches=1_000, count=NOTES - staged)[0]
        assert sorted(found[:staged] + rest) == ALL_NOTES


def test_a_statement_on_lobs_continues_behind_what_is_on_disk(
    documents: OracleSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The checkpoint lies inside a statement whose first rows are in a file; mining begins before it."""
    monkeypatch.setattr(stream, "IDLE_BATCH_S", 0.0)
    documents.settings = documents.settings.model_copy(
        update={"spill_directory": tmp_path, "open_transaction_write_s": 0}
    )
    resume, found = write_notes(documents), []
    for _ in range(40):
        more, checkpoints = notes(documents, resume, batches=5)
        found += more
        resume = checkpoints[-1][1]
        if len(found) >= NOTES:
            break
    assert sorted(found) == ALL_NOTES


def test_without_the_overlap_such_a_statement_is_not_shown(
    documents: OracleSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in is as hard as Oracle: mining begun inside the statement tells that it cannot be read."""
    monkeypatch.setattr(stream, "session_start", lambda read_to, *_, **__: read_to)
    resume = write_notes(documents)
    with pytest.raises(AssertionError, match="does not support this row"):
        notes(documents, resume, batches=1_000)


def test_undo_in_an_index_organized_table(source: OracleSource) -> None:
    """Its rows have no row id in LogMiner: the newest that fits is undone."""
    table = TableName(source.owner, "PLACE")
    with system_session(source.settings.dsn) as cursor:
        for statement in (
            f"create table {table} (id number(9) primary key, name varchar2(20)) organization index",
            f"alter table {table} add supplemental log data (all) columns",
            f"grant select, flashback on {table} to {BRIDGE}",
        ):
            cursor.execute(statement)
    with closing(LogMinerReader("ccb", source.settings, [table])) as reader:
        resume = [batch.resume for batch in reader.snapshot(max_rows=10, stop=lambda: False)][-1]
        with source.session() as writer:
            for statement in (
                "insert into place values (1, 'kept')",
                "insert into place values (2, 'deleted')",
                "savepoint here",
                "insert into place values (3, 'undone')",
                "update place set name = 'undone' where id = 1",
                "delete from place where id = 2",
                "rollback to savepoint here",
                "delete from place where id = 2",
                "insert into place values (4, 'last')",
            ):
                writer.execute(statement)
            writer.commit()
        found: list[tuple[str, str | None]] = []
        deadline = time.monotonic() + 60
        for batch in reader.read(resume, max_changes=100, stop=lambda: time.monotonic() > deadline):
            assert not batch.stopped, batch.stopped
            found += [
                (row.operation, row.before["id"] if row.operation == "d" else row.after["id"])
                for row in events(batch)
            ]
            if len(found) >= 4:
                break
    assert found == [("c", "1"), ("c", "2"), ("d", "2"), ("c", "4")]
