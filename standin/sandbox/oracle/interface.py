"""Between the wire and the store: what `sandbox.oracle.net` asks of `sandbox.oracle.engine`.

Values travel as *cells*: the bytes of the wire encoding without their length prefix (NUMBER base
100, DATE 7 bytes, text UTF-8, CLOB its whole text), None for NULL. `sandbox.oracle.cells` encodes
and decodes them. There is no protocol below this interface and no SQL above it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

Cell = bytes | None
Row = tuple[Cell, ...]
CheckCancel = Callable[[], None]
"""Raises OracleFault(1013) when the client asked to cancel; call it now and then in long work."""


class DbType(IntEnum):
    """Oracle data type numbers of the wire."""

    VARCHAR2 = 1
    NUMBER = 2
    LONG = 8
    ROWID = 11
    DATE = 12
    RAW = 23
    LONG_RAW = 24
    CHAR = 96
    BINARY_FLOAT = 100
    BINARY_DOUBLE = 101
    REF_CURSOR = 102
    CLOB = 112
    BLOB = 113
    TIMESTAMP = 180
    TIMESTAMP_TZ = 181
    INTERVAL_YM = 182
    INTERVAL_DS = 183
    TIMESTAMP_LTZ = 231


@dataclass(frozen=True)
class Column:
    """A described column; `size` in bytes (never 0), `chars` 0 unless text, scale -127 = any.

    Cells of a `national` one are UTF-8 like others, and sent as UTF-16.
    """

    name: str
    type: DbType
    size: int = 22
    chars: int = 0
    precision: int = 0
    scale: int = 0
    nullable: bool = True
    national: bool = False


@dataclass(frozen=True)
class Bind:
    """A placeholder's metadata, in order of appearance; `returning` marks those behind INTO.

    The text of a `national` one is of the national character set.
    """

    name: str
    type: DbType
    size: int = 0
    array: bool = False
    returning: bool = False
    national: bool = False


class OracleFault(Exception):
    """An ORA error for the client; `text` without the `ORA-nnnnn: ` in front.

    `name` is the identifier in the statement that is at fault, in its parts, where that is known: its place
    becomes the offset.
    """

    def __init__(
        self, code: int, text: str, *, offset: int = 0, row: int | None = None, name: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"ORA-{code:05d}: {text}")
        self.code, self.text, self.offset, self.row, self.name = code, text, offset, row, name


class Disconnect(Exception):
    """The server process of a session dies: its connection closes without an answer."""


@dataclass(frozen=True)
class BatchFault:
    """One failed row of an array DML with batch errors."""

    row: int
    code: int
    text: str


@dataclass
class Outcome:
    """What a statement did.

    Queries have `columns` and a lazy `rows`; DML `row_count`, `last_rowid`, and if asked
    `row_counts` and `batch_faults`; PL/SQL `outs`: bind index -> cell, list of cells (array), or
    Outcome (REF CURSOR). `returning[iteration][return bind]` is a list of cells.
    """

    columns: tuple[Column, ...] = ()
    rows: Iterator[Row] = field(default_factory=lambda: iter(()))
    row_count: int = 0
    last_rowid: str | None = None
    row_counts: list[int] = field(default_factory=list)
    batch_faults: list[BatchFault] = field(default_factory=list)
    outs: dict[int, Cell | list[Cell] | Outcome] = field(default_factory=dict)
    returning: list[list[list[Cell]]] = field(default_factory=list)


@dataclass(frozen=True)
class Verifier:
    """A stored 12c password verifier: never the password."""

    salt: bytes
    verifier: bytes


@dataclass
class Client:
    """Who is connected, for V$SESSION and the USERNAME, CLIENT_ID columns of the redo."""

    user: str
    program: str = ""
    machine: str = ""
    module: str = ""
    action: str = ""
    identifier: str = ""
    service: str = ""
    info: str = ""


class Session(Protocol):
    """One logged-in session; one thread uses it at a time."""

    id: int
    serial: int

    def describe(self, statement: str) -> tuple[Column, ...]:
        """Parse only: the columns of a query, () otherwise. Raises OracleFault."""

    def execute(
        self,
        statement: str,
        binds: Sequence[Bind],
        rows: Sequence[Sequence[Cell | list[Cell]]],
        *,
        batch_errors: bool,
        check_cancel: CheckCancel,
    ) -> Outcome:
        """Run a statement once per row of `rows` (once without binds). Raises OracleFault."""

    def commit(self) -> None:
        """Commit the transaction, if any."""

    def rollback(self) -> None:
        """Roll the transaction back, if any."""

    @property
    def in_transaction(self) -> bool:
        """True while a transaction is open."""

    def identify(self, client: Client) -> None:
        """Module, action or client identifier changed."""

    def set_current_schema(self, schema: str) -> None:
        """As ALTER SESSION SET CURRENT_SCHEMA."""

    def close(self) -> None:
        """Roll back and forget the session."""


class Database(Protocol):
    """The database behind the listener."""

    name: str
    banner: str

    @property
    def services(self) -> frozenset[str]:
        """Names a client may connect to, the database's own among them."""

    def verifier(self, user: str, service: str) -> Verifier | None:
        """The verifier of an existing, unlocked user of the container behind a service, else None."""

    def open_session(self, client: Client) -> Session:
        """Open a session for a user who proved his password. Raises OracleFault (no CREATE SESSION)."""
