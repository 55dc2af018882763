"""The execute request taken apart."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.oracle.net.terms import Terms
from sandbox.oracle.net.wire import Reader

EXECUTE, FETCH, COMMIT, BATCH = 0x20, 0x40, 0x100, 0x80000
_ROW_COUNTS = 0x4000


@dataclass(frozen=True)
class ExecuteRequest:
    """An execute call up to its bind or define metadata.

    Attributes:
        options: bits EXECUTE, FETCH, COMMIT, BATCH; others do not matter.
        cursor: id of a known cursor, 0 for a new one.
        statement: the text, None to use the cursor's own.
        prefetch: rows wanted with the answer.
        binds, defines: how many descriptions of each follow.
        numbers: the request's array of integers: [1] iterations or rows, [9] flags.
    """

    options: int
    cursor: int
    statement: str | None
    prefetch: int
    binds: int
    defines: int
    numbers: tuple[int, ...]

    @property
    def iterations(self) -> int:
        """Rows of binds of a DML statement; rows to fetch for some queries."""
        return self.numbers[1]

    @property
    def row_counts(self) -> bool:
        """True when the client wants a row count per iteration."""
        return bool(self.numbers[9] & _ROW_COUNTS)

    @property
    def rows_wanted(self) -> int:
        """Rows a query gives along with its answer."""
        return (self.prefetch or self.iterations) if self.options & FETCH else 0


def read_execute(reader: Reader, terms: Terms) -> ExecuteRequest:
    """Read an execute request up to its metadata."""
    options, cursor = reader.ub(), reader.ub()
    has_statement, length = reader.u8(), reader.ub()
    reader.u8()
    number_count = reader.ub()
    reader.skip("11v")
    prefetch = reader.ub()
    reader.skip("v1")
    binds = reader.ub()
    reader.skip("111111")
    defines = reader.ub()
    reader.skip("v111v1vv" + "1v1")
    if terms.field_version >= 8:
        reader.skip("1v1v1")
    if terms.field_version >= 9:
        reader.skip("1v")
    statement = None
    if has_statement and length:
        content = (reader.text() or b"") if terms.inner_lengths else reader.raw(length)
        statement = content.decode("utf-8", "replace")
    numbers = tuple(reader.ub() for _ in range(number_count))
    padded = numbers + (0,) * max(0, 13 - len(numbers))
    return ExecuteRequest(options, cursor, statement, prefetch, binds, defines, padded)
