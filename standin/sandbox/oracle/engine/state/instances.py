"""Instances of a cluster: one to each open redo thread, with services that lead to it alone.

A single instance has the database's name. Once there are more threads than one the instance of thread n is
called `<database>n`, and each service has one of its own in each instance, with the thread's number behind
its name. A listener knows the services of the instances that are up.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sandbox.oracle.engine.state.context import Instance, Session
from sandbox.oracle.engine.store.journal import Operation, Record

if TYPE_CHECKING:
    from sandbox.oracle.engine.state.containers import Container


def is_cluster(database: Instance) -> bool:
    """Is there more than one redo thread?"""
    return len(database.storage.journal.threads) > 1


def instance_name(database: Instance, thread: int) -> str:
    """INSTANCE_NAME of a thread's instance."""
    return f"{database.name}{thread}" if is_cluster(database) else database.name


def services(database: Instance, known: frozenset[str]) -> Iterator[str]:
    """Services that lead to one instance; none where there is only one.

    Args:
        database: the database.
        known: the services that any instance offers.
    """
    if is_cluster(database):
        for thread in database.storage.journal.threads.values():
            if thread.is_open:
                yield from (f"{name}{thread.number}" for name in known)


def reached(database: Instance, service: str) -> tuple[Container, int]:
    """Container and redo thread of a login to a service; a service of all instances leads to the first."""
    wanted = service.upper().split(".")[0]
    if is_cluster(database):
        for name in database.common_services:
            for thread in database.storage.journal.threads:
                if wanted == f"{name}{thread}".upper():
                    return database.containers.by_service(name), thread
    return database.containers.by_service(service), 1


def audit(session: Session) -> None:
    """A login or logoff is written down by SYS, in a transaction of its own on the session's instance."""
    database = session.database
    thread = database.storage.journal.threads[session.thread]
    if not database.audits_logins or not thread.is_open or thread.read_only:
        return
    storage = session.storage
    made = storage.new_transaction("SYS", session.id, session.serial, session.container.number)
    made.thread = session.thread
    with storage.lock:
        storage.begin(made)
        made.scn = made.end_scn = storage.next_scn()
        storage.journal.append(Record(made.scn, made, Operation.COMMIT))
        storage.open_transactions.remove(made)
        made.is_open = False
