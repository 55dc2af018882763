"""Each class of Oracle error against the running reader: what is tried again and what stops; nothing is lost.

The failures are those of the stand-in's `sandbox_faults`. A `Follower` does what the supervising flow does:
it makes a new reader after an error that is to be tried again, and continues from the last batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from cdc.changes import TableName
from cdc.errors import (
    CcbridgeError,
    DatabaseUnreachable,
    LoginRefused,
    NotGranted,
    OperatorError,
    RedoNotAvailable,
    SourceChanged,
    TransientError,
    UnclassifiedError,
)
from cdc.readers.logminer import LogMinerReader, recovery
from cdc.readers.logminer.mining import session
from sandbox.oracle_process import OracleProcess
from tests.contract.logminer_source import (
    TABLES,
    OracleSession,
    OracleSource,
    inside,
    oracle_server,
    prepared,
    system_session,
)
from tests.contract.reader_suite import Event, events, insert, snapshot
from tests.support.marks import few

TIMEOUT_S = 30.0
CONTENTS, START = "v$logmnr_contents", "start_logmnr"

CONNECTION = (
    28,
    1012,
    1033,
    1034,
    1041,
    1089,
    1090,
    1092,
    2396,
    2399,
    3113,
    3114,
    3135,
    12170,
    12505,
    12514,
    12528,
    12537,
    12541,
    12543,
    12547,
    12570,
    12571,
    12583,
)
SESSION = (1001, 1002, 1013, 1306, 1307, 4030, 4036)
RANGE = (1281, 1282)
LOGS = (308, 310, 334, 353, 368, 1284, 1289, 1291, 1292, 1343, 1368, 27037)
DICTIONARY = (1327, 1333, 1371, 25303, 26653)
PASSING = (31, 602, 603, 16456, 56600)
FATAL = {
    904: OperatorError,
    942: NotGranted,
    1031: NotGranted,
    1325: OperatorError,
    1347: OperatorError,
    1354: OperatorError,
    3049: OperatorError,
    65040: OperatorError,
}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all tests; each has a schema of its own."""
    with oracle_server(tmp_path_factory.mktemp("oracle")) as dsn:
        yield dsn


@pytest.fixture
def source(oracle: str) -> Iterator[OracleSource]:
    """A schema whose failures are gone after the test."""
    made = OracleSource(oracle)
    yield made
    for call in ("clear", "restore_logs", "flush", "delay_archiving(looks => 0)"):
        inject(made, call)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries are for real archivers."""
    monkeypatch.setattr(recovery, "FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(session, "ARCHIVER_PAUSES_S", (0.01, 0.01, 0.01))


def inject(source: OracleSource, call: str) -> None:
    """Set a failure."""
    with system_session(source.settings.dsn) as cursor:
        cursor.execute(f"begin sandbox_faults.{call}; end;")


def error(
    source: OracleSource, code: int, statement: str = CONTENTS, *, times: int = 1, more: str = ""
) -> None:
    """An ORA error for the reader's statements."""
    inject(
        source,
        f"add_error(code => {code}, statement => '{statement}', username => 'CCBRIDGE', "
        f"times => {times}{more})",
    )


def fired(source: OracleSource) -> int:
    """How often failures happened."""
    with system_session(source.settings.dsn) as cursor:
        cursor.execute("select nvl(sum(fired), 0) from v$sandbox_faults")
        return int(cursor.fetchone()[0])


def administer(source: OracleSource, *statements: str) -> None:
    with system_session(source.settings.dsn) as cursor:
        for statement in statements:
            cursor.execute(statement)


def write(source: OracleSource, *keys: int) -> None:
    """Committed rows, one transaction each."""
    with source.session() as writer:
        for key in keys:
            writer.execute(insert(key))
            writer.commit()


class Follower:
    """Reads as a supervised flow does: again and again, from the last batch on."""

    def __init__(self, source: OracleSource) -> None:
        self.source = source
        self.errors: list[CcbridgeError] = []
        self.events: list[Event] = []
        with closing(self.reader()) as reader:
            self.resume = snapshot(reader)[-1].resume

    def reader(self) -> LogMinerReader:
        return LogMinerReader(
            "ccb", self.source.settings, [TableName(self.source.owner, name) for name in TABLES]
        )

    def attempt(self, count: int) -> None:
        """One reader, until there are `count` changes or something is raised."""
        deadline = time.monotonic() + TIMEOUT_S
        with closing(self.reader()) as reader:
            for batch in reader.read(
                self.resume, max_changes=1_000, stop=lambda: time.monotonic() > deadline
            ):
                self.events += events(batch)
                self.resume = batch.resume
                if len(self.events) >= count:
                    return
        pytest.fail(f"no {count} changes within {TIMEOUT_S} s; had {len(self.events)}")

    def keys(self, count: int) -> list[str | None]:
        """The keys of the next changes, whatever passes in between; an error that stays is raised."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                self.attempt(count)
            except TransientError as exc:
                self.errors.append(exc)
            else:
                return [event.after["id"] for event in self.events]
        raise self.errors[-1]


@pytest.fixture
def follower(source: OracleSource) -> Follower:
    return Follower(source)


@pytest.mark.parametrize("code", few(CONNECTION, every=3))
def test_a_lost_connection_is_made_again(source: OracleSource, follower: Follower, code: int) -> None:
    """Network and instance errors are tried again with a new connection; nothing is lost or doubled."""
    write(source, 1, 2, 3)
    error(source, code, times=2, more=", after_rows => 4")
    assert follower.keys(3) == ["1", "2", "3"]
    assert [type(exc) for exc in follower.errors] == [DatabaseUnreachable] * 2
    assert fired(source) == 2


@pytest.mark.parametrize("rows", [0, 1, 4, 7])
def test_a_cut_connection_in_the_middle_of_a_fetch(
    source: OracleSource, follower: Follower, rows: int
) -> None:
    """The server's process dies without a word after some rows: the window is read again, once."""
    write(source, 1, 2, 3)
    inject(source, f"add_disconnect(statement => '{CONTENTS}', username => 'CCBRIDGE', after_rows => {rows})")
    assert follower.keys(3) == ["1", "2", "3"]
    assert [type(exc) for exc in follower.errors] == [DatabaseUnreachable]


@pytest.mark.parametrize("code", few(SESSION + LOGS, every=3))
def test_a_new_session_cures_it(source: OracleSource, follower: Follower, code: int) -> None:
    """Session, memory and log errors: the reader itself makes a new session and a new log list."""
    write(source, 1, 2, 3)
    error(source, code, times=2, more=", after_rows => 4")
    assert follower.keys(3) == ["1", "2", "3"]
    assert follower.errors == []
    assert fired(source) == 2


@pytest.mark.parametrize("code", PASSING)
def test_what_the_driver_takes_for_passing_is_tried_again(
    source: OracleSource, follower: Follower, code: int
) -> None:
    """Numbers that no table of ours has: a session that is dead, or an error that is recoverable."""
    write(source, 1, 2)
    error(source, code, more=", after_rows => 4")
    assert follower.keys(2) == ["1", "2"]
    assert [type(exc) for exc in follower.errors] == [UnclassifiedError]


@pytest.mark.parametrize("statement", [START, CONTENTS])
def test_a_mining_call_that_takes_too_long_is_cancelled(
    source: OracleSource, follower: Follower, statement: str
) -> None:
    """DPY-4024, by the driver itself: the reader continues with a new session, and loses nothing."""
    source.settings = source.settings.model_copy(update={"query_timeout_s": 3})
    write(source, 1, 2, 3)
    inject(
        source, f"add_delay(seconds => 60, statement => '{statement}', username => 'CCBRIDGE', times => 1)"
    )
    assert follower.keys(3) == ["1", "2", "3"]
    assert follower.errors == []
    assert fired(source) == 1


@pytest.mark.parametrize("code", DICTIONARY)
def test_a_busy_dictionary_is_waited_for(source: OracleSource, follower: Follower, code: int) -> None:
    """Dictionary locks and instance moves pass: tried again."""
    write(source, 1)
    error(source, code, START)
    assert follower.keys(1) == ["1"]
    assert [type(exc) for exc in follower.errors] == [TransientError]


@pytest.mark.parametrize(("code", "kind"), FATAL.items())
def test_what_only_an_operator_can_fix_stops_at_once(
    source: OracleSource, follower: Follower, code: int, kind: type[OperatorError]
) -> None:
    """Rights, configuration and lost supplemental logging are reported with their number, after one try."""
    write(source, 1)
    error(source, code, START, times=9)
    with pytest.raises(kind, match=f"ORA-{code:05d}") as caught:
        follower.keys(1)
    assert fired(source) == 1
    assert not caught.value.retried_when_fixed
    if code != 3049:
        assert caught.value.hint
    inject(source, "clear")
    assert follower.keys(1) == ["1"]


@pytest.mark.parametrize("code", [1017, 28000, 28001])
def test_a_password_is_never_tried_twice(source: OracleSource, follower: Follower, code: int) -> None:
    """A refused login stops the source: every further try may lock the account."""
    inject(source, f"add_error(code => {code}, moment => 'LOGIN', username => 'CCBRIDGE', times => 9)")
    with pytest.raises(LoginRefused, match=f"ORA-{code:05d}"):
        follower.keys(1)
    assert fired(source) == 1


def test_an_account_locked_while_reading(source: OracleSource, follower: Follower) -> None:
    """The connection breaks, the new login is refused: that stops, after one login."""
    write(source, 1)
    error(source, 3113)
    inject(
        source, "add_error(code => 28000, moment => 'LOGIN', username => 'CCBRIDGE', skip => 1, times => 9)"
    )
    with pytest.raises(LoginRefused):
        follower.keys(1)
    assert fired(source) == 2


@pytest.mark.parametrize("argument", ["krvrdGetUID", "krvrdccs10", "krvrdccs30"])
def test_internal_errors_of_a_ddl_race_pass(source: OracleSource, follower: Follower, argument: str) -> None:
    """These arguments of ORA-00600 come when DDL meets mining, and go."""
    write(source, 1)
    error(source, 600, times=3, more=f", argument => '{argument}'")
    assert follower.keys(1) == ["1"]
    assert fired(source) == 3


def test_another_internal_error_is_not_a_network_failure(source: OracleSource, follower: Follower) -> None:
    """ORA-00600 is retried once, then reported with its argument, not retried for ever."""
    write(source, 1)
    error(source, 600, times=99, more=", argument => 'kdli_iread'")
    with pytest.raises(OperatorError, match=r"ORA-00600: .*\[kdli_iread\].*2 times running"):
        follower.keys(1)
    assert fired(source) == 2
    assert follower.errors == []


@pytest.mark.parametrize("code", RANGE)
def test_a_refused_range_is_computed_again_once(source: OracleSource, follower: Follower, code: int) -> None:
    """A window that LogMiner refuses again is a failure of ours: it is reported, not tried for ever."""
    write(source, 1)
    error(source, code, START)
    assert follower.keys(1) == ["1"]
    error(source, code, START, times=99)
    with pytest.raises(OperatorError, match=f"ORA-{code:05d}.*2 times running"):
        follower.keys(2)


def test_an_internal_error_that_passes(source: OracleSource, follower: Follower) -> None:
    """Once is not yet a reason to stop."""
    write(source, 1)
    error(source, 600, more=", argument => 'kdli_iread'")
    assert follower.keys(1) == ["1"]


@pytest.mark.parametrize(
    ("below", "expected"), [(3113, DatabaseUnreachable), (942, NotGranted), (1347, OperatorError)]
)
def test_a_wrapper_is_classed_by_what_it_wraps(
    source: OracleSource, follower: Follower, below: int, expected: type[CcbridgeError]
) -> None:
    """ORA-00604 says nothing by itself: the error below it does."""
    write(source, 1)
    error(source, 604, START, more=f", below => {below}")
    if issubclass(expected, OperatorError):
        with pytest.raises(expected, match=f"ORA-{below:05d}"):
            follower.keys(1)
    else:
        assert follower.keys(1) == ["1"]
        assert [type(exc) for exc in follower.errors] == [expected]


def test_supplemental_logging_that_was_dropped(source: OracleSource, follower: Follower) -> None:
    """ORA-01347 stops: changes since then may be incomplete, and the hint says what to do."""
    write(source, 1)
    error(source, 1347, times=9)
    with pytest.raises(OperatorError, match="ORA-01347") as caught:
        follower.keys(1)
    assert "supplemental logging was switched off" in caught.value.hint


@pytest.mark.parametrize("code", [1291, 308, 1284, 353])
def test_a_log_that_stays_unreadable_stops(source: OracleSource, follower: Follower, code: int) -> None:
    """A few new log lists, then an operator; and when it is readable again reading continues without loss."""
    write(source, 1, 2)
    error(source, code, times=99)
    with pytest.raises(RedoNotAvailable, match=rf"ORA-{code:05d}.*5 times running") as caught:
        follower.keys(2)
    assert caught.value.retried_when_fixed
    inject(source, "clear")
    assert follower.keys(2) == ["1", "2"]


def switched(source: OracleSource, count: int) -> None:
    administer(source, *["alter system switch logfile"] * count)


def test_deleted_logs_stop_and_name_thread_and_sequences(source: OracleSource, follower: Follower) -> None:
    """RMAN deleted what was not yet read: thread and sequences are reported; restored, nothing is missing."""
    write(source, 1)
    switched(source, 1)
    write(source, 2)
    switched(source, 4)
    with system_session(source.settings.dsn) as cursor:
        cursor.execute("select max(sequence#) from v$log")
        last = int(cursor.fetchone()[0])
    inject(source, f"purge_logs(up_to => {last - 3})")
    with pytest.raises(RedoNotAvailable, match=rf"thread 1 sequence .*{last - 3}\b.*deleted") as caught:
        follower.keys(2)
    assert "restore" in caught.value.hint
    assert caught.value.retried_when_fixed
    with pytest.raises(RedoNotAvailable):
        follower.keys(2)
    write(source, 3)
    inject(source, "restore_logs")
    assert follower.keys(3) == ["1", "2", "3"]
    assert follower.errors == []


def test_files_that_someone_removed(source: OracleSource, follower: Follower) -> None:
    """The control file still lists the log, the file is gone: that is found out, reported, and fixed."""
    write(source, 1)
    switched(source, 5)
    inject(source, "purge_logs(how => 'LOST')")
    with pytest.raises(RedoNotAvailable, match="ORA-01284"):
        follower.keys(1)
    inject(source, "restore_logs")
    assert follower.keys(1) == ["1"]


def test_a_late_archiver_is_waited_for(source: OracleSource, follower: Follower) -> None:
    """A log that is neither online any more nor archived yet: the next look finds it."""
    inject(source, "delay_archiving(looks => 2)")
    write(source, 1)
    switched(source, 5)
    write(source, 2)
    assert follower.keys(2) == ["1", "2"]
    assert follower.errors == []


def test_two_threads_come_in_commit_order(source: OracleSource, follower: Follower) -> None:
    """Work of two instances on the same row arrives in the order of its commits."""
    inject(source, "open_thread(thread => 2)")
    try:
        with source.session() as one, source.session() as two:
            two.execute("begin sandbox_faults.use_thread(thread => 2); end;")
            for number in range(1, 9):
                writer = (one, two)[number % 2]
                writer.execute(insert(number))
                writer.commit()
                if number % 3 == 0:
                    switched(source, 1)
        assert follower.keys(8) == [str(number) for number in range(1, 9)]
    finally:
        inject(source, "close_thread(thread => 2)")


def test_a_deleted_log_of_the_second_thread(source: OracleSource, follower: Follower) -> None:
    """What is missing is named by its thread, whose sequences are its own."""
    inject(source, "open_thread(thread => 2)")
    try:
        with source.session() as two:
            two.execute("begin sandbox_faults.use_thread(thread => 2); end;")
            two.execute(insert(1))
            two.commit()
        administer(source, *["alter system archive log current"] * 5)
        inject(source, "purge_logs(thread => 2)")
        with pytest.raises(RedoNotAvailable, match=r"thread 2 sequence \d+.*deleted"):
            follower.keys(1)
        inject(source, "restore_logs")
        assert follower.keys(1) == ["1"]
    finally:
        inject(source, "close_thread(thread => 2)")


def test_redo_that_reaches_the_disk_late(source: OracleSource, follower: Follower) -> None:
    """Nothing beyond the flushed SCN is taken for read: rows that show later are still seen."""
    write(source, 1)
    inject(source, "hold_flush(thread => 1)")
    write(source, 2)
    first = follower.keys(1)
    waited = follower.resume
    inject(source, "flush")
    assert first == ["1"]
    assert int(waited["committed"]) > 0
    assert follower.keys(2) == ["1", "2"]


def test_a_commit_on_the_very_scn_of_the_flush(source: OracleSource, follower: Follower) -> None:
    """Of two commits with one SCN the second reaches the disk a little later; both are seen, in order."""
    with source.session() as one, source.session() as two:
        one.execute(insert(1))
        two.execute(insert(2))
        inject(source, "share_commits(times => 1)")
        one.commit()
        inject(source, "hold_flush(thread => 1)")
        two.commit()
        with closing(follower.reader()) as reader:
            until = time.monotonic() + 0.5
            for batch in reader.read(follower.resume, max_changes=10, stop=lambda: time.monotonic() > until):
                follower.events += events(batch)
                follower.resume = batch.resume
        inject(source, "flush")
    write(source, 3)
    assert follower.keys(3) == ["1", "2", "3"]
    assert follower.events[0].position == follower.events[1].position


def test_a_new_incarnation_is_another_source(source: OracleSource, follower: Follower) -> None:
    """After OPEN RESETLOGS the reader names another identity, so the old position is refused."""
    with closing(follower.reader()) as reader:
        before = dict(reader.identity())
        inject(source, "new_incarnation")
        assert dict(reader.identity()) != before


def test_a_new_incarnation_while_reading_is_found_at_the_next_session(
    source: OracleSource, follower: Follower
) -> None:
    """A session that is replaced may lead to a restored database: its SCNs are not those of the position."""
    write(source, 1)
    with closing(follower.reader()) as reader:
        reading = reader.read(follower.resume, max_changes=10, stop=lambda: False)
        batch = next(one for one in reading if one.tables)
        assert len(events(batch)) == 1
        inject(source, "new_incarnation")
        error(source, 1306, START)
        with pytest.raises(SourceChanged, match="became another one"):
            for _ in reading:
                pass


@pytest.fixture(scope="module")
def multitenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A multitenant database; the service of its root."""
    with OracleProcess(tmp_path_factory.mktemp("cdb") / "oracle.log", pdbs=("CCBPDB", "OTHERPDB")) as server:
        yield prepared(f"127.0.0.1:{server.port}/CCB", "CCBPDB")


@pytest.fixture
def pluggable(multitenant: str) -> OracleSource:
    """The contract's tables in one pluggable database; the bridge logs in to the root."""
    return OracleSource(multitenant, "CCBPDB")


def test_tables_in_a_pluggable_database(pluggable: OracleSource) -> None:
    """The reader mines in the root and reads the tables in their container: snapshot, stream, new columns."""
    write(pluggable, 1)
    follower = Follower(pluggable)
    write(pluggable, 2)
    with pluggable.session() as writer:
        writer.execute("alter table account add (city varchar2(30))")
        writer.execute("insert into account (id, name, city) values (3, 'c', 'Douala')")
        writer.commit()
    assert follower.keys(2) == ["2", "3"]
    assert follower.events[-1].after["city"] == "Douala"
    with closing(follower.reader()) as reader:
        assert reader.preflight() == []


def test_rows_and_commits_of_another_container_are_left_out(pluggable: OracleSource) -> None:
    """Same schema, same table and same transaction ids in another PDB: nothing of it comes, nothing ends."""
    twin = OracleSource(pluggable.settings.dsn, "OTHERPDB", owner=pluggable.owner)
    write(pluggable, 1)
    follower = Follower(pluggable)
    with pluggable.session() as here, twin.session() as there:
        begin_with_one_id(here, there, pluggable.settings.dsn)
        there.commit()
        write(pluggable, 2)
        assert follower.keys(1) == ["2"]
        here.rollback()
    write(pluggable, 3)
    assert follower.keys(2) == ["2", "3"]


def begin_with_one_id(here: OracleSession, there: OracleSession, root: str) -> None:
    """Begin transactions in two containers whose ids are the same, which may be: each has its own undo."""
    for writer in (here, there):
        writer.execute(insert(900))
    while True:
        with system_session(root) as cursor:
            cursor.execute("select xidsqn, xidslot, xidusn from v$transaction order by con_id")
            first, second = cursor.fetchall()
        if first == second:
            return
        behind = here if first < second else there
        behind.rollback()
        behind.execute(insert(900))


def test_an_open_transaction_of_the_container_is_seen_from_the_root(pluggable: OracleSource) -> None:
    """A snapshot starts mining before it; without CONTAINER_DATA it would be lost, so check refuses that."""
    user = pluggable.settings.user
    with pluggable.session() as writer:
        writer.execute(insert(1))
        follower = Follower(pluggable)
        writer.commit()
    assert follower.keys(1) == ["1"]
    administer(pluggable, f"alter user {user} set container_data = default container = current")
    with closing(follower.reader()) as reader:
        (finding,) = reader.preflight()
        shown = '(CDB$ROOT, "CCBPDB")'
        assert finding.fix == f"alter user {user} set container_data = {shown} container = current;"
        administer(pluggable, finding.fix.removesuffix(";"))
        assert reader.preflight() == []


@pytest.mark.parametrize(
    ("service", "pdb", "subject"),
    [
        ("CCB", None, "setting pdb"),
        ("CCBPDB", "CCBPDB", "container of the session"),
        ("CCBPDB", None, "DBMS_LOGMNR"),
        ("CCB", "NOWHERE", "pdb NOWHERE"),
    ],
)
def test_a_wrong_container_is_a_finding(
    pluggable: OracleSource, service: str, pdb: str | None, subject: str
) -> None:
    """The settings that do not fit a multitenant database are distinguished, each with what to set."""
    user, dsn = pluggable.settings.user, inside(pluggable.settings.dsn, service)
    with system_session(inside(pluggable.settings.dsn, "CCBPDB")) as cursor:
        cursor.execute(f"grant create session, select any dictionary to {user}")
        cursor.execute(f"grant execute on sys.dbms_logmnr to {user}")
    settings = pluggable.settings.model_copy(update={"dsn": dsn, "pdb": pdb})
    with closing(LogMinerReader("ccb", settings, [TableName(pluggable.owner, "ACCOUNT")])) as reader:
        found = {finding.subject: finding for finding in reader.preflight()}
    assert subject in found
    assert found[subject].fix


def test_a_container_that_is_named_where_there_is_none_is_a_finding(source: OracleSource) -> None:
    """The database is not multitenant."""
    settings = source.settings.model_copy(update={"pdb": "CCBPDB"})
    with closing(LogMinerReader("ccb", settings, [TableName(source.owner, "ACCOUNT")])) as reader:
        assert [(one.subject, one.fix) for one in reader.preflight()] == [("setting pdb", "remove pdb")]
