"""What every DDL statement needs: its record in the redo, the right to it, a table that nobody changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.store.journal import Operation, Record
from sandbox.oracle.engine.store.storage import WAIT_SLICE_S, within
from sandbox.oracle.engine.store.tables import (
    Shape,
    Table,
)
from sandbox.oracle.interface import OracleFault

if TYPE_CHECKING:
    pass


_TIMED_OUT = 30006


def write_ddl(session: Session, text: str, shape: Shape | None, owner: str, name: str) -> None:
    """Write a DDL statement as a transaction of its own; the shape is that before the change."""
    storage = session.storage
    with storage.lock:
        transaction = session.new_transaction()
        storage.begin(transaction)
        scn = storage.next_scn()
        words = (text.encode(), owner.encode(), name.encode())
        storage.journal.append(Record(scn, transaction, Operation.DDL, shape, after=words))
        storage.commit(transaction)


def owned_table(session: Session, owner: str | None, name: str, privilege: str) -> Table:
    """A table that the session's user may define.

    Raises:
        OracleFault: ORA-00942, ORA-01031.
    """
    table = session.find(owner, name, "SELECT" if owner not in (None, session.user) else privilege)
    if not isinstance(table, Table):
        raise OracleFault(942, "table or view does not exist")
    if table.owner != session.user:
        held = session.users
        if not held.may(session.user, privilege, (table.owner, table.name)):
            raise OracleFault(1031, "insufficient privileges")
    return table


def require_idle(session: Session, table: Table) -> None:
    """Wait as long as DDL_LOCK_TIMEOUT says until nobody changes a table."""
    try:
        check = within(session.ddl_lock_timeout_s, session.check)
        while any(version.transaction.is_open for version in table.rows.values()):
            check()
            session.storage.ended.wait(WAIT_SLICE_S)
    except OracleFault as fault:
        if fault.code != _TIMED_OUT:
            raise
        raise OracleFault(54, "resource busy and acquire with NOWAIT specified or timeout expired") from fault
