"""Who may write the target, and what is known after a crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from cdc.errors import LeaseLost, OperatorError, TransientError
from tests.integration.sinks.upsert_target import CUSTOMER, Target, desired, target_database

ROOT = Path(__file__).parents[3]
ROWS = [(CUSTOMER, desired(CUSTOMER, ["1", "A", None, None], ["2", "B", None, None]))]

# A writer that dies at the named point, as if the machine had stopped.
DYING_WRITER = """
import os, sys
from tests.integration.sinks.upsert_target import Target
from tests.integration.sinks.test_fencing import ROWS

target = Target(sys.argv[1])
target.settings = target.settings.model_copy(update={"origin": sys.argv[2]})
sink = target.sink()

def record(deliveries):
    print(deliveries["target_transaction"][0], flush=True)
    if sys.argv[3] == "recorded":
        os.kill(os.getpid(), 9)

sink.write(ROWS, up_to=7, record=record)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def target(database: str) -> Iterator[Target]:
    with target_database(database) as target:
        yield target


def transaction_of_dying_writer(target: Target, point: str) -> str:
    """Run the writer until it dies; returns the target transaction it had recorded."""
    dying = subprocess.run(
        [sys.executable, "-c", DYING_WRITER, target.conninfo, target.settings.origin, point],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert dying.returncode == -signal.SIGKILL, dying.stderr
    return dying.stdout.strip()


@pytest.mark.parametrize(("point", "outcome", "mark"), [("recorded", False, 0), ("committed", True, 7)])
def test_outcome_of_a_write_is_known_after_kill_9(
    target: Target, point: str, outcome: bool, mark: int
) -> None:
    """The target itself says whether a recorded delivery happened; writing again completes it once."""
    transaction = transaction_of_dying_writer(target, point)
    sink = target.sink(token=2)
    try:
        assert sink.position() == mark
        assert sink.committed(transaction) is outcome
        written = sink.write(ROWS, up_to=7, record=target.record)
        assert (written.written, sink.position()) == (0 if outcome else 2, 7)
    finally:
        sink.close()
    assert target.rows("select person_id, name from customer order by 1") == [("1", "A"), ("2", "B")]


def test_process_that_lost_its_lease_writes_nothing(target: Target) -> None:
    """A paused process that wakes up is refused by its smaller token, even without noticing a loss."""
    former, later = target.sink(token=4), target.sink(token=5)
    former.write(ROWS, up_to=1, record=target.record)
    target.rows(
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() "
        "and datname = current_database()"
    )
    later.position()
    target.recorded.clear()
    with pytest.raises(TransientError):
        former.write(ROWS, up_to=2, record=target.record)
    other = [(CUSTOMER, desired(CUSTOMER, ["1", "Z", None, None]))]
    with pytest.raises(LeaseLost, match=r"token 5, this process holds token 4"):
        former.write(other, up_to=2, record=target.record)
    assert target.recorded == []
    later.close()
    assert target.rows("select name from customer where person_id = '1'") == [("A",)]


def test_session_already_open_is_fenced_too(target: Target) -> None:
    """The token is checked inside every write, not only when a session opens."""
    sink = target.sink(token=4)
    sink.write(ROWS, up_to=1, record=target.record)
    target.run("update ccbridge.sink_mark set fencing_token = 5")
    with pytest.raises(LeaseLost):
        sink.write([(CUSTOMER, desired(CUSTOMER, ["1", "Z", None, None]))], up_to=2, record=target.record)
    assert target.rows("select name from customer where person_id = '1'") == [("A",)]


def test_second_writer_waits_while_the_first_one_still_holds_the_origin(target: Target) -> None:
    """Two sessions never write at the same time; the second one is asked to try again."""
    first, second = target.sink(token=1), target.sink(token=1)
    first.position()
    with pytest.raises(TransientError):
        second.position()
    first.close()
    for _ in range(1000):  # the server notices the end of the first session a moment later
        try:
            assert second.position() == 0
            break
        except TransientError:
            continue
    second.close()


def test_transaction_the_target_does_not_know_is_neither_committed_nor_void(target: Target) -> None:
    """After a restore from backup the target's numbers start again: no answer is better than a guess."""
    sink = target.sink()
    sink.position()
    assert sink.committed("99999999999") is None
    sink.close()


def test_writes_carry_the_origin_and_those_of_others_do_not(target: Target) -> None:
    """The stream of changes tells our writes from the application's, so that echoes can be dropped."""
    with psycopg.connect(target.conninfo, autocommit=True) as connection:
        connection.execute("create publication echo for table customer")
        connection.execute(
            "select pg_create_logical_replication_slot(%s, 'pgoutput')", [target.settings.origin]
        )
        sink = target.sink()
        sink.write(ROWS, up_to=1, record=target.record)
        sink.close()

        def changes(origin: str) -> int:
            row = connection.execute(
                "select count(*) from pg_logical_slot_peek_binary_changes(%s, null, null,"
                " 'proto_version', '4', 'publication_names', 'echo', 'origin', %s)"
                " where get_byte(data, 0) = ascii('I')",
                [target.settings.origin, origin],
            ).fetchone()
            assert row is not None
            return int(str(row[0]))

        assert (changes("any"), changes("none")) == (2, 0)
        connection.execute("insert into customer (person_id, name) values ('9', 'application')")
        assert (changes("any"), changes("none")) == (3, 1)
        connection.execute("select pg_drop_replication_slot(%s)", [target.settings.origin])


def test_each_write_has_its_own_commit_time(target: Target) -> None:
    """An origin must not freeze the time of the session's first commit: auditors and lag rely on it."""
    with psycopg.connect(target.conninfo, autocommit=True) as connection:
        connection.execute("create publication times for table customer")
        slot = target.settings.origin
        connection.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
        sink = target.sink()
        for name in ("A", "B", "C"):
            rows = desired(CUSTOMER, ["1", name, None, None])
            sink.write([(CUSTOMER, rows)], up_to=1, record=target.record)
        sink.close()
        # a Begin message: one byte, the LSN in eight, the commit time in eight
        times = connection.execute(
            "select ('x' || encode(substring(data from 10 for 8), 'hex'))::bit(64)::bigint,"
            " extract(epoch from now() - '2000-01-01 00:00:00+00')::bigint * 1000000"
            " from pg_logical_slot_peek_binary_changes(%s, null, null,"
            " 'proto_version', '4', 'publication_names', 'times') where get_byte(data, 0) = ascii('B')",
            [slot],
        ).fetchall()
        connection.execute("select pg_drop_replication_slot(%s)", [slot])
    assert len(times) == 3
    assert len(set(times)) == 3
    assert all(abs(int(str(committed)) - int(str(now))) < 60_000_000 for committed, now in times)


def test_write_without_mark_table_says_what_to_run(target: Target) -> None:
    """A target no one prepared is an operator's task, not a traceback."""
    target.run("drop table ccbridge.sink_mark")
    with pytest.raises(OperatorError, match=r"no table ccbridge\.sink_mark") as caught:
        target.sink().position()
    assert "ccbridge migrate" in caught.value.hint
