"""Rows of an open transaction on disk, so that memory is bounded whatever its size.

Rows are written in segments that are never changed; which rows of a segment were undone is kept in
memory, one byte a row. A compensation looks for its row in the newest segment first: each segment is
followed by the sorted hashes of its rows' places, so a segment without the row is passed over after one
short read. Files hold redo, so only their owner may read them. Read next:
`cdc.readers.logminer.transaction`.
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
from cdc.readers.logminer.rows import LogRow
from cdc.readers.logminer.undo import Kept, RowStack, place_of

SEGMENT_ROWS = 10_000
SEGMENT_BYTES = 8 * 2**20
"""A segment is read back as a whole, so it is small."""

_SCHEMA = {
    "captured_schema": pl.String, "captured_name": pl.String, "scn": pl.Int64, "operation_code": pl.UInt8,
    "xid": pl.String, "sql_redo": pl.String, "row_id": pl.String, "data_obj": pl.Int64, "owner": pl.String,
    "table": pl.String, "rs_id": pl.String, "ssn": pl.Int64,
}  # fmt: skip
_HASH = "I"
_HASH_BYTES = array(_HASH).itemsize


@dataclass
class Segment:
    """Where a segment lies in its file, and which of its rows were undone.

    The hashes of the rows' places follow at `offset + size`, four bytes a row.
    """

    offset: int
    size: int
    rows: int
    checksum: int
    dead: bytearray | None = None
    live: int = field(init=False)

    def __post_init__(self) -> None:
        self.live = self.rows - (sum(self.dead) if self.dead is not None else 0)

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

    def append(self, rows: Sequence[Kept]) -> None:
        """Write rows behind those written before."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.seek(self.segments[-1].end if self.segments else 0)
            file.truncate()
            for part in _parts(rows):
                buffer = io.BytesIO()
                _frame(part).write_ipc(buffer, compression="zstd")
                data = buffer.getvalue()
                places = array(_HASH, sorted(_hash(row) for _, row in part))
                start = self.segments[-1].end if self.segments else 0
                self.segments.append(Segment(start, len(data), len(part), zlib.crc32(data)))
                file.write(data)
                file.write(places.tobytes())
                self._live += len(part)

    def live(self) -> Iterator[Kept]:
        """Rows that were not undone, in order; one segment is in memory at a time."""
        for segment in self.segments:
            if segment.live:
                yield from (kept for kept in self._read(segment).rows if kept is not None)

    def undo(self, row: LogRow) -> bool:
        """Cancel the newest live row that a compensation undoes; False if there is none."""
        wanted = _hash(row)
        for segment in reversed(self.segments):
            if not segment.live or not self._may_hold(segment, wanted):
                continue
            index = self._stack(segment).undo(row)
            if index is not None:
                self._bury(segment, index)
                return True
        return False

    def undo_lob_insert(self, row: LogRow, *, seen: bool) -> bool:
        """Cancel an insert without row id and the updates after it; see `RowStack.undo_lob_insert`."""
        for segment in reversed(self.segments):
            cancelled, seen, done = self._stack(segment).undo_lob_insert(row, seen=seen)
            for index in cancelled:
                self._bury(segment, index)
            if done:
                return True
        return False

    def sync(self) -> None:
        """Return when everything written is on the disk itself."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def delete(self) -> None:
        """Remove the file; safe to call twice."""
        self.path.unlink(missing_ok=True)

    def _bury(self, segment: Segment, index: int) -> None:
        if segment.dead is None:
            segment.dead = bytearray(segment.rows)
        segment.dead[index] = 1
        segment.live -= 1
        self._live -= 1

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
        ) in enumerate(frame.iter_rows()):
            if dead is not None and dead[index]:
                rows.append(None)
                continue
            captured = tables.get((schema, name)) or tables.setdefault(
                (schema, name), TableName(schema, name)
            )
            kept = LogRow(
                scn, code, xid, text, row_id=row_id, data_obj=data_obj, owner=owner, table=table, rs_id=rs_id,
                ssn=ssn,
            )  # fmt: skip
            rows.append((captured, kept))
        return RowStack(rows)

    def _may_hold(self, segment: Segment, wanted: int) -> bool:
        places = array(_HASH)
        places.frombytes(self._bytes(segment.offset + segment.size, segment.rows * _HASH_BYTES))
        at = bisect_left(places, wanted)
        return at < len(places) and places[at] == wanted

    def _bytes(self, offset: int, size: int) -> bytes:
        with self.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)


def _parts(rows: Sequence[Kept]) -> Iterator[Sequence[Kept]]:
    """Cut into segments by rows and by the size of their texts."""
    first = size = 0
    for index, (_, row) in enumerate(rows):
        size += len(row.sql_redo or "")
        if index + 1 - first >= SEGMENT_ROWS or size >= SEGMENT_BYTES:
            yield rows[first : index + 1]
            first, size = index + 1, 0
    if first < len(rows):
        yield rows[first:]


def _frame(rows: Sequence[Kept]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            (
                table.schema, table.name, row.scn, row.operation_code, row.xid, row.sql_redo, row.row_id,
                row.data_obj, row.owner, row.table, row.rs_id, row.ssn,
            )
            for table, row in rows
        ],
        schema=_SCHEMA,
        orient="row",
    )  # fmt: skip


def _hash(row: LogRow) -> int:
    """The same in every process, unlike `hash`."""
    return zlib.crc32(repr(place_of(row)).encode())
