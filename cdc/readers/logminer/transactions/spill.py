"""Rows of an open transaction on disk, so that memory is bounded whatever its size.

Rows are written in segments that are never changed; which rows of a segment were undone is kept in
memory, one byte a row. A compensation looks for its row in the newest segment first: each segment is
followed by the sorted hashes of its rows' places, so a segment without the row is passed over after one
short read. Files hold redo, so only their owner may read them.
"""

from __future__ import annotations

import io
import os
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from cdc.changes import TableName
from cdc.errors import RedoUnreadable
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.transactions.compensation import Layer
from cdc.readers.logminer.transactions.undo import Kept, Marked, Place, RowStack, is_change, place_of

SEGMENT_ROWS = 10_000
SEGMENT_BYTES = 8 * 2**20
"""A segment is read back as a whole, so it is small."""

_SCHEMA = {
    "captured_schema": pl.String,
    "captured_name": pl.String,
    "scn": pl.Int64,
    "operation_code": pl.UInt8,
    "xid": pl.String,
    "sql_redo": pl.String,
    "row_id": pl.String,
    "data_obj": pl.Int64,
    "owner": pl.String,
    "table": pl.String,
    "rs_id": pl.String,
    "ssn": pl.Int64,
    "mark": pl.Int64,
}
_HASH = "I"
_HASH_BYTES = array(_HASH).itemsize


@dataclass
class Segment:
    """Where a segment lies in its file, and which of its rows were undone.

    The hashes of the rows' places follow at `offset + size`, four bytes a row. `changes` of its rows are
    not only the ends of statements; its statements of several rows are numbered `statements`, from and to.
    `dead` has a byte a row: 1 for a row that was undone, 2 for the end of a statement that was.
    """

    offset: int
    size: int
    rows: int
    checksum: int
    changes: int
    statements: tuple[int, int] = (0, 0)
    dead: bytearray | None = None
    live: int = field(init=False)
    left: int = field(init=False)

    def __post_init__(self) -> None:
        dead = self.dead if self.dead is not None else b""
        self.live = self.changes - dead.count(1)
        self.left = self.rows - len(dead) + dead.count(0)

    @property
    def end(self) -> int:
        """Where the next segment begins."""
        return self.offset + self.size + self.rows * _HASH_BYTES


class SpillFile:
    """Segments of one transaction's rows, oldest first. The file is open only while it is used.

    Args:
        path: of the file; made with its first segment, readable by its owner only.
        segments: those of a file that is there already.
    """

    def __init__(self, path: Path, segments: Sequence[Segment] = ()) -> None:
        self.path = path
        self.segments = list(segments)
        self._loaded: tuple[Segment, RowStack] | None = None
        self._live = sum(segment.live for segment in self.segments)

    def __len__(self) -> int:
        return self._live

    def append(self, rows: Sequence[Marked]) -> None:
        """Write rows behind those written before."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.seek(self.segments[-1].end if self.segments else 0)
            file.truncate()
            for part in _parts(rows):
                buffer = io.BytesIO()
                _frame(part).write_ipc(buffer, compression="zstd")
                data = buffer.getvalue()
                places = array(_HASH, sorted(_hash(place_of(*kept)) for kept, _ in part))
                start = self.segments[-1].end if self.segments else 0
                numbers = [mark >> 2 for _, mark in part if mark]
                segment = Segment(
                    start,
                    len(data),
                    len(part),
                    zlib.crc32(data),
                    sum(is_change(kept) for kept, _ in part),
                    (min(numbers), max(numbers)) if numbers else (0, 0),
                )
                self.segments.append(segment)
                file.write(data)
                file.write(places.tobytes())
                self._live += segment.live

    def kept(self) -> Iterator[Kept]:
        """Rows that were not undone, in order; one segment is in memory at a time."""
        for segment in self.segments:
            if segment.live:
                yield from self._read(segment).kept()

    def marked(self) -> Iterator[Marked]:
        """The same with their marks."""
        for segment in self.segments:
            if segment.live:
                yield from self._read(segment).marked()

    def holding(self, place: Place) -> Iterator[Layer]:
        """Segments that may hold a row of a place, newest first."""
        searched = _hash(place)
        for age, segment in enumerate(reversed(self.segments), start=1):
            if segment.left and self._may_hold(segment, searched):
                yield self._layer(age, segment)

    def of_statement(self, statement: int) -> Iterator[Layer]:
        """Segments that may hold a row of a statement, newest first."""
        for age, segment in enumerate(reversed(self.segments), start=1):
            if segment.left and segment.statements[0] <= statement <= segment.statements[1]:
                yield self._layer(age, segment)

    def sync(self) -> None:
        """Return when everything written is on the disk itself."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def delete(self) -> None:
        """Remove the file; safe to call twice."""
        self.path.unlink(missing_ok=True)

    def _layer(self, age: int, segment: Segment) -> Layer:
        stack = self._stack(segment)

        def cancel(index: int) -> None:
            before = stack.live
            stack.cancel(index)
            if segment.dead is None:
                segment.dead = bytearray(segment.rows)
            segment.left -= 1
            if stack.live < before:
                segment.dead[index] = 1
                segment.live -= 1
                self._live -= 1
            else:
                segment.dead[index] = 2

        return Layer(age, stack, cancel)

    def _stack(self, segment: Segment) -> RowStack:
        """The rows of a segment; work is undone from its end backwards, so the last one is kept."""
        if self._loaded is None or self._loaded[0] is not segment:
            self._loaded = segment, self._read(segment)
        return self._loaded[1]

    def _read(self, segment: Segment) -> RowStack:
        data = self._bytes(segment.offset, segment.size)
        if zlib.crc32(data) != segment.checksum:
            raise RedoUnreadable(
                f"{self.path}: the kept rows of an open transaction are damaged at byte {segment.offset}",
                hint="remove the file and start again: its redo is then read once more",
            )
        frame = pl.read_ipc(io.BytesIO(data))
        dead = segment.dead
        tables: dict[tuple[str, str], TableName] = {}
        rows: list[Kept | None] = []
        marks: dict[int, int] = {}
        for index, (
            schema,
            name,
            scn,
            code,
            xid,
            text,
            row_id,
            data_obj,
            owner,
            table,
            rs_id,
            ssn,
            mark,
        ) in enumerate(frame.iter_rows()):
            if dead is not None and dead[index]:
                rows.append(None)
                continue
            captured = tables.get((schema, name)) or tables.setdefault(
                (schema, name), TableName(schema, name)
            )
            kept = LogRow(
                scn,
                code,
                xid,
                text,
                row_id=row_id,
                data_obj=data_obj,
                owner=owner,
                table=table,
                rs_id=rs_id,
                ssn=ssn,
            )
            rows.append((captured, kept))
            if mark:
                marks[index] = mark
        return RowStack(rows, marks)

    def _may_hold(self, segment: Segment, searched: int) -> bool:
        places = array(_HASH)
        places.frombytes(self._bytes(segment.offset + segment.size, segment.rows * _HASH_BYTES))
        at = bisect_left(places, searched)
        return at < len(places) and places[at] == searched

    def _bytes(self, offset: int, size: int) -> bytes:
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)


def _parts(rows: Sequence[Marked]) -> Iterator[Sequence[Marked]]:
    """Cut into segments by rows and by the size of their texts."""
    first = size = 0
    for index, ((_, row), _) in enumerate(rows):
        size += len(row.sql_redo or "")
        if index + 1 - first >= SEGMENT_ROWS or size >= SEGMENT_BYTES:
            yield rows[first : index + 1]
            first, size = index + 1, 0
    if first < len(rows):
        yield rows[first:]


def _frame(rows: Sequence[Marked]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (
                table.schema,
                table.name,
                row.scn,
                row.operation_code,
                row.xid,
                row.sql_redo,
                row.row_id,
                row.data_obj,
                row.owner,
                row.table,
                row.rs_id,
                row.ssn,
                mark,
            )
            for (table, row), mark in rows
        ],
        schema=_SCHEMA,
        orient="row",
    )


def _hash(place: Place) -> int:
    """The same in every process, unlike `hash`."""
    table, row_id = place
    return zlib.crc32(f"{table.schema}\0{table.name}\0{row_id}".encode())
