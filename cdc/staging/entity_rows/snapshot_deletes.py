"""Rows that no longer exist at the source though no change said so: tombstones after a snapshot.

A complete snapshot of a table at position P holds every row the table had; staged rows fed by it
and older than P that it did not bring are gone.
"""

from __future__ import annotations

from datetime import datetime

import psycopg
from psycopg import sql

from cdc.postgres.planning import again
from cdc.staging.entity_rows.merge import Merged
from cdc.staging.schema.entities import HISTORY
from cdc.staging.schema.tables import SCHEMA, TRAILING
from cdc.staging.staged_seq import reserve_numbers
from mapping_rules import Entity

_GONE = """
from {entity} s
where s.source_system = %(system)s and not s.tombstone
    and s.source_position < %(position)s
    and not exists (                     -- a rejected row is not gone: it could not be mapped
        select from staging.dead_letter w
        where w.resolved_at is null and w.stage = 'map' and w.system = %(system)s
            and w.entity = %(entity)s and {same_key}
    )
"""
_SWEEP = """
with gone as materialized (
    select s.*, %(base)s + row_number() over () - 1 as new_seq,
        greatest(s.committed_at, coalesce(%(at)s, now())) as gone_at
    {gone}
),
superseded as (
    insert into {history} ({columns}, {trailing}, superseded_seq, valid_from, valid_to)
    select {columns}, {trailing}, new_seq, committed_at, gone_at from gone
)
update {entity} mine set tombstone = true, operation = 'r', committed_at = gone.gone_at,
    source_position = %(position)s, source_ordinal = -1, staged_at = now(),
    rule_set_id = %(rule_set_id)s, staged_seq = gone.new_seq
from gone where {same_row}
"""


def sweep(
    cursor: psycopg.Cursor[tuple[object, ...]],
    entity: Entity,
    *,
    position: int,
    at: datetime | None,
    system: str,
    rule_set_id: int,
) -> Merged:
    """Give a tombstone to the staged rows of a system that are older than `position`.

    Args:
        cursor: in a transaction that holds the order lock.
        entity: fed by the tables whose snapshot is complete, and by no other.
        position: of the snapshot.
        at: when it was taken; now if None.
        system: whose rows.
        rule_set_id: goes onto the tombstones.

    Returns:
        How many rows are gone. Those whose source row waits as a dead letter are left alone.
    """
    same_key = sql.SQL(" and ").join(
        sql.SQL("w.entity_key ->> {} = s.{}::text").format(sql.Literal(name), sql.Identifier(name))
        for name in entity.key
    )
    names = {
        "entity": sql.Identifier(SCHEMA, entity.name),
        "history": sql.Identifier(SCHEMA, entity.name + HISTORY),
        "columns": sql.SQL(", ").join(map(sql.Identifier, entity.columns)),
        "trailing": sql.SQL(", ").join(map(sql.Identifier, TRAILING)),
        "same_row": sql.SQL(" and ").join(
            sql.SQL("mine.{0} = gone.{0}").format(sql.Identifier(name)) for name in entity.key
        ),
        "gone": sql.SQL(_GONE).format(entity=sql.Identifier(SCHEMA, entity.name), same_key=same_key),
    }
    parameters = {
        "system": system,
        "entity": entity.name,
        "rule_set_id": rule_set_id,
        "position": position,
        "at": at,
    }
    cursor.execute(again("hashjoin"))  # whole tables are compared here, not a batch
    cursor.execute(sql.SQL("select count(*) {gone}").format(gone=names["gone"]), parameters)
    count = int(str((cursor.fetchone() or (0,))[0]))
    if count == 0:
        return Merged(0, None)
    base = reserve_numbers(cursor, count)
    cursor.execute(sql.SQL(_SWEEP).format(**names), {**parameters, "base": base})
    return Merged(count, base + count - 1)
