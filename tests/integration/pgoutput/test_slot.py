"""The pgoutput reader and what can happen to its slot, its session and its server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from pydantic import SecretStr

from cdc.changes import ChangeBatch, TableName
from cdc.errors import OperatorError, SlotMissing, SourceChanged, TransientError
from cdc.ports import ChangeReader
from cdc.positions import Lsn
from cdc.readers.pgoutput import PgoutputReader
from sandbox.postgres import PostgresServer
from tests.contract.reader_suite import Reading, snapshot
from tests.integration.pgoutput.source import Prepaid

TIMEOUT_S = 30.0


@pytest.fixture
def prepaid(database: str) -> Iterator[Prepaid]:
    made = Prepaid(database)
    made.execute("create table t (id int primary key)")
    yield made
    made.close()


def wait_until(met: Callable[[], object], what: str) -> None:
    """Look at a condition until it holds."""
    deadline = time.monotonic() + TIMEOUT_S
    while not met():
        assert time.monotonic() < deadline, f"{what}: not within {TIMEOUT_S} s"
        threading.Event().wait(0.02)


def free_slot(prepaid: Prepaid) -> None:
    """Wait until no session holds the slot."""
    query = f"select active from pg_replication_slots where slot_name = '{prepaid.settings.slot}'"
    wait_until(lambda: prepaid.value(query) is False, "slot is free")


def test_a_dropped_slot_is_reported_and_not_created_again(prepaid: Prepaid) -> None:
    """A new slot would begin later, and what lies between would be lost unseen."""
    reading = prepaid.start("t")
    free_slot(prepaid)
    prepaid.execute(f"select pg_drop_replication_slot('{prepaid.settings.slot}')", "insert into t values (1)")
    with pytest.raises(SlotMissing, match=r"does not exist, expected at LSN") as caught:
        reading.take(1)
    assert "delete from staging.checkpoint where system = 'prepaid';" in caught.value.hint


def test_a_slot_created_again_behind_our_back_is_reported(prepaid: Prepaid) -> None:
    """It stands later than what we staged; the gap must not be jumped."""
    reading = prepaid.start("t")
    slot = prepaid.settings.slot
    free_slot(prepaid)
    prepaid.execute("insert into t values (1)", f"select pg_drop_replication_slot('{slot}')")
    prepaid.execute(f"select pg_create_logical_replication_slot('{slot}', 'pgoutput')")
    with pytest.raises(SlotMissing, match=r"stands at LSN .*, later than the saved position LSN"):
        reading.take(1)


def test_a_slot_moved_by_another_consumer_is_reported(prepaid: Prepaid) -> None:
    """Someone who read our slot has taken changes from us."""
    reading = prepaid.start("t")
    prepaid.execute("insert into t values (1)")
    free_slot(prepaid)
    prepaid.execute(
        f"select pg_replication_slot_advance('{prepaid.settings.slot}', pg_current_wal_flush_lsn())"
    )
    with pytest.raises(SlotMissing, match="another consumer advanced it"):
        reading.take(1)


def test_a_position_beyond_the_servers_log_is_reported(prepaid: Prepaid) -> None:
    """A server restored to an earlier time would else be silent until it gets there again."""
    reading = prepaid.start("t")
    end = Lsn.parse(str(prepaid.value("select pg_current_wal_flush_lsn()::text")))
    reading.resume = {"lsn": Lsn(end + 1_000_000).text}
    with pytest.raises(SourceChanged, match="restored to an earlier time"):
        reading.take(1)


def test_a_slot_of_another_database_is_not_touched(prepaid: Prepaid, postgres: PostgresServer) -> None:
    """A name clash must not cost someone else his slot."""
    slot = prepaid.settings.slot
    with psycopg.connect(postgres.conninfo(), autocommit=True) as other:
        other.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
        try:
            with pytest.raises(OperatorError, match="on database postgres, expected pgoutput on t_"):
                prepaid.start("t")
            findings = prepaid.readers[0].preflight()
            assert [finding.subject for finding in findings] == [f"replication slot {slot}"]
        finally:
            other.execute("select pg_drop_replication_slot(%s)", [slot])


def test_a_slot_in_use_is_waited_for_and_reported(prepaid: Prepaid, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two readers never share a slot, and the message names who holds it."""
    monkeypatch.setattr("cdc.readers.pgoutput.reader.SLOT_PATIENCE_S", 0.2)
    monkeypatch.setattr("cdc.readers.pgoutput.snapshot.SLOT_PATIENCE_S", 0.2)
    reading = prepaid.start("t")
    stop = threading.Event()
    first = threading.Thread(
        target=lambda: list(reading.reader.read(reading.resume, max_changes=10, stop=stop.is_set))
    )
    first.start()
    try:
        query = f"select active from pg_replication_slots where slot_name = '{prepaid.settings.slot}'"
        wait_until(lambda: prepaid.value(query), "slot is held")
        second = prepaid.reader("t")
        with pytest.raises(TransientError, match="SQLSTATE 55006"):
            Reading(second, reading.resume).take(1)
        with pytest.raises(TransientError, match=r"in use by process \d+ \(ccbridge read prepaid\)"):
            snapshot(second)
    finally:
        stop.set()
        first.join()


def test_acknowledged_changes_let_the_server_discard_its_log(prepaid: Prepaid) -> None:
    """Only what was acknowledged: a change that was only read stays."""
    reading = prepaid.start("t")
    slot = prepaid.settings.slot
    query = f"select confirmed_flush_lsn::text from pg_replication_slots where slot_name = '{slot}'"
    with closing(prepaid.readers[0].read(reading.resume, max_changes=10, stop=lambda: False)) as stream:
        prepaid.execute("insert into t values (1)")
        first = next(batch for batch in stream if batch.tables)
        prepaid.execute("insert into t values (2)")
        second = next(batch for batch in stream if batch.tables)
        reading.reader.acknowledge(first.resume)
        wait_until(lambda: prepaid.value(query) == first.resume["lsn"], "slot moves to the first change")
        assert reading.reader.source_lag()["retained_bytes"] > 0
        reading.reader.acknowledge(second.resume)
        wait_until(lambda: prepaid.value(query) == second.resume["lsn"], "slot moves to the second change")


def test_a_snapshot_can_be_given_up_while_it_waits_for_transactions(prepaid: Prepaid) -> None:
    """Making a slot waits for all that runs; a long report must not keep the service from ending."""
    prepaid.publish("t")
    reader = prepaid.reader("t")
    asked = threading.Event()
    with psycopg.connect(prepaid.info) as busy:
        busy.execute("insert into t values (1)")
        ended = threading.Thread(target=lambda: list(reader.snapshot(max_rows=10, stop=asked.is_set)))
        ended.start()
        waiting = (
            "select count(*) from pg_stat_activity "
            "where query like 'CREATE_REPLICATION_SLOT%' and wait_event = 'transactionid'"
        )
        wait_until(lambda: prepaid.value(waiting) == 1, "slot creation waits")
        asked.set()
        ended.join(TIMEOUT_S)
        assert not ended.is_alive()
        busy.rollback()
    assert [(batch.rows, len(batch.snapshot_done)) for batch in snapshot(reader)] == [(0, 1)]


def test_a_snapshot_left_early_is_started_again(prepaid: Prepaid) -> None:
    """Nothing was promised: the next one is complete at a newer position."""
    prepaid.execute("insert into t select generate_series(1, 50)")
    prepaid.publish("t")
    reader = prepaid.reader("t")
    first = reader.snapshot(max_rows=10, stop=lambda: False)
    left = next(first)
    first.close()
    prepaid.execute("insert into t values (51)")
    batches = snapshot(reader, max_rows=20)
    assert [batch.rows for batch in batches] == [20, 20, 11]
    assert batches[0].position > left.position


def test_a_paused_consumer_keeps_its_session() -> None:
    """Staging a batch may take longer than the server waits for a sign of life."""
    with PostgresServer(settings={"wal_sender_timeout": "1s"}) as server:
        prepaid = Prepaid(server.create_database("app"))
        prepaid.execute("create table t (id int primary key)")
        reading = prepaid.start("t")
        stream = prepaid.readers[0].read(reading.resume, max_changes=10, stop=lambda: False)
        prepaid.execute("insert into t values (1)")
        assert next(stream).rows == 1
        began = time.monotonic()
        wait_until(lambda: time.monotonic() - began > 3, "three times the server's time-out have passed")
        prepaid.execute("insert into t values (2)")
        assert next(batch for batch in stream if batch.tables).rows == 1
        stream.close()
        prepaid.close()


def test_a_server_restart_is_survived_and_an_invalidated_slot_is_reported() -> None:
    """The one is a pause, the other a gap."""
    limits = {
        "max_slot_wal_keep_size": "1MB",
        "wal_keep_size": "0",
        "max_wal_size": "64MB",
        "min_wal_size": "32MB",
    }
    with PostgresServer(settings=limits) as server:
        prepaid = Prepaid(server.create_database("app"))
        prepaid.execute("create table t (id int primary key)")
        reading = prepaid.start("t")
        prepaid.execute("insert into t values (1)")
        stream = prepaid.readers[0].read(reading.resume, max_changes=10, stop=lambda: False)
        first = next(stream)
        assert first.rows == 1
        reading.reader.acknowledge(first.resume)
        # a server that shuts down waits until its log is acknowledged
        restart = threading.Thread(target=_restart, args=(server,))
        restart.start()
        with pytest.raises(TransientError):
            _read_and_acknowledge(reading.reader, stream)
        restart.join(TIMEOUT_S)
        prepaid.connection.close()
        prepaid.connection = psycopg.connect(prepaid.info, autocommit=True)
        reading.resume = first.resume
        prepaid.execute("insert into t values (2)")
        assert [event.after["id"] for event in reading.take(1)] == ["2"]
        free_slot(prepaid)
        for _ in range(3):
            prepaid.execute("select pg_logical_emit_message(false, 'fill', repeat('x', 1000000))")
            prepaid.execute("select pg_switch_wal()")
        prepaid.execute("checkpoint")
        with pytest.raises(SlotMissing, match="was invalidated") as caught:
            reading.take(1)
        assert "max_slot_wal_keep_size" in caught.value.hint
        assert [finding.found for finding in reading.reader.preflight()] == ["wal_status lost"]
        assert snapshot(reading.reader)[-1].rows == 2
        prepaid.close()


def _read_and_acknowledge(reader: ChangeReader, stream: Iterator[ChangeBatch]) -> None:
    for batch in stream:
        reader.acknowledge(batch.resume)


def _restart(server: PostgresServer) -> None:
    """Stop the server the fast way and start it again on its folder and port."""
    folder_is_temporary, server._own_folder = server._own_folder, False
    server.stop()
    server._own_folder = folder_is_temporary
    server.start()


def test_the_identity_tells_systems_databases_and_slots_apart(
    prepaid: Prepaid, postgres: PostgresServer
) -> None:
    """A saved position is useless on another system."""
    identity = prepaid.reader("t").identity()
    assert identity["system_identifier"] == prepaid.value(
        "select system_identifier::text from pg_control_system()"
    )
    assert identity["database"] == prepaid.settings.database
    assert identity["slot"] == prepaid.settings.slot
    assert identity["timeline"] == "1"


def test_preflight_names_everything_at_once_with_what_fixes_it(
    prepaid: Prepaid, postgres: PostgresServer
) -> None:
    """After running the statements shown, nothing is left to complain about."""
    role = f"reader_{prepaid.settings.database}"
    prepaid.execute(
        "drop publication ccbridge",
        "create table listed (id int primary key)",
        "create table keyless (id int)",
        "create table blind (id int primary key)",
        "alter table blind replica identity nothing",
        "create unlogged table forgetful (id int primary key)",
        "create publication ccbridge for table listed where (id > 5), t with (publish = 'insert')",
        f"create role {role} login password 'pw'",
        "revoke all on schema public from public",
    )
    names = ["t", "listed", "keyless", "blind", "forgetful", "missing"]

    settings = prepaid.settings.model_copy(update={"user": role, "password": SecretStr("pw")})
    reader = PgoutputReader("prepaid", settings, [TableName("public", name) for name in names])
    prepaid.readers.append(reader)
    found = {(finding.subject, finding.found) for finding in reader.preflight()}
    no_select = f"role {role} may not select"
    assert found == {
        (f"role {role}", "no REPLICATION attribute"),
        ("publication ccbridge", "does not publish update, delete, truncate"),
        ("table public.missing", "does not exist"),
        ("table public.keyless", "no primary key"),
        ("table public.blind", "replica identity without the primary key"),
        ("table public.forgetful", "unlogged or temporary"),
        ("table public.listed", "published with a row filter"),
        *((f"table public.{n}", "not in publication ccbridge") for n in ("keyless", "blind", "forgetful")),
        *((f"table public.{n}", no_select) for n in names[:-1]),
    }
    order = sorted(reader.preflight(), key=lambda finding: "set logged" not in finding.fix)
    for finding in order:
        if finding.subject != "table public.missing":
            prepaid.execute(finding.fix.replace("<key columns>", "id"))
    prepaid.execute("create table missing (id int primary key)")
    for finding in reader.preflight():
        prepaid.execute(finding.fix)
    assert reader.preflight() == []
    assert snapshot(reader)[-1].snapshot_done
    reader.close()
    prepaid.execute(f"drop owned by {role}", f"drop role {role}")


def test_preflight_tells_what_the_server_has_not() -> None:
    """Settings that need a restart, and the publication with the statement that makes it."""
    with PostgresServer(settings={"wal_level": "replica", "max_replication_slots": "0"}) as server:
        prepaid = Prepaid(server.create_database("app"))
        prepaid.execute("drop publication ccbridge", "create table t (id int primary key)")
        reader = prepaid.reader("t")
        fixes = {finding.subject: finding.fix for finding in reader.preflight()}
        assert set(fixes) == {"wal_level", "max_replication_slots", "publication ccbridge"}
        assert fixes["wal_level"] == "alter system set wal_level = 'logical'; -- then restart the server"
        prepaid.execute(fixes["publication ccbridge"])
        assert {finding.subject for finding in reader.preflight()} == {"wal_level", "max_replication_slots"}
        prepaid.close()
