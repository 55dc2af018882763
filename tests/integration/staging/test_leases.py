"""Who may write: leases on the staging database's clock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from cdc.errors import DatabaseUnreachable, LeaseLost, StagingRevision
from cdc.postgres.connect import connect
from cdc.postgres.sessions import Holder
from cdc.staging.leases import Lease
from tests.support.migrated import migrated, settings_of
from tests.unit.staging.doubles import rule_set
from tests.unit.staging.world import wait_for_blocked


@contextmanager
def rivals(database: str, ttl_s: float = 15) -> Iterator[tuple[Lease, Lease]]:
    settings = migrated(database, rule_set())
    first, second = (Lease(settings, "replication", holder, ttl_s) for holder in ("first", "second"))
    try:
        yield first, second
    finally:
        first.close()
        second.close()


def expire(database: str) -> None:
    with psycopg.connect(database, autocommit=True, application_name="expirer") as connection:
        connection.execute("update staging.lease set expires_at = clock_timestamp()")


def test_lease_is_held_by_one(database: str) -> None:
    """A second process waits as long as it was asked to, and gets the lease once it is released."""
    with rivals(database) as (first, second):
        assert first.acquire() == 1
        assert second.acquire(wait_s=0) is None
        first.release()
        assert second.acquire(wait_s=0) == 2


def test_lease_wait_ends_when_asked_to_stop(database: str) -> None:
    """A standby process can be ended while it waits."""
    with rivals(database) as (first, second):
        first.acquire()
        stop = threading.Event()
        threading.Timer(0.1, stop.set).start()
        assert second.acquire(stop=stop) is None


def test_lease_fences_a_holder_that_slept(database: str) -> None:
    """Once taken over, the former holder can neither renew nor write; tokens only grow."""
    with rivals(database) as (first, second):
        first.acquire()
        expire(database)
        assert second.acquire(wait_s=0) == 2
        with pytest.raises(LeaseLost, match="token 1 of first"):
            first.renew()
        with connect(settings_of(database), application="test") as connection, pytest.raises(LeaseLost):
            first.verify(connection)
        second.renew()


def test_lease_that_expired_unnoticed_is_kept(database: str) -> None:
    """Late is not lost: without a rival the holder continues under the same token."""
    with rivals(database) as (first, second):
        first.acquire()
        expire(database)
        first.renew()
        assert second.acquire(wait_s=0) is None
        assert first.token == 1


def test_lease_cannot_be_taken_from_under_a_write(database: str) -> None:
    """Who verified the lease commits before a rival gets it, so two never write at once."""
    with (
        rivals(database) as (first, second),
        connect(settings_of(database), application="w") as writer,
        psycopg.connect(database, autocommit=True) as observer,
    ):
        first.acquire()
        first.verify(writer)
        expire(database)
        taken: list[int | None] = []
        taker = threading.Thread(target=lambda: taken.append(second.acquire(wait_s=30)))
        taker.start()
        wait_for_blocked(observer, "ccbridge lease")
        assert taken == []
        writer.commit()
        taker.join(30)
        assert taken == [2]


def test_a_long_transaction_keeps_its_lease(database: str) -> None:
    """Its process lives and renews meanwhile, so that a standby neither takes over nor ends its sessions."""
    with (
        rivals(database) as (first, second),
        connect(settings_of(database), application="w", holder=first_holder(first)) as writer,
    ):
        first.verify(writer)
        expire(database)
        first.renew()
        assert second.acquire(wait_s=0) is None
        writer.commit()
        first.renew()


def first_holder(lease: Lease) -> Holder:
    """What the sessions of a process carry that has just become active."""
    lease.acquire()
    return lease.session


def test_lease_reconnects(database: str) -> None:
    """A lost connection is reported once; the next renewal uses a new one."""
    with rivals(database) as (first, _):
        first.acquire()
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where application_name like 'ccbridge lease%'"
            )
        with pytest.raises(DatabaseUnreachable):
            first.renew()
        first.renew()


@pytest.mark.parametrize("named", [True, False])
def test_lease_is_taken_from_a_holder_frozen_inside_a_transaction(database: str, named: bool) -> None:
    """Its session is ended, by its name or by the server's own time-out, and what it wrote is undone."""
    with rivals(database, ttl_s=2) as (first, second):
        first.acquire()
        frozen = connect(
            settings_of(database), application="ccbridge capture x", holder=first.session if named else None
        )
        frozen.execute(
            "insert into staging.operator_action (who, action, object, detail) "
            "values ('x', 'frozen', '', '{}')"
        )
        first.verify(frozen)
        assert second.acquire(wait_s=20) == 2
        with pytest.raises(psycopg.Error, match="terminating connection"):
            frozen.commit()
        with psycopg.connect(database) as observer:
            found = observer.execute("select count(*) from staging.operator_action where action = 'frozen'")
            assert found.fetchone() == (0,)


def test_waiting_for_a_frozen_holder_ends_when_asked_to_stop(database: str) -> None:
    """A standby hears SIGTERM although the lease's row is locked."""
    with rivals(database) as (first, second):
        first.acquire()
        expire(database)
        with connect(settings_of(database), application="stranger") as locked:
            locked.execute("select 1 from staging.lease for update")
            stop = threading.Event()
            threading.Timer(0.2, stop.set).start()
            assert second.acquire(stop=stop) is None


def test_lease_of_a_dead_process_is_taken_before_it_expires(database: str) -> None:
    """The holder's session carries its token; once it is gone no one waits for the end of the lease."""
    with rivals(database, ttl_s=600) as (first, second):
        first.acquire()
        assert second.acquire(wait_s=3) is None
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
                "where application_name like 'ccbridge lease #%'"
            )
        assert second.acquire(wait_s=20) == 2


def test_a_session_ends_its_own_orphan_and_those_of_former_holders_only(database: str) -> None:
    """Later holders, other bridges, other applications and the lease's session are left alone."""
    settings = settings_of(database)
    with rivals(database) as (first, _):
        token = first.acquire() or 0
        site = first.session.site
        names = {
            "orphan": ("ccbridge capture x", Holder(site, token + 5)),
            "former": ("ccbridge deliver y", Holder(site, token)),
            "later": ("ccbridge deliver y", Holder(site, token + 6)),
            "same holder": ("ccbridge deliver z", Holder(site, token + 5)),
            "other site": ("ccbridge capture x", Holder("ffffff", token)),
        }
        sessions = {
            name: psycopg.connect(database, application_name=holder.name(application), autocommit=True)
            for name, (application, holder) in names.items()
        }
        sessions["person"] = psycopg.connect(database, application_name="psql", autocommit=True)
        with connect(settings, application="ccbridge capture x", holder=Holder(site, token + 5)):
            ended = {name for name, session in sessions.items() if not answers(session)}
        assert ended == {"orphan", "former"}
        first.renew()
        for session in sessions.values():
            session.close()


def answers(session: psycopg.Connection) -> bool:
    try:
        session.execute("select 1")
    except psycopg.OperationalError:
        return False
    return True


def test_lease_needs_a_migrated_database(database: str) -> None:
    """The message says what to run."""
    lease = Lease(settings_of(database), "replication", "first", 15)
    try:
        with pytest.raises(StagingRevision) as caught:
            lease.acquire()
        assert "ccbridge migrate" in caught.value.hint
    finally:
        lease.close()
