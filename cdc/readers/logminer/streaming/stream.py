"""The stream of one reader: window after window of redo, transactions put together, batches handed out.

One `Stream` is one attempt: when its LogMiner session fails, the reader makes another one that begins
at the last batch.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cdc.changes import ChangeBatch
from cdc.config import OracleSystem
from cdc.oracle.apply_log import apply_log
from cdc.ports import StopAsked
from cdc.readers.logminer.lobs.large_rows import LargeRows
from cdc.readers.logminer.lobs.large_values import LargeValues
from cdc.readers.logminer.mining.idle_threads import IdleThreads
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.mining.window import FLUSH_S, WindowSize, session_start, window_end
from cdc.readers.logminer.recovery import Recovery, wait
from cdc.readers.logminer.streaming.batch_cutter import BatchCutter
from cdc.readers.logminer.streaming.batches import BatchMaker
from cdc.readers.logminer.tables.captured import CapturedTables
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed, DdlSeen
from cdc.readers.logminer.transactions.lob_filter import LobFilter
from cdc.readers.logminer.transactions.missed_ends import MissedEnds
from cdc.readers.logminer.transactions.open_transaction_age import OldestOpen
from cdc.readers.logminer.transactions.open_transactions import SpillStore
from cdc.readers.logminer.transactions.transaction import Transaction

IDLE_BATCH_S = 1.0
"""How often an idle stream tells that its position moved on."""
LOOK_EVERY_WINDOWS = 8
"""While far behind: online logs are archived meanwhile, whose copies last."""


class Stream:
    """Reads from one checkpoint on.

    Args:
        system: name of the source.
        settings: pauses and sizes.
        session: the LogMiner session.
        captured: the tables.
        open_work: files of open transactions.
        window: sizes of windows, kept from stream to stream.
        recovery: called for every window that was read to its end.
        oldest_open: called with the open transactions.
        large: fills large columns.
        idle: called after every look at the redo threads.
    """

    def __init__(
        self,
        system: str,
        settings: OracleSystem,
        session: MiningSession,
        captured: CapturedTables,
        open_work: SpillStore,
        *,
        window: WindowSize,
        recovery: Recovery,
        oldest_open: OldestOpen,
        large: LargeValues,
        idle: IdleThreads,
    ) -> None:
        self._system, self._settings, self._session = system, settings, session
        self._captured, self._open_work = captured, open_work
        self._window, self._recovery, self._oldest_open = window, recovery, oldest_open
        self._large, self._idle = large, idle
        self.read_to = 0
        self._last_window: int | None = None

    def batches(
        self, resume: Mapping[str, Any], identity: Mapping[str, str], *, max_changes: int, stop: StopAsked
    ) -> Iterator[ChangeBatch]:
        """Yield batches until `stop()`; see `cdc.ports.ChangeReader.read`."""
        committed = int(resume["committed"])
        start, restored = self._open_work.begin(resume, {**identity, "large_columns": self._large.digest})
        self._captured.begin(resume)
        self._session.host_time.begin(resume)
        self.read_to = min(start, committed)
        self._last_window = max(0, self.read_to - self._settings.max_window_scn)  # of the reader before
        state = since = self._session.look()
        assembly = self._assembly(restored)
        maker = BatchMaker(
            self._system,
            self._captured.readers,
            self._settings.user.upper(),
            stop=self._captured.refuse,
            stopped=self._captured.stopped_at,
            has_apply_log=self._settings.apply_log is not None,
            large=self._large,
            host_time=self._session.host_time,
        )
        output = BatchCutter(
            self._system,
            maker,
            assembly,
            partial(self._checkpoint, assembly),
            self._captured.stopped,
            committed,
            max_changes,
            dict(resume),
            LargeRows(
                self._system,
                self._captured.readers,
                self._captured.large,
                self._large.from_redo,
                unplaced=self._captured.lob_unplaced,
            ),
            outdated=self._captured.outdated,
            handed_out=self._handed_out,
        )
        missed = MissedEnds(self._system, self._session)
        yielded_at = time.monotonic()
        windows = 0
        while not stop():
            end = window_end(self.read_to, state, since, scns=self._window.scns, still_s=FLUSH_S)
            if end > self.read_to:
                began, rows = time.monotonic(), 0
                for array in self._session.rows(self._start(assembly), self.read_to, end, state):
                    rows += len(array)
                    yield from self._take(array, assembly, output)
                    if array:
                        yield from output.passed(array[-1].scn)
                self._last_window, self.read_to = self.read_to, end
                windows += 1
                self._window.settle(rows, time.monotonic() - began)
                self._recovery.progressed()
                if output.waiting or time.monotonic() - yielded_at >= IDLE_BATCH_S:
                    yielded_at = time.monotonic()
                    yield from self._flushed(output, behind=self.read_to < state.flushed_scn - 1)
                self._oldest_open.look(self._session.connection, assembly.open, self._session.host_time)
                for gone in missed.look(assembly.open, end, state):
                    assembly.forget(gone)
                    self._open_work.ended(gone, end)
                self._session.renew_if_old()
            behind = self.read_to < state.flushed_scn - 1
            if behind and windows % LOOK_EVERY_WINDOWS:
                continue  # the next window is known already
            if not behind:
                wait(state.looked_at + self._settings.poll_interval_ms / 1000 - time.monotonic(), stop)
            now = self._session.look()
            self._idle.look(now, self.read_to)
            self._idle.nudge(self._session, now, self.read_to, identity)
            if self._idle.held_back is not None and time.monotonic() - yielded_at >= IDLE_BATCH_S:
                yielded_at = time.monotonic()
                yield from self._flushed(output, behind=True)
            if now.flushed_scn != since.flushed_scn:
                since = now
            state = now

    def _flushed(self, output: BatchCutter, *, behind: bool) -> Iterator[ChangeBatch]:
        for batch in output.flush(self.read_to):
            yield replace(batch, held_back=self._idle.held_back, behind=behind)

    def _handed_out(self, committed: Committed) -> None:
        if committed.transaction is not None:
            self._open_work.ended(committed.transaction, committed.scn)

    def _assembly(self, restored: Sequence[Transaction]) -> Assembly:
        log = apply_log(self._settings)
        return Assembly(
            self._system,
            self._captured.table_of,
            apply_log=log.table if log is not None else None,
            has_large=self._captured.has_large,
            ends_statement=lambda table, row: self._captured.readers[table].tells_large_only(row.sql_redo),
            lobs=LobFilter(self._captured.large, self._large.from_redo),
            restored=restored,
            max_bytes=self._settings.open_transaction_bytes,
            spill=self._open_work.spill,
        )

    def _start(self, assembly: Assembly) -> int:
        """Where LogMiner begins; what is written down needs no redo of its start."""
        written = {one.name for one in assembly.open if self._open_work.is_written(one)}
        return session_start(
            self.read_to,
            (*(one.start_scn for one in assembly.open if one.name not in written), *assembly.started),
            max_distance=self._settings.max_window_scn,
            written=(one.start_scn for one in assembly.open if one.name in written),
            last_window=self._last_window,
        )

    def _take(
        self, array: Sequence[LogRow], assembly: Assembly, output: BatchCutter
    ) -> Iterator[ChangeBatch]:
        for row in array:
            event = assembly.add(row)
            if event is None:
                continue
            if isinstance(event, DdlSeen):
                if event.row.scn > output.begun and self._captured.concerns(event):
                    yield from output.cut(event.row.scn)
                    self._captured.apply(event)
                continue
            if isinstance(event, Committed):
                yield from output.take(event)
            else:
                self._open_work.ended(event.transaction, event.scn)

    def _checkpoint(
        self, assembly: Assembly, transactions: Sequence[Transaction], position: int, all_read: bool
    ) -> dict[str, Any]:
        """Also transactions that did nothing to captured tables yet: their first row may be on its way."""
        started = [scn for scn in assembly.started if position - scn < self._settings.max_window_scn]
        found = self._open_work.resume(transactions, position, all_read=all_read, started=started)
        return {**found, **self._captured.resume(), **self._session.host_time.resume()}
