"""Compares one table of a source with staging, range after range, while both move.

A chunk is added up on both sides; where the sums differ, the keys that look different are found and their
rows read, all in one look at the source. What then becomes of these keys is judged once staging has passed
the look, while the next chunks are read. A chunk is recorded when all its keys are judged.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import polars as pl
import structlog

from cdc.changes import UNREADABLE
from cdc.digests.definition import RowDigest
from cdc.digests.frames import digests
from cdc.digests.sort_key import decode, keyed, storable
from cdc.errors import SnapshotTooOld
from cdc.flows.verification.judging import Judged, SourceRow, StagedRow, Verdict, judge
from cdc.flows.verification.ranges import ChunkSize, Sums, sums_of, suspects
from cdc.flows.verification.staged import StagedTable
from cdc.ports import KeyRange, TableLook, TableReader
from cdc.staging.resync_runs import ChunkRecord, Difference

WAITING_CHUNKS = 4
"""So many chunks may wait for staging to pass them before the next one is read."""
PATIENCE_S = 60.0
"""How long a key is looked at again before it is postponed, and a look waits for staging."""
MOST_DIFFERENCES = 10_000
"""Of one table; with more of them it is a table to be read again, not rows to be looked at."""
_TURN_S, _NUDGE_S = 0.05, 0.5

log = structlog.get_logger(__name__)

_UNKNOWN = "staging does not know a value of it"
_CLASSES: dict[Verdict, Literal["missing", "extra", "different", "postponed"]] = {
    Verdict.MISSING: "missing",
    Verdict.EXTRA: "extra",
    Verdict.DIFFERENT: "different",
    Verdict.UNKNOWN: "postponed",
    Verdict.AGAIN: "postponed",
}

Record = Callable[[ChunkRecord, Sequence[Difference]], None]


@dataclass
class Chunk:
    """A range that was read, and those of its keys that are not judged yet."""

    within: KeyRange
    sums: tuple[Sums, Sums]
    look: TableLook
    seen: dict[str, SourceRow | None]
    moved: int
    elapsed_s: float
    began: float = field(default_factory=time.monotonic)
    first_seen: datetime = field(default_factory=lambda: datetime.now(UTC))
    found: list[Difference] = field(default_factory=list)


@dataclass
class TableComparison:
    """The comparison of one table.

    Args:
        reader: of the source.
        staged: what staging has of the table.
        digest: of its rows.
        record: stores a chunk with what differs in it.
        stopped: True once the comparison shall end; chunks that were read are still judged.
        load: share of time that the source is asked in, above 0, at most 1.
        patience_s: see PATIENCE_S.
        wait: sleeps, so many seconds.
    """

    reader: TableReader
    staged: StagedTable
    digest: RowDigest
    record: Record
    stopped: Callable[[], bool]
    load: float = 1.0
    patience_s: float = PATIENCE_S
    wait: Callable[[float], object] = time.sleep
    size: ChunkSize = field(default_factory=ChunkSize)
    differences: int = field(default=0, init=False)
    _waiting: deque[Chunk] = field(default_factory=deque, init=False)
    _number: int = field(default=0, init=False)

    def run(self, *, number: int = 0, low: str | None = None) -> bool:
        """Compare from `low` on to the end of the key space.

        Args:
            number: of the last chunk that is recorded already.
            low: where that one ended.

        Returns:
            Whether all was compared; False if it was stopped before, or given up for too many differences.

        Raises:
            TransientError, OperatorError: of the source or staging.
            LeaseLost: another process is active.
        """
        self._number = number
        is_whole = False
        while not is_whole and not self.stopped() and self.differences < MOST_DIFFERENCES:
            chunk = self._read(low)
            self._waiting.append(chunk)
            low = chunk.within.high
            is_whole = low is None
            self._settle(patient=False)
            if len(self._waiting) > WAITING_CHUNKS:
                self._settle(patient=True)
            if not is_whole:
                self.wait(chunk.elapsed_s * (1 / self.load - 1))
        while self._waiting:
            self._settle(patient=True)
        return is_whole

    def keys(self, keys: Sequence[str]) -> None:
        """Compare single rows, by sort key."""
        self.staged.refresh()
        with self.reader.look() as look:
            seen = self._rows(look, keys)
        there = sum(row is not None for row in seen.values())
        rows = self.staged.count(keys)
        sums = Sums(there, 0, 0), Sums(rows, 0, 0)
        self._waiting.append(Chunk(KeyRange(), sums, look, seen, len(keys), 0.0))
        while self._waiting:
            self._settle(patient=True)

    def _read(self, low: str | None) -> Chunk:
        """The next chunk; a smaller one where the source no longer has its rows as they were."""
        while True:
            try:
                return self._look_at(low)
            except SnapshotTooOld as exc:
                if self.size.rows <= 1:
                    raise
                self.size.rows = max(1, self.size.rows // 8)
                log.warning(
                    "chunk_read_again",
                    system=self.reader.system,
                    table=str(self.digest.table),
                    rows=self.size.rows,
                    reason=str(exc),
                )

    def _look_at(self, low: str | None) -> Chunk:
        self.staged.refresh()
        began = time.monotonic()
        rows = self.size.rows
        high = self.staged.bound(KeyRange(low), rows=rows)
        with self.reader.look() as look:
            if high is None:  # behind the last staged row the source may have any number
                high = look.bound(self.digest, KeyRange(low), rows=2 * rows)
            within = KeyRange(low, high)
            source = _Seen(look, self.digest)
            (ours,), (theirs,) = sums_of(source, within), sums_of(self.staged, within)
            summed_s = time.monotonic() - began
            found = suspects(source, self.staged, within, (ours, theirs))
            seen = self._rows(look, sorted(found.keys))
        self.size.adjust(summed_s)
        moved = found.moved + len(seen)
        return Chunk(within, (ours, theirs), look, seen, moved, time.monotonic() - began)

    def _rows(self, look: TableLook, keys: Sequence[str]) -> dict[str, SourceRow | None]:
        """The rows of these keys; their digest is that of the texts, whatever the source computes."""
        if not keys:
            return {}
        frame = look.rows(self.digest, keys)
        names = [column.name for column in self.digest.columns]
        rows = zip(frame["sort_key"], digests(self.digest, frame), frame.select(names).rows(), strict=True)
        seen: dict[str, SourceRow | None] = dict.fromkeys(keys)
        for key, number, texts in rows:
            seen[key] = SourceRow(number, _known(names, texts))
        return seen

    def _settle(self, *, patient: bool) -> None:
        """Judge what can be judged, oldest chunk first; if `patient`, wait for that one."""
        while self._waiting:
            chunk = self._waiting[0]
            if not self._is_judged(chunk, patient=patient):
                return
            self._waiting.popleft()
            self._number += 1
            record = ChunkRecord(
                self._number,
                chunk.within,
                int(chunk.look.position),
                chunk.sums[0].count,
                chunk.sums[1].count,
                chunk.moved,
                round(chunk.elapsed_s * 1000),
            )
            self.record(record, self.staged.explained(chunk.found))
            self.differences += len(chunk.found)
            patient = False

    def _is_judged(self, chunk: Chunk, *, patient: bool) -> bool:
        while chunk.seen:
            if not self._is_staged(chunk, patient=patient):
                if not patient:
                    return False
                self._postpone(chunk, "staging did not reach the position of the look")
                return True
            self.staged.refresh()
            state = self.staged.state(chunk.seen, chunk.look)
            judged = judge(chunk.look, chunk.seen, state)
            left = []
            for one in judged:
                if one.verdict is Verdict.AGAIN:
                    left.append(one.key)
                elif one.verdict is not Verdict.EQUAL:
                    chunk.found.append(self._difference(chunk, one, state.rows.get(one.key)))
            chunk.seen = {key: chunk.seen[key] for key in left}
            if left and time.monotonic() - chunk.began > self.patience_s:
                self._postpone(chunk, "it changed whenever it was looked at")
            elif left:
                with self.reader.look() as look:
                    chunk.seen = self._rows(look, left)
                chunk.look, chunk.moved = look, chunk.moved + len(left)
        return True

    def _is_staged(self, chunk: Chunk, *, patient: bool) -> bool:
        """Whether staging has passed the look; if `patient`, wait for it as long as patience lasts."""
        nudge_at = time.monotonic() + _NUDGE_S
        while (self.staged.staged_to() or 0) < chunk.look.position:
            now = time.monotonic()
            if not patient or now - chunk.began > self.patience_s:
                return False
            if now > nudge_at:
                self.reader.nudge()
                nudge_at = now + _NUDGE_S
            self.wait(_TURN_S)
        return True

    def _postpone(self, chunk: Chunk, cause: str) -> None:
        for key in chunk.seen:
            chunk.found.append(self._difference(chunk, Judged(key, Verdict.AGAIN), None, cause))
        chunk.seen = {}

    def _difference(
        self, chunk: Chunk, judged: Judged, staged: StagedRow | None, cause: str | None = None
    ) -> Difference:
        source = chunk.seen[judged.key]
        key = decode(keyed(self.digest), judged.key)
        return Difference(
            dict(zip((column.name for column in self.digest.key), key, strict=True)),
            _CLASSES[judged.verdict],
            int(chunk.look.position),
            chunk.first_seen,
            columns=judged.columns or None,
            source=_shown(source, judged.columns),
            staged=_shown(staged, judged.columns),
            staged_position=None if staged is None else staged.position,
            cause=_UNKNOWN if judged.verdict is Verdict.UNKNOWN else cause,
        )


class _Seen:
    """A table in a look, as a side of the comparison."""

    def __init__(self, look: TableLook, digest: RowDigest) -> None:
        self._look, self._digest = look, digest

    def range_sums(self, within: KeyRange, bounds: Sequence[str] = ()) -> pl.DataFrame:
        return self._look.range_sums(self._digest, within, bounds)

    def digests_in(self, within: KeyRange) -> pl.DataFrame:
        return self._look.digests_in(self._digest, within)

    def bounds(self, within: KeyRange, *, rows: int) -> list[str]:
        return self._look.bounds(self._digest, within, rows=rows)


def _known(names: Sequence[str], texts: Sequence[str | None]) -> dict[str, str | None]:
    """Values by column as staging would hold them; one that could not be read is not known."""
    found = zip(names, texts, strict=True)
    return {
        name: None if text is None else storable(text)
        for name, text in found
        if text is None or not text.startswith(UNREADABLE)
    }


def _shown(row: SourceRow | StagedRow | None, columns: Sequence[str]) -> Mapping[str, str | None] | None:
    """The columns that differ, or all that are known."""
    if row is None:
        return None
    return {name: text for name, text in row.texts.items() if not columns or name in columns}
