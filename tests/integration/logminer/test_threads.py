"""Redo threads of instances that come and go, logs that are not where they were: nothing lost or waited for.

Read before: `test_failures`, whose `Follower` reads as a supervised flow does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from cdc.errors import RedoHeldBack, RedoNotAvailable
from cdc.readers.logminer import recovery
from cdc.readers.logminer.mining import idle_threads, session
from tests.contract.logminer_source import OracleSource, needs_stand_in, system_session
from tests.contract.reader_suite import insert
from tests.integration.logminer.test_failures import Follower, administer, inject, write


@pytest.fixture
def source(oracle: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[OracleSource]:
    """A schema of its own; afterwards one instance is left, and all logs."""
    needs_stand_in()
    monkeypatch.setattr(recovery, "FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(session, "ARCHIVER_PAUSES_S", (0.01, 0.01, 0.01))
    made = OracleSource(oracle)
    yield made
    for call in ("restore_logs", "delay_archiving(looks => 0)"):
        inject(made, call)
    with system_session(made.settings.dsn) as cursor:
        cursor.execute("select count(*) from v$thread where thread# = 2 and status = 'OPEN'")
        left_open = cursor.fetchone() == (1,)
    if left_open:
        inject(made, "close_thread(thread => 2)")


@contextmanager
def instance(source: OracleSource, *, private: bool = False) -> Iterator[None]:
    """The second instance is up."""
    inject(source, f"open_thread(thread => 2, private => {int(private)})")
    yield
    inject(source, "close_thread(thread => 2)")


def written_by_two(source: OracleSource, *keys: int, switches: int = 0) -> None:
    """Rows that the second instance commits; afterwards every thread switches so many logs."""
    with source.session() as two:
        two.execute("begin sandbox_faults.use_thread(thread => 2); end;")
        for key in keys:
            two.execute(insert(key))
            two.commit()
    administer(source, *["alter system archive log current"] * switches)


def test_an_instance_that_was_down(source: OracleSource) -> None:
    """Its next log begins where it starts again; the SCNs in between are in no log, and none is missed."""
    with instance(source):
        written_by_two(source, 1)
    follower = Follower(source)
    write(source, *range(10, 20))
    assert len(follower.keys(10)) == 10
    with instance(source):
        written_by_two(source, 2)
        assert follower.keys(11)[-1] == "2"
    assert follower.errors == []


def test_an_instance_that_was_down_has_redo_from_before(source: OracleSource) -> None:
    """What it wrote before it went down is still to be read: a missing log of then is missed."""
    follower = Follower(source)
    with instance(source):
        written_by_two(source, 1, switches=5)
    write(source, 2)
    inject(source, "purge_logs(thread => 2)")
    with instance(source):
        written_by_two(source, 3)
        with pytest.raises(
            RedoNotAvailable, match=r"thread 2 sequence [0-9 to]+ was archived and its file deleted"
        ):
            follower.keys(3)
        inject(source, "restore_logs")
        assert follower.keys(3) == ["1", "2", "3"]


def test_a_closed_thread_without_last_redo(source: OracleSource) -> None:
    """LAST_REDO_CHANGE# of a stopped instance may be 0: its redo counts all the same."""
    follower = Follower(source)
    with instance(source):
        written_by_two(source, 1, switches=5)
    inject(source, "purge_logs(thread => 2)")
    with pytest.raises(RedoNotAvailable, match="thread 2 sequence"):
        follower.keys(1)
    inject(source, "restore_logs")
    assert follower.keys(1) == ["1"]


def test_a_thread_that_is_disabled_and_enabled_again(source: OracleSource) -> None:
    """ENABLE_CHANGE# is new then, but the redo of the former life is still needed."""
    follower = Follower(source)
    with instance(source):
        written_by_two(source, 1, switches=5)
    inject(source, "disable_thread(thread => 2)")
    write(source, 2)
    inject(source, "enable_thread(thread => 2)")
    with instance(source):
        written_by_two(source, 3)
        inject(source, "purge_logs(thread => 2)")
        with pytest.raises(RedoNotAvailable, match="thread 2 sequence"):
            follower.keys(3)
        inject(source, "restore_logs")
        assert follower.keys(3) == ["1", "2", "3"]


def test_a_private_thread_is_read(source: OracleSource) -> None:
    """The instance that names its thread has users like the others."""
    follower = Follower(source)
    with instance(source, private=True):
        written_by_two(source, 1)
        write(source, 2)
        assert follower.keys(2) == ["1", "2"]
        with closing(follower.reader()) as reader:
            advice = [one for one in reader.preflight() if "PRIVATE" in one.found]
    assert [(one.subject, one.advice) for one in advice] == [("redo thread 2", True)]


def test_an_idle_instance_has_a_name(source: OracleSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another instance holds back waits, and is reported with the thread; then it comes."""
    monkeypatch.setattr(idle_threads, "IDLE_S", 0.2)
    follower = Follower(source)
    with instance(source):
        inject(source, "hold_flush(thread => 2)")
        write(source, 1)
        deadline = time.monotonic() + 20
        with closing(follower.reader()) as reader:
            for batch in reader.read(
                follower.resume, max_changes=9, stop=lambda: time.monotonic() > deadline
            ):
                follower.resume = batch.resume
                if batch.held_back is not None:
                    break
            figures = reader.source_lag()
        assert isinstance(batch.held_back, RedoHeldBack)
        assert "redo thread 2 stands at SCN" in str(batch.held_back)
        assert (batch.rows, figures["held_by_thread"]) == (0, 2)
        inject(source, "flush")
        assert follower.keys(1) == ["1"]


def test_restored_logs_have_no_destination(source: OracleSource) -> None:
    """RMAN's copies have DEST_ID 0; they are read whatever `archive_destinations` says."""
    source.settings = source.settings.model_copy(update={"archive_destinations": (1,)})
    follower = Follower(source)
    write(source, 1)
    administer(source, *["alter system switch logfile"] * 5)
    inject(source, "purge_logs")
    with pytest.raises(RedoNotAvailable, match="deleted"):
        follower.keys(1)
    inject(source, "restore_logs")
    assert follower.keys(1) == ["1"]


def test_groups_that_are_being_cleared(source: OracleSource) -> None:
    """They have nothing to read, and may have the sequence 0; what was archived of them is enough."""
    with instance(source):
        written_by_two(source, 1)
    follower = Follower(source)
    for thread in (1, 2):
        inject(source, f"clear_logs(thread => {thread})")
    write(source, 2)
    assert follower.keys(1) == ["2"]


def test_a_cleared_log_that_was_never_archived(source: OracleSource) -> None:
    """CLEAR UNARCHIVED LOGFILE takes redo away: that is missed."""
    follower = Follower(source)
    inject(source, "delay_archiving(looks => 1000)")
    with instance(source):
        written_by_two(source, 1)
    inject(source, "clear_logs(thread => 2)")
    with pytest.raises(RedoNotAvailable, match=r"thread 2 sequence \d+ was never archived"):
        follower.keys(1)


def test_an_archived_copy_of_the_current_log(source: OracleSource) -> None:
    """It ends in the middle of the log, which continues online."""
    follower = Follower(source)
    write(source, 1)
    inject(source, "copy_log(thread => 1)")
    write(source, 2)
    assert follower.keys(2) == ["1", "2"]
    administer(source, "alter system switch logfile")
    write(source, 3)
    assert follower.keys(3) == ["1", "2", "3"]


def test_the_whole_database_was_down(source: OracleSource) -> None:
    """A single instance: the position lies where nothing was logged, and reading continues behind it."""
    write(source, 1)
    follower = Follower(source)
    with instance(source):  # the first one can be stopped only while another one is up
        inject(source, "close_thread(thread => 1)")
        written_by_two(source, 2)
        assert follower.keys(1) == ["2"]
        inject(source, "open_thread(thread => 1)")
        write(source, 3)
        assert follower.keys(2) == ["2", "3"]
    assert follower.errors == []
