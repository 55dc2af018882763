"""Stages batches of changes: one transaction each, all of it or nothing.

`Stager.stage` puts a batch into the change log, maps it, merges the entity rows and their history,
rejects what cannot be mapped, and moves the checkpoint. Staging a batch again changes nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

import mapping_rules
from cdc.changes import ChangeBatch, TableName
from cdc.digests.definition import Algorithm, row_digest
from cdc.errors import OperatorError, TransientError
from cdc.postgres.connect import Connection
from cdc.postgres.copy import copy_frame, csv_bytes
from cdc.postgres.errors import postgres_errors
from cdc.staging.audit.audit_chain import last_digest
from cdc.staging.audit.change_log import change_rows, in_stream_order
from cdc.staging.batches.mapper import BatchMapper
from cdc.staging.batches.open_batch import OpenBatch, Staged
from cdc.staging.batches.refused_rows import RefusedRows, find, letters, may_concern_a_change, only, places_of
from cdc.staging.batches.replay_filter import Incoming, SnapshotProgress, incoming
from cdc.staging.checkpoints import Checkpoints, StoredCheckpoint
from cdc.staging.dead_letters import DeadLetters, map_rejections
from cdc.staging.entity_rows.merge import FOLLOW_KEYS, EntityMerge
from cdc.staging.entity_rows.snapshot_deletes import sweep
from cdc.staging.entity_rows.versions import versions
from cdc.staging.leases import LeaseCheck
from cdc.staging.schema.partitions import Month, ensure_partitions, months_of
from cdc.staging.source_rows.own_changes import note_own_changes
from cdc.staging.source_tables import SourceTables, StoredTable
from cdc.staging.staged_seq import lock_sequence, reserve_numbers
from mapping_rules import InboundProgram, RuleSet

__all__ = ["Staged", "Stager"]

Cursor = psycopg.Cursor[tuple[object, ...]]
_NEXT_BATCH = "select nextval('staging.batch_id')"
READERS = {"oracle": "logminer", "postgres": "pgoutput"}


class Stager:
    """Stages the changes of one system. One thread; owns its connection.

    Args:
        connection: to staging, used for nothing else; not in autocommit.
        rule_set: its inbound rules map the changes.
        system: name of the source system.
        kind: what database it is.
        time_zone: zone of its dates without one.
        run_id: of this process, goes into each batch.
        lease: verified in every transaction.
        reader: name of the reader; by default the one for `kind`.
        programs: compiled inbound rules; by default those of the rule set.
        digest: hash of the digests of our own writes read back.

    Attributes:
        feeders: the entities that the system feeds, each with the tables it comes from.
        mapper: maps the changes; `ask_source` of it is set by who has a reader.
    """

    def __init__(
        self,
        connection: Connection,
        rule_set: RuleSet,
        system: str,
        *,
        kind: Literal["oracle", "postgres"],
        time_zone: str,
        run_id: uuid.UUID,
        lease: LeaseCheck,
        reader: str = "",
        programs: Mapping[TableName, tuple[InboundProgram, ...]] | None = None,
        digest: Algorithm = Algorithm.MD5,
    ) -> None:
        self.system, self._connection, self._lease = system, connection, lease
        self._run_id, self._reader = run_id, reader or READERS[kind]
        self._ignored = mapping_rules.ignored_columns(rule_set, system)
        self.feeders = feeding_tables(rule_set, system)
        self._rules: dict[TableName, list[str]] = {}
        for rule in rule_set.inbound:
            if rule.system == system:
                self._rules.setdefault(rule.table, []).append(rule.name)
        self._columns_read = mapping_rules.columns_read(rule_set, system)
        self._kind, self._algorithm = kind, digest
        self._identity: Mapping[str, str] | None = None
        self._partitions: set[Month] = set()
        self._places = SnapshotProgress()
        self._unfinished: OpenBatch | None = None
        self._following: int | None = None
        self._stored: StoredCheckpoint | None = None
        self._letters, self._checkpoints = DeadLetters(connection), Checkpoints(connection)
        self._tables, self._noted = SourceTables(connection, system), dict[TableName, StoredTable]()
        with postgres_errors(f"staging of {system}"), connection.transaction(), connection.cursor() as cursor:
            cursor.execute(FOLLOW_KEYS)
            self._rule_set_id = _register(connection, rule_set)
            self._merges = {
                name: EntityMerge(rule_set.entities[name], system, self._rule_set_id) for name in self.feeders
            }
            for merge in self._merges.values():
                merge.prepare(cursor)
            self._load()
        self.mapper = BatchMapper(
            system,
            programs or mapping_rules.compile_inbound(rule_set, system, kind=kind, time_zone=time_zone),
            self._columns_read,
            {name: merge.spool for name, merge in self._merges.items()},
        )

    def bind(self, identity: Mapping[str, str]) -> None:
        """Say what the positions to come are bound to; stored with the next checkpoint."""
        self._identity = dict(identity)

    def resume(self) -> StoredCheckpoint | None:
        """Where reading continues, None before the first batch of this system."""
        with postgres_errors(f"staging of {self.system}"), self._connection.transaction():
            return self._checkpoints.load(self.system)

    def snapshot_completed(self) -> None:
        """The first load is done: from now on the stream is read on.

        Raises:
            LeaseLost: another process is active.
            OperatorError: nothing of this system was staged yet.
        """
        with postgres_errors(f"staging of {self.system}"), self._connection.transaction():
            self._lease.verify(self._connection)
            stored = self._checkpoints.load(self.system)
            if stored is None:
                raise OperatorError(
                    f"{self.system}: no snapshot was staged that could be complete",
                    hint="its checkpoint was deleted meanwhile; start ccbridge run again",
                )
            self._stored = replace(stored, snapshot_complete=True)
            self._checkpoints.save(self._stored)
            self._save_noted()

    def source_tables(self) -> dict[TableName, StoredTable]:
        """What staging knows of the captured tables, with what was noted and not yet stored."""
        with postgres_errors(f"staging of {self.system}"), self._connection.transaction():
            return self._tables.load() | self._noted

    def forget_tables(self, names: Collection[TableName]) -> None:
        """Tables that no rule reads any more."""
        if names:
            with postgres_errors(f"staging of {self.system}"), self._connection.transaction():
                self._tables.forget(names)

    def note(self, tables: Mapping[TableName, StoredTable]) -> None:
        """What became of captured tables; stored with the next batch."""
        self._noted |= tables

    def keep_ends(self, tables: Collection[TableName]) -> None:
        """Remember the end of rows that staging does not have: rows of these tables come later as they were.

        Args:
            tables: those whose rows are read beside the stream; none when that is done.
        """
        for entity, feeding in self.feeders.items():
            self._merges[entity].keeps_ends = not feeding.isdisjoint(tables)

    def stage_table(self, batch: ChangeBatch) -> Staged:
        """Stage rows of a table that is read beside the stream: the checkpoint stays where it is.

        Raises:
            LeaseLost, TransientError, TableChanged: as `stage`.
        """
        return self._guarded(batch, beside=True)

    def has_news(self, batch: ChangeBatch) -> bool:
        """Whether staging the batch would do more than move the checkpoint."""
        return bool(
            batch.tables
            or batch.suppressed
            or batch.snapshot_done
            or batch.continues
            or self._unfinished is not None
            or self._noted
        )

    def stage(self, batch: ChangeBatch) -> Staged:
        """Stage one batch and commit, or keep a slice until the one that ends its transaction.

        Changes at or before the stored place are dropped, our own writes read back are counted and
        dropped. After an error nothing of the batch, earlier slices included, is staged: read on
        from `resume()`.

        Raises:
            LeaseLost: another process is active.
            TransientError: staging is not reachable, a lock was not to be had, or rows that staging
                rejects were found and recorded.
            TableChanged: a rule needs a column that the source table lost.
        """
        return self._guarded(batch, beside=False)

    def _guarded(self, batch: ChangeBatch, *, beside: bool) -> Staged:
        try:
            with postgres_errors(f"staging of {self.system}"):
                return self._stage(batch, beside=beside)
        except BaseException as exc:
            self._undo()
            if isinstance(exc.__cause__, psycopg.Error) and may_concern_a_change(exc.__cause__):
                self._refuse(batch, beside=beside)
            raise

    def _undo(self) -> None:
        self._unfinished, self._places, self._stale = None, SnapshotProgress(), True
        with suppress(psycopg.Error):  # a session that was lost has undone everything
            self._connection.rollback()
        for merge in self._merges.values():
            merge.rolled_back()

    def _refuse(self, batch: ChangeBatch, *, beside: bool) -> None:
        """Make dead letters of the changes that made a batch fail, if it was for single changes.

        Raises:
            TransientError: there are such records now; read on from `resume()` in a new stager.
        """
        with postgres_errors(f"staging of {self.system}"):
            self._load()
            new = incoming(batch, None if beside else self._stored, SnapshotProgress())
            tables = self._refused.without(new.tables)
            places = sorted(place for changes in tables.values() for place in places_of(changes))
            found = find(places, lambda some: self._attempt(batch, replace(new, tables=only(tables, some))))
            self._connection.rollback()
        if found:
            self._letters.record(letters(self.system, tables, found, self._rules))
            raise TransientError(
                f"staging of {self.system}: {len(found)} rows are rejected and recorded as dead letters",
                hint="query staging.dead_letter; the source is read again from its checkpoint",
            )

    def _attempt(self, batch: ChangeBatch, some: Incoming) -> psycopg.Error | None:
        """Stage some changes and undo it; returns what refused them."""
        try:
            work = self._begin(some)
            with self._connection.cursor() as cursor:
                self._log(cursor, work, some)
                self._map(cursor, work, some, sliced=False)
                self._finish(cursor, work, replace(batch, snapshot_done=()), sliced=False)
        except psycopg.Error as exc:
            if not may_concern_a_change(exc):
                raise
            return exc
        finally:
            self._undo()
        return None

    def close(self) -> None:
        """Give up an unfinished transaction and disconnect."""
        self._unfinished = None
        self._connection.close()

    def _load(self) -> None:
        """Where this system's stream and its audit chain stand."""
        self._stored = self._checkpoints.load(self.system)
        self._digest = last_digest(self._connection, self.system)
        self._refused = RefusedRows.load(self._connection, self.system)
        self._stale = False

    def _stage(self, batch: ChangeBatch, *, beside: bool) -> Staged:
        if self._stale:
            self._load()
        new = incoming(batch, None if beside else self._stored, self._places)
        new = replace(new, tables=self._refused.without(new.tables))
        sliced = batch.continues or self._unfinished is not None
        work = self._unfinished or self._begin(new)
        with self._connection.cursor() as cursor:
            self._log(cursor, work, new)
            self._note_own(cursor, work, new)
            self._map(cursor, work, new, sliced=sliced)
            if batch.continues:
                self._unfinished = work
                return work.staged(None)
            self._finish(cursor, work, batch, sliced=sliced)
            stored = work.checkpoint(batch, new, self._reader, self._identity)
            if beside and self._stored is not None:
                stored = replace(self._stored, batch_id=stored.batch_id)
            self._save_noted()
            # nothing to wait for in between, so these go in one round trip
            with self._connection.pipeline():
                if work.is_recorded:
                    self._digest = work.write(cursor, stored, self._rule_set_id, self._run_id)
                self._checkpoints.save(stored)
                following = self._connection.execute(_NEXT_BATCH)
                self._connection.commit()
        self._unfinished, self._stored = None, stored
        self._following = _number(following)
        return work.staged(work.batch_id if work.is_recorded else None)

    def _save_noted(self) -> None:
        if self._noted:
            self._tables.save(self._noted)
            self._noted = {}

    def _begin(self, new: Incoming) -> OpenBatch:
        self._ensure_partitions(new)
        # their locks are not kept while a batch is staged
        self._connection.commit()
        following, self._following = self._following, None
        batch_id = _number(self._connection.execute(_NEXT_BATCH)) if following is None else following
        return OpenBatch(batch_id, self.system, self._stored, self._digest)

    def _ensure_partitions(self, new: Incoming) -> None:
        months = months_of(new.moments) - self._partitions
        if months:
            ensure_partitions(self._connection, months)
            self._partitions |= months

    def _log(self, cursor: Cursor, work: OpenBatch, new: Incoming) -> None:
        work.count(new)
        self._ensure_partitions(new)
        if new.tables:
            rows = in_stream_order(
                change_rows(
                    self.system,
                    changes,
                    batch_id=work.batch_id,
                    left_out=self._ignored.get(name, frozenset()),
                )
                for name, changes in new.tables.items()
            )
            payload = csv_bytes(rows)
            work.rows_hash.update(payload)
            copy_frame(cursor, sql.Identifier("staging", "change"), rows, payload)

    def _note_own(self, cursor: Cursor, work: OpenBatch, new: Incoming) -> None:
        for name, changes in new.own.items():
            if changes.table.key and name in self._columns_read:
                read = self._columns_read[name].names
                definition = row_digest(changes.table, read, kind=self._kind, algorithm=self._algorithm)
                note_own_changes(cursor, self.system, changes, definition, work.batch_id)

    def _map(self, cursor: Cursor, work: OpenBatch, new: Incoming, *, sliced: bool) -> None:
        mapped, by_entity = self.mapper.map(cursor, new.tables)
        rejected = [map_rejections(self.system, name, one) for name, one in mapped if one.rejected.height]
        if rejected:
            frame = pl.concat(rejected)
            work.rejected += frame.height
            self._letters.record(frame)
        for name, rows in by_entity.items():
            merge = self._merges[name]
            ordered = versions(merge.entity, rows)
            load = work.add(name, ordered)
            if sliced:
                merge.spool.add(cursor, ordered, load.number)
            else:
                merge.load(cursor, ordered)

    def _finish(self, cursor: Cursor, work: OpenBatch, batch: ChangeBatch, *, sliced: bool) -> None:
        """Everything that waits for the order lock, at the end of the transaction."""
        if work.oldest is not None and work.newest is not None:
            self._letters.supersede(self.system, work.batch_id, work.oldest, work.newest)
        swept = self._places.swept(batch, self.feeders)
        base = 0
        if work.loads:
            base = reserve_numbers(cursor, sum(load.versions for load in work.loads))
        elif swept:
            lock_sequence(cursor)
        self._lease.verify(self._connection)
        for load in work.loads:
            merge = self._merges[load.entity]
            if sliced:
                merge.load_spooled(cursor, load.number)
            work.merged(merge.merge(cursor, base=base, chained=load.chained))
            base += load.versions
        for name in swept:
            gone = sweep(
                cursor,
                self._merges[name].entity,
                position=int(batch.position),
                at=work.newest,
                system=self.system,
                rule_set_id=self._rule_set_id,
            )
            work.merged(gone)
        if sliced:
            for name in {load.entity for load in work.loads}:
                self._merges[name].spool.clear(cursor)


def _number(cursor: Cursor) -> int:
    row = cursor.fetchone()
    return int(str(row[0])) if row else 0


def feeding_tables(rule_set: RuleSet, system: str) -> dict[str, frozenset[TableName]]:
    """The entities that a system feeds, each with the tables it comes from."""
    feeders: dict[str, frozenset[TableName]] = {}
    for rule in rule_set.inbound:
        if rule.system == system:
            feeders[rule.entity] = feeders.get(rule.entity, frozenset()) | {rule.table}
    return feeders


def _register(connection: Connection, rule_set: RuleSet) -> int:
    """The number of the rule set in staging; its texts are kept for auditors."""
    connection.execute(
        "insert into staging.rule_set (digest, name, files) values (%s, %s, %s) "
        "on conflict (digest) do nothing",
        [rule_set.digest, rule_set.name, Jsonb(dict(rule_set.files))],
    )
    row = connection.execute(
        "select rule_set_id from staging.rule_set where digest = %s", [rule_set.digest]
    ).fetchone()
    return int(str(row[0] if row else 0))
