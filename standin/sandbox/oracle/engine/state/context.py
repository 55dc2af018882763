"""What statements, expressions and views know of the session and the database they run in.

`Session` and `Instance` say what is used of `session.EngineSession` and `database.OracleDatabase`, so that
what runs inside of them need not import them. `Env` is one execution, `View` a source of computed rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from sandbox.oracle.engine.state.mining_run import AddedLog, MiningRun
from sandbox.oracle.engine.state.users import Users
from sandbox.oracle.engine.store.journal import LogFile
from sandbox.oracle.engine.store.storage import Storage
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.engine.store.transactions import Transaction
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.faults.script import FaultScript
from sandbox.oracle.interface import Bind, Cell, CheckCancel, Client, Outcome, Row

if TYPE_CHECKING:
    from sandbox.oracle.engine.state.catalog import Catalog
    from sandbox.oracle.engine.state.containers import Container, Containers


class Instance(Protocol):
    """The database: its identity, its settings and what all sessions share."""

    name: str
    banner: str
    dbid: int
    role: str
    time_zone: str
    clock: Callable[[], float]
    clock_shift_s: float
    started_at: float
    resetlogs_scn: int
    resetlogs_at: float
    archive_log: bool
    force_logging: bool
    mines_in_pdb: bool
    audits_logins: bool
    unescaped_strings: bool
    parameters: dict[str, str]
    storage: Storage
    containers: Containers
    faults: FaultScript

    @property
    def plans(self) -> object:
        """What `prepare` keeps here."""

    @property
    def sessions(self) -> Mapping[int, Session]:
        """Open sessions by number."""

    @property
    def common_services(self) -> frozenset[str]:
        """Services that every instance offers."""

    @property
    def services(self) -> frozenset[str]:
        """All services."""

    @property
    def undo_retention_s(self) -> float | None:
        """Seconds for which undo is kept, None for ever."""

    def local_time(self, seconds: float) -> datetime:
        """Time of the database host, without its zone."""

    def switch_log(self, thread: int = 1) -> LogFile:
        """Close the current log of a thread and open the next."""

    def kill(self, number: int) -> None:
        """Roll a session back; its next statement fails."""

    def before_statement(self, session: Session, statement: str) -> None:
        """Where simulated faults hook in."""

    def forget(self, session: Session) -> None:
        """A session has ended."""


class Session(Protocol):
    """One session: who it is, where it is, how it writes values, its transaction and its mining run."""

    database: Instance
    storage: Storage
    client: Client
    id: int
    serial: int
    user: str
    schema: str
    container: Container
    thread: int
    logged_on_at: float
    nls: dict[str, str]
    time_zone: str
    sequence_values: dict[tuple[str, str], bytes]
    mining: MiningRun | None
    mining_files: list[AddedLog]
    transaction: Transaction | None
    transaction_name: str
    statement: str
    check: CheckCancel
    killed: bool
    shows_archived: bool
    ddl_lock_timeout_s: int

    @property
    def users(self) -> Users:
        """Users of the container the session is in."""

    @property
    def catalog(self) -> Catalog:
        """Objects of the container the session is in."""

    @property
    def in_transaction(self) -> bool:
        """Is a transaction open?"""

    def find(self, owner: str | None, name: str, privilege: str) -> Table | View:
        """A table or view this session may use so."""

    def local_time(self, seconds: float) -> datetime:
        """Time in the session's zone, without the zone."""

    def offset_minutes(self, seconds: float) -> int:
        """Offset of the session's zone from UTC."""

    def reset_formats(self) -> None:
        """Formats and time zone as a session has them that has just entered its container."""

    def set_current_schema(self, schema: str) -> None:
        """Resolve names without owner there."""

    def wait(self, seconds: float) -> None:
        """Let time pass; the client may end it."""

    def env(self, binds: Sequence[Cell], check: CheckCancel = ...) -> Env:
        """What a statement beginning now sees."""

    def execute(
        self,
        statement: str,
        binds: Sequence[Bind],
        rows: Sequence[Sequence[Cell | list[Cell]]],
        *,
        batch_errors: bool = False,
        check_cancel: CheckCancel = ...,
    ) -> Outcome:
        """See `interface.Session`."""

    def new_transaction(self) -> Transaction:
        """A transaction of this session that has not begun."""

    def begin(self) -> Transaction:
        """The open transaction, begun if there is none."""

    def commit(self) -> None:
        """End the transaction."""

    def rollback(self) -> None:
        """Undo the transaction."""

    def savepoint(self, name: str) -> None:
        """Set a savepoint; it begins a transaction."""

    def rollback_to(self, name: str) -> None:
        """Undo back to a savepoint."""


class Env:
    """What one execution of a statement knows besides its rows."""

    __slots__ = ("binds", "cache", "check", "now", "reader", "session", "snapshot")

    def __init__(
        self,
        session: Session,
        binds: Sequence[Cell],
        snapshot: int,
        reader: Transaction | None,
        check: Callable[[], None],
    ) -> None:
        self.session, self.binds, self.snapshot, self.reader = session, binds, snapshot, reader
        self.check = check
        self.cache: dict[int, object] = {}
        self.now = session.database.clock()


@dataclass(slots=True)
class ScopeColumn:
    """A column a name may mean."""

    name: str
    type: SqlType
    nullable: bool = True
    hidden: bool = False


@dataclass
class Reading:
    """What a fixed view may use to do less: columns asked for, key bounds, tests that need no late column."""

    wanted: frozenset[int]
    bounds: dict[int, tuple[Cell, Cell]]
    early: Callable[[Row], bool] | None = None


class View(Protocol):
    """A view whose rows are computed: V$ and dictionary views."""

    name: str
    columns: Sequence[ScopeColumn]
    late: frozenset[int]
    free: bool

    def rows(self, env: Env, reading: Reading) -> Iterable[Row]:
        """Its rows, as wide as its columns."""
