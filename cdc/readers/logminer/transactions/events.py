"""What the assembly tells: a transaction that committed or came to nothing, and DDL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.transactions.transaction import Transaction
from cdc.readers.logminer.transactions.undo import Kept


@dataclass(frozen=True)
class DdlSeen:
    """A DDL row; it takes effect where it stands in the stream."""

    row: LogRow
    table: TableName | None


class Rows(Protocol):
    """Live rows of a transaction in the order they were made; read once, from disk where it is large."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Kept]: ...


@dataclass(frozen=True)
class Committed:
    """A committed transaction; `transaction` is what the assembly knew of it, None in tests.

    `marked`: it has a row in our apply log. `rs_id`: where its COMMIT is in the redo of its thread.
    """

    xid: str
    name: str
    scn: int
    start_scn: int
    when: object
    username: str | None
    client_id: str | None
    rows: Rows
    transaction: Transaction | None = field(default=None, repr=False)
    marked: bool = False
    rs_id: str = ""


@dataclass(frozen=True)
class RolledBack:
    """A transaction with captured rows that came to nothing."""

    scn: int
    transaction: Transaction
