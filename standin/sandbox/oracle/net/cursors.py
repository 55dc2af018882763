"""The open cursors of a session, by the id the client uses for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from sandbox.oracle.interface import Column, OracleFault, Row
from sandbox.oracle.net.binds import WireBind
from sandbox.oracle.net.lob import LobStore
from sandbox.oracle.net.sqltext import Kind, kind
from sandbox.oracle.net.values import LOBS, LONGS

OPEN_CURSORS = 300
MAX_ROWS = 65535
"""Rows of one answer: some clients read their number as two bytes."""


@dataclass
class Cursor:
    """One cursor.

    Attributes:
        id: 1 to 65535.
        statement: its text; empty for a cursor that a PL/SQL block opened.
        binds: metadata of the last run with binds.
        defines: what the client wants columns as.
        columns: as last described to the client.
        rows: what is left to fetch; None when nothing was executed or all was fetched.
        ahead: a row taken from `rows` to see whether there are more.
        fetched: rows given so far.
        lobs: numbers of the large objects it handed out.
    """

    id: int
    statement: str
    binds: tuple[WireBind, ...] = ()
    defines: tuple[WireBind, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: Iterator[Row] | None = None
    ahead: Row | None = None
    fetched: int = 0
    lobs: list[int] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """What its statement is."""
        return kind(self.statement)

    @property
    def undefined(self) -> bool:
        """True while the client has to say first how it wants the large objects."""
        return not self.defines and any(column.type in LOBS for column in self.columns)

    @property
    def _streamed(self) -> bool:
        """True with LONG columns: clients ask once more after the last row."""
        return any(column.type in LONGS for column in self.columns)

    def open(self, rows: Iterator[Row]) -> None:
        """Start to give rows."""
        self.rows, self.ahead, self.fetched = rows, None, 0

    def take(self, wanted: int) -> tuple[list[Row], bool]:
        """The next rows, and whether they were the last ones.

        Raises:
            OracleFault: 1002 when there is nothing to fetch from; whatever the engine raises.
        """
        if self.rows is None:
            raise OracleFault(1002, "fetch out of sequence")
        wanted = min(wanted, MAX_ROWS)
        if wanted == 0:
            return [], False
        rows = [] if self.ahead is None else [self.ahead]
        self.ahead = None
        try:
            rows += islice(self.rows, wanted - len(rows))
            done = len(rows) < wanted
            if not done and not self._streamed:
                self.ahead = next(self.rows, None)
                done = self.ahead is None
        except BaseException:
            self.rows = None  # what failed is not the end of the rows: the next fetch must say so
            raise
        self.fetched += len(rows)
        if done:
            self.rows = None
        return rows, done


class Cursors:
    """All cursors of a session."""

    def __init__(self, lobs: LobStore) -> None:
        self._open: dict[int, Cursor] = {}
        self._lobs = lobs
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def new(self, statement: str) -> Cursor:
        """Open a cursor.

        Raises:
            OracleFault: 1000, too many are open.
        """
        if len(self._open) >= OPEN_CURSORS:
            raise OracleFault(1000, "maximum open cursors exceeded")
        while True:
            self._last = self._last % 65535 + 1
            if self._last not in self._open:
                break
        cursor = self._open[self._last] = Cursor(self._last, statement)
        return cursor

    def get(self, number: int) -> Cursor:
        """The cursor of an id.

        Raises:
            OracleFault: 1001, there is none.
        """
        cursor = self._open.get(number)
        if cursor is None:
            raise OracleFault(1001, "invalid cursor")
        return cursor

    def close(self, number: int) -> None:
        """Close a cursor and drop its large objects; unknown ids are fine."""
        cursor = self._open.pop(number, None)
        if cursor is not None:
            self._lobs.drop(cursor.lobs)
