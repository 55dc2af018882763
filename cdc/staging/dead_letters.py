"""Dead letters: rejected rows with their reason, until something settles them.

One open record per stage, rule and key: rejected again, it counts a retry. A mapped row is settled
when its source row changes to something that can be mapped (or goes), a delivered row when the
target accepts it. Settled records stay for auditors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from psycopg import sql
from psycopg.rows import class_row

from cdc.changes import TableName
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.audit.change_log import storable_json
from cdc.staging.leases import Lease
from mapping_rules import Mapped, OutboundProgram

DEAD_LETTER_SCHEMA = {
    "stage": pl.String,
    "system": pl.String,
    "table_name": pl.String,
    "rule": pl.String,
    "key": pl.String,
    "entity": pl.String,
    "entity_key": pl.String,
    "raw": pl.String,
    "reason_code": pl.String,
    "reason": pl.String,
    "source_position": pl.Int64,
    "source_ordinal": pl.Int64,
}
"""Columns of the frame that `record` takes; key, entity_key and raw are json texts."""

_STORED_KEY = """
case when octet_length({0}::text) > 2400 then jsonb_build_object('key_bytes', octet_length({0}::text),
    'key_sha256', encode(sha256(convert_to({0}::text, 'UTF8')), 'hex')) else {0} end
"""
"""A key that no index holds is stored as its digest; the row itself is in `raw`."""

_RECORD = f"""
insert into staging.dead_letter as mine (stage, system, table_name, rule, key, entity, entity_key, raw,
    reason_code, reason, source_position, source_ordinal)
select distinct on (stage, system, rule, key::jsonb) stage, system, table_name, rule,
    {_STORED_KEY.format("key::jsonb")}, entity, entity_key::jsonb, raw::jsonb, reason_code, reason,
    source_position, source_ordinal
from jsonb_to_recordset(%s::jsonb) as refused(stage text, system text, table_name text, rule text,
    key text, entity text, entity_key text, raw text, reason_code text, reason text,
    source_position bigint, source_ordinal bigint)
order by stage, system, rule, key::jsonb, source_position desc, source_ordinal desc
on conflict (stage, system, rule, key) where resolved_at is null do update set
    entity_key = excluded.entity_key, raw = coalesce(excluded.raw, mine.raw),
    reason_code = excluded.reason_code, reason = excluded.reason,
    source_position = excluded.source_position, source_ordinal = excluded.source_ordinal,
    last_seen = now(), retries = mine.retries + 1
"""  # noqa: S608 - our own text
_ANY_WAITING = """
select bool_or(key ? 'key_sha256') from staging.dead_letter
where resolved_at is null and stage = 'map' and system = %s having count(*) > 0
"""
_SUPERSEDE = """
update staging.dead_letter waiting set resolved_at = now(), resolution = 'superseded'
from staging.change c
where waiting.resolved_at is null and waiting.stage = 'map' and waiting.system = %(system)s
    and c.system = waiting.system and c.schema_name || '.' || c.table_name = waiting.table_name
    and {same_key} and c.batch_id = %(batch_id)s
    and c.committed_at between %(oldest)s and %(newest)s
    and (c.source_position, c.source_ordinal) > (waiting.source_position, waiting.source_ordinal)
"""  # the commit times keep the search to the partitions of the batch
_BY_KEY = _SUPERSEDE.format(same_key="c.key = waiting.key")
_BY_DIGEST = _SUPERSEDE.format(
    same_key=f"waiting.key ? 'key_sha256' and {_STORED_KEY.format('c.key')} = waiting.key"
)
_SUPERSEDE_MOVED = """
-- rows that left the key they were rejected under
with moved as materialized (
    select c.schema_name || '.' || c.table_name as table_name, c.source_position, c.source_ordinal,
        (select jsonb_object_agg(name, c.before -> name) from jsonb_object_keys(c.key) name) as former, c.key
    from staging.change c
    where c.system = %(system)s and c.batch_id = %(batch_id)s and c.operation = 'u'
        and c.committed_at between %(oldest)s and %(newest)s
)
update staging.dead_letter waiting set resolved_at = now(), resolution = 'superseded'
from moved m
where m.former <> m.key and waiting.resolved_at is null and waiting.stage = 'map'
    and waiting.system = %(system)s and m.table_name = waiting.table_name and m.former = waiting.key
    and (m.source_position, m.source_ordinal) > (waiting.source_position, waiting.source_ordinal)
"""


@dataclass(frozen=True)
class DeadLetter:
    """One record; `resolved_at` is None while it waits."""

    dead_letter_id: int
    stage: str
    system: str
    table_name: str
    rule: str
    key: dict[str, Any]
    reason_code: str
    reason: str
    first_seen: datetime
    last_seen: datetime
    retries: int
    resolved_at: datetime | None
    resolution: str | None


class DeadLetters:
    """The records of one staging database. Each call is a transaction of its own unless one is open.

    Args:
        connection: to staging.
        lease: verified in every transaction that records or settles; None where the caller verifies it, or
            for a tool that runs alone.

    Raises (any call that writes):
        LeaseLost: another process is active; nothing was written.
    """

    def __init__(self, connection: Connection, lease: Lease | None = None) -> None:
        self._connection, self._lease = connection, lease

    def record(self, refused: pl.DataFrame) -> None:
        """Store rejected rows (DEAD_LETTER_SCHEMA); of several rows with one key the latest counts."""
        if refused.is_empty():
            return
        safe = storable_json(refused, ("key", "entity_key", "raw"))
        with postgres_errors("staging.dead_letter"), self._connection.transaction():
            self._verify()
            self._connection.execute(_RECORD, [safe.select(*DEAD_LETTER_SCHEMA).write_json()])

    def supersede(self, system: str, batch_id: int, oldest: datetime, newest: datetime) -> int:
        """Settle the records whose source row has a later change in that batch; returns how many.

        Part of the caller's transaction.
        """
        waiting = self._connection.execute(_ANY_WAITING, [system]).fetchone()
        if waiting is None:
            return 0
        parameters = {"system": system, "batch_id": batch_id, "oldest": oldest, "newest": newest}
        later = self._connection.execute(_BY_KEY, parameters).rowcount
        if waiting[0]:
            later += self._connection.execute(_BY_DIGEST, parameters).rowcount
        return later + self._connection.execute(_SUPERSEDE_MOVED, parameters).rowcount

    def waiting(
        self, *, system: str | None = None, stage: str | None = None, limit: int = 1000
    ) -> list[DeadLetter]:
        """Records not settled, oldest first."""
        statement = sql.SQL(
            "select {} from staging.dead_letter where resolved_at is null and system = coalesce(%s, system) "
            "and stage = coalesce(%s, stage) order by first_seen, dead_letter_id limit %s"
        ).format(sql.SQL(", ").join(map(sql.Identifier, DeadLetter.__dataclass_fields__)))
        with (
            postgres_errors("staging.dead_letter"),
            self._connection.transaction(),
            self._connection.cursor(row_factory=class_row(DeadLetter)) as cursor,
        ):
            return cursor.execute(statement, [system, stage, limit]).fetchall()

    def resolve(self, identifiers: Sequence[int], resolution: str) -> int:
        """Settle records by number; returns how many were waiting."""
        if not identifiers:
            return 0
        with postgres_errors("staging.dead_letter"), self._connection.transaction():
            self._verify()
            return self._connection.execute(
                "update staging.dead_letter set resolved_at = now(), resolution = %s "
                "where resolved_at is null and dead_letter_id = any(%s)",
                [resolution, list(identifiers)],
            ).rowcount

    def open_keys(self, sink: str) -> dict[str, pl.DataFrame]:
        """Keys that a sink holds, by rule: one text column for each key column of the target."""
        found: dict[str, list[dict[str, Any]]] = {}
        for _, rule, key, _ in self._held(sink):
            found.setdefault(rule, []).append(key)
        return {rule: pl.DataFrame(keys, infer_schema_length=None) for rule, keys in found.items()}

    def open_keys_with_reason(self, sink: str) -> dict[str, pl.DataFrame]:
        """As `open_keys`, those tried least recently first, each with its `_reason_code`."""
        found: dict[str, list[dict[str, Any]]] = {}
        for _, rule, key, code in self._held(sink):
            found.setdefault(rule, []).append({**key, "_reason_code": code})
        return {rule: pl.DataFrame(keys, infer_schema_length=None) for rule, keys in found.items()}

    def hold_deliveries(self, sink: str, held: pl.DataFrame) -> None:
        """Record what the target refused; `held` as in `settle_deliveries`."""
        self.record(_refused_deliveries(sink, held))

    def settle_deliveries(
        self, sink: str, desired: Iterable[tuple[OutboundProgram, pl.DataFrame]], held: pl.DataFrame
    ) -> None:
        """Settle what the target took; what it refused stays.

        Args:
            sink: name of the sink.
            desired: what it was asked to write, by program; target key columns as text.
            held: what it refused: program, target_table, key (json text), reason_code, reason.
        """
        refused = {(rule, _same_key(json.loads(key))) for rule, key in held.select("program", "key").rows()}
        waiting = self._held(sink)
        settled: list[int] = []
        for program, frame in desired:
            taken = [
                {"_number": number, **key}
                for number, rule, key, _ in waiting
                if rule == program.name and (rule, _same_key(key)) not in refused
            ]
            if taken and frame.height:
                keys = pl.DataFrame(taken, infer_schema_length=None).cast(
                    dict.fromkeys(program.key, pl.String)
                )
                delivered = frame.select(pl.col(program.key).cast(pl.String)).unique()
                settled += keys.join(delivered, on=list(program.key))["_number"].to_list()
        self.resolve(settled, "delivered")

    def _verify(self) -> None:
        if self._lease is not None:
            self._lease.verify(self._connection)

    def _held(self, sink: str) -> list[tuple[int, str, dict[str, Any], str]]:
        statement = (
            "select dead_letter_id, rule, key, reason_code from staging.dead_letter "
            "where resolved_at is null and stage = 'deliver' and system = %s "
            "order by last_seen, dead_letter_id"
        )
        with postgres_errors("staging.dead_letter"), self._connection.transaction():
            return self._connection.execute(statement, [sink]).fetchall()  # type: ignore[return-value]


def _same_key(key: dict[str, Any]) -> frozenset[tuple[str, Any]]:
    return frozenset(key.items())


def _refused_deliveries(sink: str, held: pl.DataFrame) -> pl.DataFrame:
    given = {
        "stage": pl.lit("deliver"),
        "system": pl.lit(sink),
        "table_name": pl.col("target_table"),
        "rule": pl.col("program"),
        "key": pl.col("key"),
        "reason_code": pl.col("reason_code"),
        "reason": pl.col("reason"),
    }
    return held.select(
        given.get(name, pl.lit(None)).cast(kind).alias(name) for name, kind in DEAD_LETTER_SCHEMA.items()
    )


def map_rejections(system: str, table: TableName, mapped: Mapped) -> pl.DataFrame:
    """What an inbound rule could not map, as DEAD_LETTER_SCHEMA."""
    given = {
        "stage": pl.lit("map"),
        "system": pl.lit(system),
        "table_name": pl.lit(str(table)),
        "rule": pl.lit(mapped.rule),
        "key": pl.col("source_key").fill_null("{}"),
        "entity": pl.lit(mapped.entity.name),
    }
    return mapped.rejected.select(
        given.get(name, pl.col(name)).cast(kind).alias(name) for name, kind in DEAD_LETTER_SCHEMA.items()
    )
