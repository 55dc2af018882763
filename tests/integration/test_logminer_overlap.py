"""Where mining begins and ends: the hand-over's SCN, rows of several redo records, databases at rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cdc.errors import RedoUnreadable
from cdc.readers.logminer import missed_ends
from tests.contract.logminer_source import OracleSource, needs_stand_in
from tests.contract.reader_suite import events, insert
from tests.integration.test_logminer_faults import Follower, fault, write


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
    ):
        fault(made, call)


def test_a_commit_at_the_snapshots_scn(source: OracleSource) -> None:
    """Its record has the very SCN of the snapshot, which does not show it yet: it comes in the stream."""
    follower = Follower(source)
    fault(source, "late_commits")
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
    fault(source, "mine_from_start(scns => 2)")
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
        update={"spill_directory": tmp_path, "open_transaction_write_s": 0}
    )
    follower = Follower(source)
    with source.session() as writer:
        writer.execute(insert(1))
        write(source, 2)
        assert follower.keys(1) == ["2"]
        write(source, *range(10, 20))
        assert len(follower.keys(11)) == 11
        fault(source, "mine_from_start(scns => 0, commits => 1)")
        writer.commit()
    with pytest.raises(RedoUnreadable, match=r"transaction [0-9.]+ .* COMMIT"):
        follower.attempt(12)


@pytest.mark.slow
def test_a_database_at_rest_under_heartbeats(source: OracleSource) -> None:
    """The last commit of a quiet database is read, though LogMiner refuses to end at the flushed SCN."""
    fault(source, "heartbeat(seconds => 1)")
    follower = Follower(source)
    for key in range(1, 4):
        write(source, key)
        assert follower.keys(key)[-1] == str(key)
    assert follower.errors == []
