"""The database behind the listener: catalog, storage, users, sessions."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sandbox.oracle.engine.dictionary.all_views import all_views
from sandbox.oracle.engine.functions import (
    conversion_functions,
    number_functions,
    raw_functions,
    system_functions,
    text_functions,
    time_functions,
)
from sandbox.oracle.engine.plan.prepare import PlanCache
from sandbox.oracle.engine.session import EngineSession
from sandbox.oracle.engine.sql.script import statements
from sandbox.oracle.engine.state import instances
from sandbox.oracle.engine.state.containers import Containers
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements import fault_calls
from sandbox.oracle.engine.store.journal import LogFile
from sandbox.oracle.engine.store.storage import Storage
from sandbox.oracle.engine.values.zones import zone
from sandbox.oracle.faults.script import FaultScript, Moment
from sandbox.oracle.interface import Client, OracleFault, Verifier

BANNER = "ccbridge Oracle stand-in 19.0.0.0.0 - simulated, not an Oracle Database"
FIRST_SCN = 1_000_000
RECORDS_PER_LOG = 200_000

FUNCTION_MODULES = (
    conversion_functions,
    number_functions,
    raw_functions,
    system_functions,
    text_functions,
    time_functions,
    fault_calls,
)
"""They register what they define when they are imported."""


class OracleDatabase:
    """See `sandbox.oracle.interface.Database`. All rows and all redo are in memory.

    Args:
        name: database name; also a service.
        services: further service names.
        pdbs: pluggable databases; with one at least the database is multitenant.
        time_zone: zone of the database host: SYSDATE and the times of the redo are in it.
        clock: seconds since 1970.
        first_scn: where the SCN begins.
        records_per_log: redo records until the log is switched by itself.
        dbid: identity of the database.
    """

    banner = BANNER

    def __init__(
        self,
        name: str = "CCB",
        *,
        services: Sequence[str] = (),
        pdbs: Sequence[str] = (),
        time_zone: str = "UTC",
        clock: Callable[[], float] = time.time,
        first_scn: int = FIRST_SCN,
        records_per_log: int = RECORDS_PER_LOG,
        dbid: int = 1_584_203_117,
    ) -> None:
        self.name: str = name
        self._services = (name, *services)
        self.time_zone: str = time_zone
        self.clock_shift_s: float = 0.0
        self.clock: Callable[[], float] = lambda: clock() + self.clock_shift_s
        self.dbid: int = dbid
        self.storage = Storage(clock=self.clock, first_scn=first_scn, records_per_log=records_per_log)
        self.views = {view.name: view for view in all_views()}
        self.containers: Containers = Containers(name, dbid, self.views)
        self.plans = PlanCache()
        self.force_logging = False
        self.archive_log = True
        self.started_at = self.clock()
        self.resetlogs_scn, self.resetlogs_at = first_scn, self.started_at
        self.parameters: dict[str, str] = {}
        self.role: str = "PRIMARY"
        self.mines_in_pdb: bool = True
        self.audits_logins: bool = False
        self.sessions: dict[int, EngineSession] = {}
        self.on_statement: list[Callable[[Session, str], None]] = []
        self.faults = FaultScript()
        self.unescaped_strings = False
        self._numbers = itertools.count(101)
        self._lock = threading.Lock()
        for at, pdb in enumerate(pdbs):
            if at:
                self.containers.create(pdb)
            else:
                self.containers.plug_in(pdb)

    @property
    def common_services(self) -> frozenset[str]:
        """Services that every instance offers."""
        return frozenset((*self._services, *(one.name for one in self.containers.pluggable)))

    @property
    def services(self) -> frozenset[str]:
        """See `interface.Database`."""
        common = self.common_services
        return common | frozenset(instances.services(self, common))

    def verifier(self, user: str, service: str) -> Verifier | None:
        """See `interface.Database`."""
        users = instances.reached(self, service)[0].users
        if not users.exists(user):
            return None
        found = users.get(user)
        return None if found.locked else found.verifier

    def open_session(self, client: Client) -> EngineSession:
        """See `interface.Database`.

        Raises:
            OracleFault: ORA-01045 without CREATE SESSION, ORA-28000 when locked.
        """
        self.faults.at(Moment.LOGIN, client.user)
        container, _ = instances.reached(self, client.service)
        users = container.users
        if users.exists(client.user) and users.get(client.user).locked:
            raise OracleFault(28000, "the account is locked")
        if not users.exists(client.user) or not users.has(client.user, "CREATE SESSION"):
            raise OracleFault(1045, f"user {client.user} lacks CREATE SESSION privilege; logon denied")
        if container.restricted and not users.has(client.user, "RESTRICTED SESSION"):
            raise OracleFault(1035, "ORACLE only available to users with RESTRICTED SESSION privilege")
        session = self._session(client)
        instances.audit(session)
        return session

    def _session(self, client: Client) -> EngineSession:
        with self._lock:
            number = next(self._numbers)
            session = EngineSession(self, client, number, number * 7 % 60000 + 1)
            self.sessions[number] = session
            return session

    def forget(self, session: Session) -> None:
        """A session has ended."""
        with self._lock:
            self.sessions.pop(session.id, None)

    def kill(self, number: int) -> None:
        """Roll a session back; its next statement fails with ORA-00028."""
        session = self.sessions.get(number)
        if session is None:
            raise OracleFault(30, "User session ID does not exist.")
        session.rollback()
        session.killed = True

    @property
    def undo_retention_s(self) -> float | None:
        """Seconds for which undo is kept, once ALTER SYSTEM SET UNDO_RETENTION said it."""
        given = self.parameters.get("undo_retention")
        return None if given is None else float(given)

    def before_statement(self, session: Session, statement: str) -> None:
        """Where simulated faults hook in: each hook may raise OracleFault, wait or change something."""
        if session.killed:
            raise OracleFault(28, "your session has been killed")
        for hook in self.on_statement:
            hook(session, statement)
        self.faults.at(Moment.STATEMENT, session.user, statement, session.wait)

    def switch_log(self, thread: int = 1) -> LogFile:
        """Close the current log of a thread, which is archived at once, and open the next."""
        with self.storage.lock:
            return self.storage.journal.switch(self.storage.next_scn(), thread)

    def delete_archived_logs(self, up_to_sequence: int) -> None:
        """What a backup job does: the archived logs up to a sequence are gone, their rows say so."""
        with self.storage.lock:
            for log in self.storage.journal.logs:
                if not log.current and log.sequence <= up_to_sequence:
                    log.deleted = True

    def local_time(self, seconds: float) -> datetime:
        """Time of the database host, without its zone."""
        return datetime.fromtimestamp(seconds, zone(self.time_zone)).replace(tzinfo=None)

    def system(self) -> EngineSession:
        """A session of SYS, in the root of a multitenant database, without password; close it after use."""
        return self._session(Client("SYS", program="stand-in"))

    def run_script(self, text: str) -> None:
        """Run statements separated by `;` (blocks by `/`) as SYS, then commit.

        Raises:
            OracleFault: a statement failed; its text is in the message.
        """
        session = self.system()
        try:
            for statement in statements(text):
                try:
                    session.execute(statement, (), ())
                except OracleFault as fault:
                    raise OracleFault(fault.code, f"{fault.text} in: {statement[:200]}") from fault
            session.commit()
        finally:
            session.close()
