"""One source into staging: snapshot if there was none, then the stream.

Each batch is staged in one transaction together with its checkpoint; only then is it acknowledged
to the source.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from cdc.changes import ChangeBatch, TableName
from cdc.config import Run
from cdc.errors import OperatorError, SnapshotTooOld, SourceChanged, TableChanged, snapshot_hint
from cdc.flows.progress.state import FlowState
from cdc.flows.source_tables import SourceTables
from cdc.flows.sources_found import SourcesFound
from cdc.flows.staged_signal import StagedSignal
from cdc.flows.supervision import Flow
from cdc.flows.truncation import without_truncated
from cdc.ports import ChangeReader, ColumnsRead
from cdc.staging.batches.stage import Staged, Stager

log = structlog.get_logger(__name__)

SNAPSHOT_TRIES = 3
"""Snapshots running for which the source's undo did not last."""


@dataclass
class Capture:
    """The work of one capture flow; `open_reader` and `open_stager` make fresh connections.

    `read` is what rules read of each captured table.
    """

    system: str
    read: Mapping[TableName, ColumnsRead]
    open_reader: Callable[[], ChangeReader]
    open_stager: Callable[[], Stager]
    sizes: Run
    wake: StagedSignal
    state: FlowState
    run_id: uuid.UUID
    found: SourcesFound = field(default_factory=SourcesFound)
    too_old: int = field(default=0, init=False)

    def __call__(self, flow: Flow) -> None:
        """Work until the flow is asked to stop.

        Raises:
            SourceChanged: the source is not the one the checkpoint belongs to.
            TransientError: a connection was lost; call again.
            OperatorError: the reader or the stager cannot continue.
        """
        try:
            reader = self.open_reader()
            try:
                stager = self.open_stager()
                stager.mapper.ask_source = reader.reread
                try:
                    self._work(flow, reader, stager)
                finally:
                    stager.close()
            finally:
                reader.close()
        except SourceChanged as exc:
            self.found.refuse(self.system, exc)
            raise
        finally:
            self.found.looked(self.system)

    def _work(self, flow: Flow, reader: ChangeReader, stager: Stager) -> None:
        stored = stager.resume()
        identity = dict(reader.identity())
        if stored is not None:
            refuse_other_source(self.system, stored.identity, identity)
        self.found.looked(self.system)
        stager.bind(identity)
        logger = log.bind(flow=flow.name, run_id=str(self.run_id))
        tables = SourceTables(self.system, self.read, reader, stager, self.sizes)
        if stored is None or not stored.snapshot_complete:
            self.state.expect(flow.name, sum(reader.estimates().values()))
            snapshot = reader.snapshot(max_rows=self.sizes.snapshot_rows, stop=flow.stop.is_set)
            definitions: dict[TableName, Mapping[str, object]] = {}
            last = self._stage_snapshot(flow, stager, _defined(snapshot, definitions))
            if last is None or flow.stop.is_set():
                return
            tables.loaded(last, definitions)
            stager.snapshot_completed()
            logger.info("snapshot_completed", system=self.system, position=str(last.position))
            resume = last.resume
        else:
            self.state.progress(flow.name, position=stored.position)
            resume = stored.resume
        reader.acknowledge(resume)
        begun = tables.begin(resume)
        stream = reader.read(begun, max_changes=self.sizes.max_changes, stop=flow.stop.is_set)
        batches = without_truncated(stream, resume, tables.stopped())
        self._stage_all(flow, stager, batches, "running", acknowledge=reader.acknowledge, tables=tables)

    def _stage_snapshot(
        self, flow: Flow, stager: Stager, batches: Iterator[ChangeBatch]
    ) -> ChangeBatch | None:
        """Stage a snapshot; one that outlasts the source's undo is taken again, but not for ever.

        Raises:
            OperatorError: it was too old several times running.
        """
        began = time.monotonic()
        try:
            return self._stage_all(flow, stager, batches, "snapshot")
        except SnapshotTooOld as exc:
            self.too_old += 1
            if self.too_old < SNAPSHOT_TRIES:
                raise
            lasted_s = round(time.monotonic() - began)
            raise OperatorError(
                f"{exc}, in {self.too_old} snapshots running; the last one had lasted {lasted_s} s",
                hint=f"raise undo_retention of the database well above {lasted_s} s, with room in its undo "
                "tablespace, or take the snapshot while less is written; then run again",
            ) from exc

    def _stage_all(
        self,
        flow: Flow,
        stager: Stager,
        batches: Iterator[ChangeBatch],
        status: str,
        acknowledge: Callable[[Mapping[str, object]], None] | None = None,
        tables: SourceTables | None = None,
    ) -> ChangeBatch | None:
        """Stage every batch of the iterator; returns the last one.

        Of batches without news, which only move the checkpoint, the first is staged and then one every
        `idle_poll_ms`: so an idle source costs staging next to nothing, and still lets go of its log.
        """
        batch, idle_until = None, 0.0
        for batch in batches:
            if tables is not None:
                tables.before(batch)
            news = stager.has_news(batch)
            staged = Staged()
            if news or time.monotonic() >= idle_until:
                staged = stager.stage(batch)
                idle_until = 0.0 if news else time.monotonic() + self.sizes.idle_poll_ms / 1000
                if not batch.continues and acknowledge is not None:
                    acknowledge(batch.resume)
            if batch.continues:
                continue
            if staged.staged_seq is not None:
                self.wake.set(staged.staged_seq)
            flow.progressed()
            self.state.progress(
                flow.name,
                rows=batch.rows,
                position=int(batch.position),
                staged_seq=staged.staged_seq,
                detail=", ".join(str(t) for t in batch.tables) if status == "snapshot" else "",
                changed_at=batch.changed_at,
                current_to=current_to(batch, datetime.now(UTC)),
                status="snapshot" if status == "snapshot" else "running",
                error=_stopped(batch, tables.open_errors if tables is not None else {}) or batch.held_back,
            )
            _log_staged(flow, batch, staged)
            for read in tables.turn(flow.stop.is_set) if tables is not None else ():
                if read.staged_seq is not None:
                    self.wake.set(read.staged_seq)
        return batch


def _log_staged(flow: Flow, batch: ChangeBatch, staged: Staged) -> None:
    position = str(batch.position)
    if staged.rejected:
        log.warning("rows_rejected", flow=flow.name, rows=staged.rejected, position=position)
    if batch.rows:
        log.debug(
            "batch_staged", flow=flow.name, rows=batch.rows, rejected=staged.rejected, position=position
        )


def _defined(
    batches: Iterator[ChangeBatch], definitions: dict[TableName, Mapping[str, object]]
) -> Iterator[ChangeBatch]:
    """The batches of a snapshot; what they say of tables is collected."""
    for batch in batches:
        definitions |= batch.definitions
        yield batch


def _stopped(batch: ChangeBatch, open_errors: Mapping[TableName, OperatorError]) -> OperatorError | None:
    """Tables that are no longer read, or not completely, as one error; None if there is none."""
    found = (batch.stopped, {**batch.outdated, **open_errors})
    errors = [of_table[table] for of_table in found for table in sorted(of_table)]
    if len(errors) < 2:
        return errors[0] if errors else None
    joined = "; ".join(map(str, errors))
    return TableChanged(joined, hint=errors[0].hint) if batch.stopped else _alike(errors[0], joined)


def _alike(error: OperatorError, message: str) -> OperatorError:
    """Another error of that class and hint."""
    found = OperatorError(message, hint=error.hint)
    found.code = error.code
    return found


def current_to(batch: ChangeBatch, now: datetime) -> datetime | None:
    """Up to when all that the source committed is staged once the batch is; None if it does not tell.

    Args:
        batch: the batch.
        now: the time it came.
    """
    if batch.changed_at is not None:
        return batch.changed_at
    return None if batch.behind else now


def refuse_other_source(system: str, stored: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Compare the identity that the checkpoint is bound to with the source's.

    Raises:
        SourceChanged: any part differs; each is named.
    """
    changed = {
        name: f"{name} was {value}, is {found.get(name, 'missing')}"
        for name, value in sorted(stored.items())
        if found.get(name) != value
    }
    if changed:
        raise SourceChanged(
            f"{system}: not the source the saved position belongs to: {'; '.join(changed.values())}",
            changed=changed,
            hint=f"connect to the former database; or, if the change was meant, {snapshot_hint(system)}",
        )
