"""Brings `staging.source_row` up to date with the change log.

While changes are staged nothing is written here: that would cost more than half of what staging them costs,
for rows that may change again before anybody compares them. A comparison refreshes first, and again before
judging. The rows are then exactly those after one batch; which one, and at which checkpoint, is in
`staging.source_row_state`.

Digests are computed by the staging server over the raw images. Where an update left a column out of the log,
its value is looked for in the row's earlier changes; where it is not found, and where the log no longer holds
the change at all, the digest is null: not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog
from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.changes import TableName
from cdc.digests.definition import RowDigest
from cdc.digests.postgres import digest_of_images, sort_key_of_images
from cdc.postgres.connect import Connection
from cdc.postgres.errors import postgres_errors
from cdc.staging.source_rows.images import gave_up_a_key, names_array, value_of

CHANGES_OF_A_PIECE = 200_000
"""Changes taken over in one transaction, about."""
ROWS_OF_A_PIECE = 50_000
"""Rows computed again in one transaction."""
MAX_KEY_BYTES = 2_400
"""A longer key fits no index; rules reject its row too."""

log = structlog.get_logger(__name__)

_DEFINE = """
insert into staging.digest_definition
    (system, schema_name, table_name, identity, algorithm, columns, left_out)
values (%(system)s, %(schema)s, %(table)s, %(identity)s, %(algorithm)s, %(columns)s, %(left_out)s)
on conflict (system, schema_name, table_name, identity) do update set identity = excluded.identity
returning definition_id
"""
_BEGIN = """
-- the table's state; its row is the lock
insert into staging.source_row_state as mine (system, schema_name, table_name, batch_id, position)
values (%(system)s, %(schema)s, %(table)s, 0, 0)
on conflict (system, schema_name, table_name) do update set refreshed_at = mine.refreshed_at
returning batch_id, position, definition_id, swept_position
"""
_GOAL = """
-- what one look at staging says: last batch, checkpoint, and what was read of the table
select coalesce((select max(batch_id) from staging.batch where system = %(system)s), 0), c.source_position,
    t.read_position
from staging.checkpoint c
left join staging.source_table t on t.system = c.system and t.schema_name = %(schema)s
    and t.table_name = %(table)s
where c.system = %(system)s
"""
_PIECE = """
-- the next batches with changes of the table, as many as make a piece
select min(batch_id) - 1, max(batch_id), max(to_position) from (
    select batch_id, to_position, div(sum(change_count) over (order by batch_id) - 1, %(changes)s) as piece
    from staging.batch
    where system = %(system)s and batch_id > %(after)s and batch_id <= %(goal)s and counts ? %(name)s) b
group by piece order by piece limit 1
"""
_TAKE = """
-- the last change of each key, beside what is known
with found as (
    select {key} as key, c.operation = 'd' as gone, {digest} as digest, c.source_position, c.source_ordinal,
        c.batch_id, null::bigint as own_position
    from staging.change c
    where {window} and c.key is not null and c.operation in ('c', 'u', 'r', 'd')
    union all                            -- the key that an update gave up
    select {former_key}, true, null, c.source_position, c.source_ordinal, c.batch_id, null
    from staging.change c
    where {window} and {key_moved}
    union all                            -- our own writes
    select o.key, o.gone, case when c.definition_identity = %(identity)s then o.digest end,
        o.position, o.ordinal, c.batch_id, o.position
    from staging.own_change c,
        unnest(c.keys, c.digests, c.gone, c.positions, c.ordinals) o (key, digest, gone, position, ordinal)
    where {window}
),
last as (
    select distinct on (key) key, gone, digest, source_position, source_ordinal, batch_id,
        max(own_position) over (partition by key) as own_position
    from found
    where key is not null and octet_length(key) <= %(max_key_bytes)s
        and (source_position, source_ordinal) > (%(emptied_position)s, %(emptied_ordinal)s)
    order by key, source_position desc, source_ordinal desc, gone
),
taken as (
    insert into staging.source_row as mine (system, schema_name, table_name, key, digest, definition_id,
        tombstone, source_position, source_ordinal, batch_id, own_position)
    select %(system)s, %(schema)s, %(table)s, key, case when not gone then digest end, %(definition_id)s,
        gone, source_position, source_ordinal, batch_id, own_position
    from last order by key
    on conflict (system, schema_name, table_name, key) do update set digest = excluded.digest,
        definition_id = excluded.definition_id, tombstone = excluded.tombstone,
        source_position = excluded.source_position, source_ordinal = excluded.source_ordinal,
        batch_id = excluded.batch_id, own_position = greatest(mine.own_position, excluded.own_position)
    where (mine.source_position, mine.source_ordinal) < (excluded.source_position, excluded.source_ordinal)
    returning key, digest is null and not tombstone as unknown
)
select array_agg(key) from taken where unknown
"""
_EMPTIED = """
select source_position, source_ordinal from staging.change c
where {window} and c.operation = 't' order by 1 desc, 2 desc limit 1
"""
_EMPTY = """
delete from staging.source_row
where {table} and (source_position, source_ordinal) < (%(emptied_position)s, %(emptied_ordinal)s)
"""
_COMPLETE = """
-- updates that left columns out of the log: their values are those of earlier changes of the row
with whole as (
    select r.key, c.after || (
        select coalesce(jsonb_object_agg(v.name, v.value), '{{}}')
        from (select n.name, {value} as value from unnest({names}) n (name)) v
        where v.value is not null) as image
    from staging.source_row r
    join staging.change c on c.system = r.system and c.source_position = r.source_position
        and c.source_ordinal = r.source_ordinal
    where r.system = %(system)s and r.schema_name = %(schema)s and r.table_name = %(table)s
        and r.key = any (%(keys)s) and not c.after ?& {names}
)
update staging.source_row r set digest = {whole_digest}
from whole
where r.system = %(system)s and r.schema_name = %(schema)s and r.table_name = %(table)s
    and r.key = whole.key and whole.image ?& {names}
"""
_REDEFINE = """
-- some rows with digests of an older definition: computed again from the change that brought them
with chosen as materialized (
    select r.key, r.source_position, r.source_ordinal from staging.source_row r
    where r.system = %(system)s and r.schema_name = %(schema)s and r.table_name = %(table)s
        and r.key > %(behind)s and r.definition_id <> %(definition_id)s
    order by r.key limit %(rows)s
),
changed as (
    update staging.source_row r set definition_id = %(definition_id)s, digest = (
        select {digest} from staging.change c
        where c.system = %(system)s and c.schema_name = %(schema)s and c.table_name = %(table)s
            and c.source_position = r.source_position and c.source_ordinal = r.source_ordinal
            and c.operation in ('c', 'u', 'r'))
    from chosen
    where r.system = %(system)s and r.schema_name = %(schema)s and r.table_name = %(table)s
        and r.key = chosen.key
    returning r.key, r.digest is null as unknown
)
select max(key), array_agg(key) filter (where unknown) from changed
"""
_SWEEP = "delete from staging.source_row where {table} and source_position < %(read_position)s"
_PURGE = """
delete from staging.source_row
where {table} and tombstone
    and not exists (select from staging.source_table where {table} and state = 'reading')
"""
_FORGET_OWN = """
-- who compares looks at recent ones
delete from staging.own_change
where {table} and batch_id <= %(batch_id)s and noted_at < now() - interval '1 hour'
"""
_MIXED = "update staging.source_row_state set definition_id = null where {table}"
_SAVE = """
update staging.source_row_state set batch_id = %(batch_id)s, position = %(position)s,
    definition_id = %(new_definition_id)s, swept_position = %(swept_position)s, refreshed_at = now()
where {table}
"""


@dataclass(frozen=True)
class Refreshed:
    """The rows of a table are those after batch `batch_id`, when the checkpoint was `position`."""

    batch_id: int
    position: int


def refresh(
    connection: Connection, system: str, definitions: Mapping[TableName, RowDigest]
) -> Mapping[TableName, Refreshed]:
    """Bring rows of a system up to date; each table on its own, in transactions of a bounded size.

    Two processes that refresh a table take turns. What was done of it stays if it is broken off.

    Args:
        connection: to staging, with no transaction open; not in autocommit.
        system: the source.
        definitions: of each table to refresh; those without a key are left out.

    Returns:
        How far the rows of each table are; nothing where the system was never staged.

    Raises:
        TransientError: staging is not reachable, or a lock was not to be had.
    """
    done: dict[TableName, Refreshed] = {}
    for name, definition in definitions.items():
        if definition.key:
            with postgres_errors(f"staging of {system}: {name}"):
                found = _Refresh(connection, system, definition).run()
            if found is not None:
                done[name] = found
    return done


class _Refresh:
    """One table's rows; `run` is called once."""

    def __init__(self, connection: Connection, system: str, definition: RowDigest) -> None:
        self._connection, self._definition = connection, definition
        name = definition.table
        self._parameters: dict[str, object] = {
            "system": system,
            "schema": name.schema,
            "table": name.name,
            "identity": definition.identity,
        }
        self._parts = _parts(definition)

    def run(self) -> Refreshed | None:
        """Take over everything up to the last batch there is now."""
        with self._connection.transaction():
            goal = self._row(_GOAL)
            if goal is None:
                return None
            self._parameters["definition_id"] = self._define()
        while (done := self._next(goal)) is None:
            pass
        return done

    def _next(self, goal: tuple[Any, ...]) -> Refreshed | None:
        """One transaction: a piece of the change log, or the end."""
        last, position, read_position = goal
        with self._connection.transaction():
            batch_id, stored_position, definition_id, swept = self._row(_BEGIN) or (0, 0, None, None)
            # an older definition's rows, if there are any, are computed again at the end
            is_ours = batch_id == 0 or definition_id == self._parameters["definition_id"]
            piece = self._row(_PIECE, after=batch_id, goal=last, changes=CHANGES_OF_A_PIECE, name=self._name)
            if piece is not None:
                low, high, piece_position = piece
                self._take(low, high)
                kept = self._parameters["definition_id"] if is_ours else None
                self._save(high, max(stored_position, piece_position), kept, swept)
                log.info("source_rows_refreshed", table=self._name, batch_id=high, to_batch_id=last)
                return None
            if not is_ours:
                self._execute(_MIXED)
        if not is_ours:
            self._redefine()
        with self._connection.transaction():
            batch_id, stored_position, _, swept = self._row(_BEGIN) or (0, 0, None, None)
            if batch_id <= last and read_position is not None and (swept is None or swept < read_position):
                self._execute(_SWEEP, read_position=read_position)
                swept = read_position
            self._execute(_PURGE)
            batch_id, position = max((batch_id, stored_position), (last, position))
            self._save(batch_id, position, self._parameters["definition_id"], swept)
        return Refreshed(batch_id, position)

    def _take(self, low: int, high: int) -> None:
        window = {"low": low, "high": high}
        position, ordinal = self._row(_EMPTIED, **window) or (-1, -1)
        emptied = {"emptied_position": position, "emptied_ordinal": ordinal}
        if position >= 0:
            self._execute(_EMPTY, **emptied)
        (unknown,) = self._row(_TAKE, **window, **emptied, max_key_bytes=MAX_KEY_BYTES) or (None,)
        self._complete(unknown)
        self._execute(_FORGET_OWN, batch_id=high)

    def _redefine(self) -> None:
        """Compute digests of an older definition again."""
        behind = ""
        while True:
            with self._connection.transaction():
                self._row(_BEGIN)
                last, unknown = self._row(_REDEFINE, behind=behind, rows=ROWS_OF_A_PIECE) or (None, None)
                self._complete(unknown)
            if last is None:
                break
            behind = last
        if behind:
            log.info("source_rows_redefined", table=self._name)

    def _complete(self, keys: list[str] | None) -> None:
        if keys:
            self._execute(_COMPLETE, keys=keys)

    def _define(self) -> int:
        definition = self._definition
        row = self._row(
            _DEFINE,
            algorithm=definition.algorithm.value,
            columns=Jsonb([column.name for column in definition.columns]),
            left_out=Jsonb(list(definition.left_out)),
        )
        return int(row[0]) if row else 0

    def _save(self, batch_id: int, position: int, definition_id: object, swept: object) -> None:
        self._execute(
            _SAVE, batch_id=batch_id, position=position, new_definition_id=definition_id, swept_position=swept
        )

    @property
    def _name(self) -> str:
        return str(self._definition.table)

    def _execute(self, statement: str, **more: object) -> psycopg.Cursor[tuple[Any, ...]]:
        query = sql.SQL(statement.format(**self._parts))
        return self._connection.execute(query, {**self._parameters, **more}, prepare=False)

    def _row(self, statement: str, **more: object) -> tuple[Any, ...] | None:
        return self._execute(statement, **more).fetchone()


def _parts(definition: RowDigest) -> dict[str, str]:
    """What the statements are made of; `%` doubled, as in any statement with parameters."""
    names = names_array(definition.columns)
    parts = {
        "names": names,
        "key": sort_key_of_images(definition, "c.key"),
        "former_key": sort_key_of_images(definition, "c.before"),
        "key_moved": gave_up_a_key(definition, "c"),
        "digest": f"case when c.after ?& {names} then {digest_of_images(definition, 'c.after')} end",
        "whole_digest": digest_of_images(definition, "whole.image"),
    }
    table = "system = %(system)s and schema_name = %(schema)s and table_name = %(table)s"
    window = (
        "c.system = %(system)s and c.schema_name = %(schema)s and c.table_name = %(table)s "
        "and c.batch_id > %(low)s and c.batch_id <= %(high)s"
    )
    return {name: text.replace("%", "%%") for name, text in parts.items()} | {
        "value": value_of(definition, "n.name"),
        "table": table,
        "window": window,
    }
