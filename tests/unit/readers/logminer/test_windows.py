"""Where a LogMiner run starts and ends, and which logs it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest
import structlog

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import CcbridgeError, RedoLogFailure
from cdc.readers.logminer.mining.contents import commits_query, contents_query
from cdc.readers.logminer.mining.host_time import parsed_offset
from cdc.readers.logminer.mining.idle_threads import IdleThreads
from cdc.readers.logminer.mining.listed_logs import ListedLogs
from cdc.readers.logminer.mining.logs import LogFile, RedoThread, logs_to_mine
from cdc.readers.logminer.mining.nudges import Nudges
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.mining.window import (
    COMFORTABLE_ROWS,
    QUICK_S,
    SLOW_S,
    RedoState,
    WindowSize,
    session_start,
    window_end,
)


def state(current: int, *flushed: int, at: float = 0.0, closed: tuple[int, ...] = ()) -> RedoState:
    threads = [RedoThread(number, True, scn) for number, scn in enumerate(flushed, 1)]
    threads += [RedoThread(10 + number, False, scn) for number, scn in enumerate(closed)]
    return RedoState(current, tuple(threads), at)


def log(
    sequence: int, first: int, following: int | None, *, archived: bool = True, usable: bool = True
) -> LogFile:
    return LogFile(f"log{sequence}{archived}", 1, sequence, first, following, archived, usable)


def test_window_ends_before_what_any_thread_has_not_flushed() -> None:
    """A slow thread of a cluster holds the window back: its redo may hold lower SCNs."""
    assert window_end(100, state(500, 480, 300), None, scns=1_000, still_s=1) == 299


def test_closed_threads_do_not_hold_the_window_back() -> None:
    """An instance that is down has flushed all it ever will."""
    assert window_end(100, state(500, 480, closed=(200,)), None, scns=1_000, still_s=1) == 479


def test_last_flushed_scn_is_read_once_it_stands_still() -> None:
    """Records with the very SCN of the last flush may follow, but not for ever."""
    first, later = state(500, 480, at=10.0), state(501, 480, at=10.5)
    assert window_end(479, later, first, scns=1_000, still_s=1.0) == 479
    assert window_end(479, later, first, scns=1_000, still_s=0.5) == 480


def test_window_is_not_a_larger_than_asked() -> None:
    """A long backlog is read in pieces."""
    assert window_end(100, state(5_000, 4_000), None, scns=50, still_s=1) == 150


def test_window_never_goes_back() -> None:
    """Nothing new is not a window, not one that ends before it starts."""
    assert window_end(400, state(300, 200), None, scns=50, still_s=1) == 400


def test_session_starts_at_the_oldest_open_transaction_unless_far_back() -> None:
    """User names need the start; one very old transaction must not make every window mine it again."""
    assert session_start(1_000, [950, 901], max_distance=100) == 900
    assert session_start(1_000, [950, 900], max_distance=100) == 949
    assert session_start(1_000, [], max_distance=100) == 1_000


def test_older_transactions_have_the_window_before_mined_again() -> None:
    """On disk, or too old to be mined from their start: what they wrote at a window's end is seen whole."""
    assert session_start(1_000, [], max_distance=100, written=[500], last_window=970) == 969
    assert session_start(1_000, [200], max_distance=100, last_window=970) == 969
    assert session_start(1_000, [980], max_distance=100, last_window=970) == 979
    assert session_start(1_000, [950], max_distance=100, written=[990], last_window=970) == 949


def test_idle_threads_have_a_name_once() -> None:
    """A thread that stands still while others move on holds reading back; one that all wait for does not."""

    def at(seconds: float, *flushed: int) -> RedoState:
        return state(9_999, *flushed, at=seconds)

    idle = IdleThreads("ccb", Nudges("ccb", OracleSystem(kind="oracle", dsn="h/s", user="u")))
    with structlog.testing.capture_logs() as logs:
        for seconds, flushed in ((0, (10, 10)), (5, (10, 10)), (9, (20, 10)), (11, (30, 10)), (12, (40, 10))):
            idle.look(at(seconds, *flushed))
    assert [(one["event"], one["thread"]) for one in logs] == [("redo_thread_idle", 2)]
    assert idle.figures == {"held_by_thread": 2, "held_s": 12}
    assert idle.held_back is not None
    assert "thread 2" in idle.held_back.hint
    idle.look(at(13, 40, 40))
    assert idle.figures == {}
    idle.look(at(99, 40, 40))
    assert idle.figures == {}


class Asked:
    """A LogMiner session that says whether others committed, or fails."""

    def __init__(self, *answers: bool | CcbridgeError) -> None:
        self.answers, self.closed = list(answers), False

    def others_committed(self, read_to: int, state: RedoState) -> bool:
        answer = self.answers.pop(0)
        if isinstance(answer, CcbridgeError):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True


class Begun(Nudges):
    """Nudges that are counted only."""

    def __init__(self) -> None:
        super().__init__("ccb", OracleSystem(kind="oracle", dsn="h/s", user="u", instances={2: "h/two"}))
        self.begun: list[int] = []

    def begin(self, thread: int, identity: Mapping[str, str]) -> None:
        self.begun.append(thread)


def nudged(asked: Asked, *looks: tuple[float, int, int], read_to: int = 0) -> tuple[list[int], list[float]]:
    """Threads nudged at the looks (time, positions of two threads), and when one had a name."""
    nudges = Begun()
    idle, named = IdleThreads("ccb", nudges), []
    for seconds, one, two in looks:
        now = state(9_999, one, two, at=seconds)
        idle.look(now, read_to)
        idle.nudge(cast(MiningSession, asked), now, read_to, {})
        if idle.held_back is not None:
            named.append(seconds)
    return nudges.begun, named


def test_a_thread_is_nudged_when_others_wait_for_it() -> None:
    """Standing still alone is not a reason, nor is what was read; only one with an address is nudged."""
    assert nudged(Asked(), (0, 10, 10), (60, 10, 10)) == ([], [])
    assert nudged(Asked(), (0, 10, 10), (60, 20, 10), read_to=20) == ([], [])
    assert nudged(Asked(True), (0, 10, 10), (60, 20, 10)) == ([2], [])
    assert nudged(Asked(True), (0, 10, 10), (60, 10, 20)) == ([], [60])


def test_a_thread_that_only_our_own_commits_wait_for_is_left_alone() -> None:
    """Until someone moves; then it is asked again, once it has stood still."""
    idle = [(at, 20, 10) for at in range(0, 60, 5)]
    assert nudged(Asked(False), *idle) == ([], [])


def test_what_holds_reading_back_is_a_figure_whatever_waits_for_it() -> None:
    """LogMiner may show too little of what waits: then nothing else would tell of the thread."""
    idle = IdleThreads("ccb", Begun())
    for seconds in (0, 60):
        now = state(9_999, 20, 10, at=seconds)
        idle.look(now)
        idle.nudge(cast(MiningSession, Asked(False)), now, 0, {})
    idle.look(state(9_999, 20, 10, at=65))
    assert (idle.held_back, idle.figures) == (None, {"held_by_thread": 2, "held_s": 65})
    idle.look(state(9_999, 20, 10, at=66), read_to=20)
    assert idle.figures == {}


def test_a_thread_that_a_nudge_does_not_move_has_a_name() -> None:
    """A nudge has the time of some heartbeats first."""
    asked = Asked(True, True, True)
    assert nudged(asked, (0, 10, 10), (60, 20, 10), (66, 30, 10), (71, 40, 10))[1] == [71]


def test_a_question_that_fails_stops_nothing() -> None:
    """The thread has a name, no nudge is made in the dark, and a new session asks later."""
    asked = Asked(RedoLogFailure("a log cannot be read"))
    with structlog.testing.capture_logs() as logs:
        assert nudged(asked, (0, 10, 10), (60, 20, 10), (61, 30, 10)) == ([], [61])
    assert asked.closed
    assert [one["event"] for one in logs] == ["redo_thread_nudge_failed", "redo_thread_idle"]


def test_commits_of_our_own_are_reported_by_the_heartbeat_table() -> None:
    """Where the container has undo of its own none of them is in it."""
    own = TableName("U", "CCBRIDGE_HEARTBEAT")
    named = "(seg_owner = 'U' and table_name = 'CCBRIDGE_HEARTBEAT')"
    assert commits_query(own).endswith(f"where operation_code = 7 and scn > :read_to or {named}")
    assert named in commits_query(own, "CCBPDB", local_undo=False)
    assert "src_con_name in ('CCBPDB', 'CDB$ROOT')" in commits_query(own, "CCBPDB", local_undo=False)
    assert named not in commits_query(own, "CCBPDB")


def test_logs_are_given_for_some_windows_and_again_when_they_end() -> None:
    """Far behind, a list without online logs lasts whatever is switched; one with them does not."""
    threads = (RedoThread(1, True, 900, 1, 6),)
    now, later = RedoState(None, threads), RedoState(None, (RedoThread(1, True, 950, 1, 7),))
    found = logs_to_mine(
        150, [log(4, 100, 200), log(5, 200, 300), log(6, 300, None, archived=False)], threads
    )
    near = found.until(250)
    assert [one.sequence for one in near.logs] == [4, 5]
    archived = ListedLogs.of(near, 150, 250, now)
    assert archived.serves(160, 250, later)
    assert not archived.serves(160, 251, now)
    assert not archived.serves(149, 200, now)
    everything = ListedLogs.of(found, 150, None, now)
    assert everything.serves(150, 9_000, now)
    assert not everything.serves(150, 200, later)


def test_window_size_follows_the_rows() -> None:
    """Windows with many rows or that take long get smaller, quiet ones larger again, up to the setting."""
    size = WindowSize(1_000)
    size.settle(5 * COMFORTABLE_ROWS, 1)
    assert size.scns == 500
    size.settle(0, SLOW_S + 1)
    assert size.scns == 250
    size.settle(0, QUICK_S + 1)
    assert size.scns == 250
    for _ in range(5):
        size.settle(0, 1)
    assert size.scns == 1_000


def test_archived_copy_is_preferred() -> None:
    """The same sequence online and archived is added once, or LogMiner refuses it (ORA-01289)."""
    logs = [log(4, 100, 200, archived=False), log(4, 100, 200), log(5, 200, None, archived=False)]
    found = logs_to_mine(150, logs, [RedoThread(1, True, 300)])
    assert [(one.sequence, one.archived) for one in found.logs] == [(4, True), (5, False)]


def test_a_copy_made_while_the_log_was_written_is_not_taken_for_the_whole() -> None:
    """Of archived copies only those that reach to the log's end are mined, preferred destination or not."""
    copies = [
        LogFile(name, 1, 4, 100, end, archived=True, destination=destination)
        for name, end, destination in (("early", 150, 1), ("whole", 200, 2), ("restored early", 150, 0))
    ]
    for turn in range(3):
        found = logs_to_mine(
            120, [*copies, log(5, 200, None, archived=False)], [RedoThread(1, True, 300)], [1, 2], turn
        )
        assert [one.name for one in found.logs] == ["whole", "log5False"]


def test_deleted_archive_whose_online_log_is_left_is_not_a_gap() -> None:
    """What the archive lost may still be in an online log."""
    logs = [
        log(4, 100, 200, usable=False),
        log(4, 100, 200, archived=False),
        log(5, 200, None, archived=False),
    ]
    assert logs_to_mine(150, logs, [RedoThread(1, True, 300)]).gaps == ()


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        (
            [log(3, 90, 100, usable=False), log(4, 100, 200, usable=False), log(5, 200, None)],
            "thread 1 sequence 3 to 4 was archived and its file deleted since",
        ),
        ([log(3, 90, 100), log(6, 200, None)], "thread 1 sequence 4 to 5 was never archived"),
        ([log(3, 90, 100)], "thread 1 sequence 4 and later was never archived"),
        ([log(6, 200, None)], "thread 1: no log reaches back to the start, sequences below 6 are missing"),
        ([], "thread 1: no log reaches back to the start"),
    ],
)
def test_gaps_are_named(logs: list[LogFile], message: str) -> None:
    """A DBA sees the thread and the sequences, and whether they were deleted or never there."""
    found = logs_to_mine(95, logs, [RedoThread(1, True, 300, enabled_scn=1)])
    assert message in "; ".join(map(str, found.gaps))


def test_thread_enabled_later_needs_no_older_log() -> None:
    """An instance added to the cluster after the start has no redo from before."""
    late = LogFile("t2", 2, 1, 200, None, False)
    threads = [RedoThread(1, True, 300, 1), RedoThread(2, True, 300, 200)]
    assert logs_to_mine(150, [log(4, 100, None), late], threads).gaps == ()


def test_the_last_log_of_a_closed_thread_is_missed() -> None:
    """A node that crashed leaves redo behind; until its last log is there, its end is not read past."""
    crashed = RedoThread(2, False, 240, 1)
    logs = [log(4, 100, None), LogFile("two_8", 2, 8, 90, 200, archived=True)]
    threads = [RedoThread(1, True, 300, 1), crashed]
    assert [str(gap) for gap in logs_to_mine(150, logs, threads).gaps] == [
        "thread 2 sequence 9 and later was never archived"
    ]
    last = LogFile("two_9", 2, 9, 200, 241, archived=True)
    assert logs_to_mine(150, [*logs, last], threads).gaps == ()


def test_private_threads_are_threads() -> None:
    """An instance that names its thread writes to it as others do: mined, waited for, and missed."""
    threads = [RedoThread(1, True, 300, 1), RedoThread(2, True, 250, 1, private=True)]
    private = LogFile("two", 2, 9, 100, None, archived=False)
    assert RedoState(None, tuple(threads)).flushed_scn == 250
    assert len(logs_to_mine(150, [log(4, 100, None), private], threads).logs) == 2
    assert logs_to_mine(150, [log(4, 100, None)], threads).gaps


def test_query_keeps_what_a_table_filter_would_lose() -> None:
    """Transaction control, holes, undecoded rows and rows without a table are always asked for."""
    query = contents_query([TableName("CISADM", "CI_PER"), TableName("O'X", "T")])
    assert "operation_code in (6, 7, 27, 34, 36)" in query
    assert "operation_code = 5" in query
    assert "seg_owner = 'UNKNOWN'" in query
    assert "table_name is null" in query
    assert "status in (1291, 1343)" in query
    assert "(seg_owner = 'CISADM' and table_name in ('CI_PER'))" in query
    assert "seg_owner = 'O''X'" in query


def test_query_of_a_pluggable_database_leaves_out_its_neighbours() -> None:
    """Containers may have tables of the same names, and open transactions of the same ids."""
    query = contents_query([TableName("CISADM", "CI_PER")], "CCB'P")
    own = "(src_con_name in ('CCB''P') or src_con_name is null) and (operation_code in (6, 7, 27, 34, 36) or "
    assert f"({own}" in query
    assert query.endswith(" or status in (1291, 1343))")


def test_transactions_are_those_of_the_root_where_undo_is_shared() -> None:
    """Without local undo, as in 12.1, START and COMMIT may be the root's."""
    query = contents_query([TableName("CISADM", "CI_PER")], "CCBPDB", local_undo=False)
    assert "src_con_name in ('CCBPDB', 'CDB$ROOT') or src_con_name is null" in query


def test_preferred_archive_destination_is_read() -> None:
    """Files of another destination may be gone sooner; only what may be read is read."""
    copies = [
        LogFile(f"dest{number}", 1, 4, 100, 200, archived=True, destination=number) for number in (1, 2, 3)
    ]
    current, threads = log(5, 200, None, archived=False), [RedoThread(1, True, 300, 1)]

    def chosen(*destinations: int) -> str:
        return logs_to_mine(150, [*copies, current], threads, destinations).logs[0].name

    assert (chosen(), chosen(3, 2), chosen(2)) == ("dest1", "dest3", "dest2")
    (gap,) = logs_to_mine(150, [*copies, current], threads, (9,)).gaps
    assert gap.last_sequence == 5


def test_deleted_copy_gives_way_to_one_that_is_there() -> None:
    """A preferred destination whose file is gone does not hide the other copy."""
    copies = [
        LogFile("gone", 1, 4, 100, 200, archived=True, usable=False, destination=1),
        LogFile("there", 1, 4, 100, 200, archived=True, destination=2),
        log(5, 200, None, archived=False),
    ]
    found = logs_to_mine(150, copies, [RedoThread(1, True, 300, 1)], (1, 2))
    assert (found.logs[0].name, found.gaps) == ("there", ())


def test_every_copy_of_a_log_has_its_turn() -> None:
    """A member or destination that cannot be read gives way; a doubtful member comes last."""
    copies = [
        LogFile("member_a", 1, 4, 100, None, archived=False, doubtful=True),
        LogFile("member_b", 1, 4, 100, None, archived=False),
        LogFile("dest2", 1, 3, 50, 100, archived=True, destination=2),
        LogFile("dest1", 1, 3, 50, 100, archived=True, usable=False, destination=1),
    ]
    threads = [RedoThread(1, True, 300, 1)]
    found = [[one.name for one in logs_to_mine(60, copies, threads, turn=turn).logs] for turn in range(3)]
    assert found == [["dest2", "member_b"], ["dest2", "member_a"], ["dest2", "member_b"]]


def test_host_offset() -> None:
    """The redo's times are host-local; west of Greenwich is negative."""
    assert parsed_offset("+01:00").total_seconds() == 3600
    assert parsed_offset("-03:30").total_seconds() == -12600


def test_a_transaction_that_starts_where_reading_stopped_has_the_window_before_mined_again() -> None:
    """Its first row may have been half in the redo that was read; one that starts behind it was not."""
    begins = {"max_distance": 1_000, "last_window": 90}
    assert session_start(100, [], written=[100], **begins) == 89
    assert session_start(100, [], written=[101], **begins) == 100


def test_window_size_changes_at_its_bounds_only() -> None:
    """Twice as large when it was quick and small, half when it was far too large or slow, else as it is."""
    size = WindowSize(1_000)
    size.halve()
    size.halve()
    for rows, elapsed_s in ((COMFORTABLE_ROWS, 0.0), (4 * COMFORTABLE_ROWS, 0.0), (0, QUICK_S), (0, SLOW_S)):
        size.settle(rows, elapsed_s)
        assert size.scns == 250
    size.settle(COMFORTABLE_ROWS - 1, 0.0)
    assert size.scns == 500
    size.settle(4 * COMFORTABLE_ROWS + 1, 0.0)
    assert size.scns == 250
