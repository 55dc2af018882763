"""One entity's versions into its table and history: a COPY and one statement, whatever the size.

The statement lays the versions of a batch beside the staged rows, drops what is older (a replayed
change does nothing), notices what changes nothing (a snapshot read again costs no history), puts
replaced versions into the history and the newest into the entity table. Rows are found again by
ctid, which is safe because one flow alone writes an entity and holds the order lock meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
import psycopg
from psycopg import sql

from cdc.postgres.copy import copy_frame
from cdc.staging.entity_rows.spool import Spool
from cdc.staging.entity_rows.versions import MERGE_SCHEMA
from cdc.staging.schema.entities import HISTORY
from cdc.staging.schema.tables import SCHEMA
from mapping_rules import Entity

Cursor = psycopg.Cursor[tuple[object, ...]]

TRAILING = (
    "source_system",
    "source_position",
    "source_ordinal",
    "operation",
    "committed_at",
    "staged_at",
    "rule_set_id",
    "staged_seq",
    "tombstone",
)

_TRUNCATE_FROM = 2_000
"""Rows loaded since the session's table was last truncated."""


@dataclass(frozen=True)
class Merged:
    """New versions of one entity; `staged_seq` is the greatest given, None if there are none."""

    rows: int
    staged_seq: int | None


FOLLOW_KEYS = "set enable_hashjoin = off; set enable_mergejoin = off"
"""For the session that merges: each key of a batch is looked up by the primary key, so a batch costs
the same however large the entity table is, and whatever the server knows of the temporary tables."""


class EntityMerge:
    """The statements of one entity on one session.

    Args:
        entity: its key and columns.
        system: source system whose changes are merged.
        rule_set_id: goes onto each new version.

    Attributes:
        keeps_ends: the end of a row that was never staged is kept too, for the row may still come as it
            was before.
        spool: versions that wait for the end of their transaction.
    """

    def __init__(self, entity: Entity, system: str, rule_set_id: int) -> None:
        self.entity = entity
        self._parameters = {"system": system, "rule_set_id": rule_set_id}
        self.keeps_ends = False
        self._incoming = sql.Identifier("pg_temp", f"incoming_{entity.name}")
        self.spool = Spool(entity)
        self._loaded = 0
        # rendered once: that takes longer than the server needs for a few rows
        self._merge = {
            (chained, few): self._statement(chained=chained, few=few).as_string()
            for chained in (False, True)
            for few in (False, True)
        }

    def prepare(self, cursor: Cursor) -> None:
        """Create the session's temporary tables again."""
        columns = {name: column.type.sql for name, column in self.entity.columns.items()} | MERGE_SCHEMA
        cursor.execute(sql.SQL("drop table if exists {}").format(self._incoming))
        cursor.execute(
            sql.SQL("create temporary table {} ({})").format(
                self._incoming,
                _list(sql.SQL("{} {}").format(_name(n), sql.SQL(t)) for n, t in columns.items()),
            )
        )
        self.spool.prepare(cursor)

    def load(self, cursor: Cursor, versions: pl.DataFrame) -> None:
        """Copy the versions of a batch into the session's table."""
        self._make_room(cursor, versions.height)
        copy_frame(cursor, self._incoming, versions)

    def load_spooled(self, cursor: Cursor, number: int) -> None:
        """Load one spooled slice."""
        self._make_room(cursor, _TRUNCATE_FROM)
        self.spool.unload(cursor, number, self._incoming)

    def rolled_back(self) -> None:
        """What the session's table holds is not known any more: it is emptied before the next load."""
        self._loaded = _TRUNCATE_FROM
        self.spool.rolled_back()

    def _make_room(self, cursor: Cursor, coming: int) -> None:
        """Empty the session's table if it holds many rows or will.

        Truncating makes new files, which is slow for a few rows; those are deleted as they are merged.
        """
        if self._loaded + coming >= _TRUNCATE_FROM:
            cursor.execute(sql.SQL("truncate {}").format(self._incoming))
            self._loaded = 0
        self._loaded += coming

    def merge(self, cursor: Cursor, *, base: int, chained: bool) -> Merged:
        """Merge what was loaded.

        Args:
            cursor: in a transaction that holds the order lock.
            base: first of as many reserved numbers as versions were loaded.
            chained: some key has more than one version.
        """
        few = self._loaded < _TRUNCATE_FROM
        cursor.execute(
            self._merge[chained, few], {**self._parameters, "base": base, "keeps_ends": self.keeps_ends}
        )
        rows, staged_seq = cursor.fetchone() or (0, None)
        return Merged(int(str(rows)), None if staged_seq is None else int(str(staged_seq)))

    def _statement(self, *, chained: bool, few: bool) -> sql.Composed:
        columns, key = list(self.entity.columns), list(self.entity.key)
        values = [name for name in columns if name not in key]
        return sql.SQL(_MERGE).format(
            incoming=self._incoming,
            emptied=sql.SQL("emptied as (delete from {}),").format(self._incoming) if few else sql.SQL(""),
            entity=sql.Identifier(SCHEMA, self.entity.name),
            history=sql.Identifier(SCHEMA, self.entity.name + HISTORY),
            same_key=sql.SQL(" and ").join(sql.SQL("s.{0} = m.{0}").format(_name(n)) for n in key),
            incoming_key=_list(sql.SQL("m.{}").format(_name(n)) for n in key),
            resolved=_list(
                sql.SQL("case when {} = any (m._absent) then s.{n} else m.{n} end as {n}").format(
                    sql.Literal(name), n=_name(name)
                )
                for name in values
            )
            if values
            else sql.SQL("null as _none"),
            old=_list(sql.SQL("s.{} as {}").format(_name(name), _old(name)) for name in [*values, *TRAILING]),
            new_values=_list(map(_name, [*values, "tombstone"])),
            old_values=_list(map(_old, [*values, "tombstone"])),
            skipped_before=sql.SQL("lag(unchanged) over (order by _row)" if chained else "false"),
            columns=_list(map(_name, columns)),
            trailing=_list(map(_name, TRAILING)),
            replaced=_list(_name(n) if n in key else _old(n) for n in [*columns, *TRAILING]),
            new_from_decided=_list(
                sql.SQL("{0} = decided.{0}").format(_name(name)) for name in [*values, "tombstone"]
            ),
        )


_MERGE = """
with {emptied}
compared as (                       -- each version that is newer than the staged row, beside it
    select m._row, m._last, m._next_committed_at, {incoming_key}, {resolved},
        m.source_position, m.source_ordinal, m.operation, m.tombstone,
        greatest(m.committed_at, s.committed_at) as committed_at,
        s.staged_seq is not null as known, s.ctid as _old_ctid, {old},
        m._prev_position is null
            or coalesce((m._prev_position, m._prev_ordinal) <= (s.source_position, s.source_ordinal), false)
            as first
    from {incoming} m left join {entity} s on {same_key}
    where s.staged_seq is null
        or (s.source_position, s.source_ordinal) < (m.source_position, m.source_ordinal)
),
looked_at as (                           -- equal to the staged row, or the end of a row never staged
    select *, first and case when known then ({new_values}) is not distinct from ({old_values})
        else tombstone and not %(keeps_ends)s end as unchanged
    from compared
),
decided as materialized (                -- which version takes the staged row's place
    select *, not unchanged and (first or {skipped_before}) as replaces
    from looked_at
),
superseded as (
    insert into {history} ({columns}, {trailing}, superseded_seq, valid_from, valid_to)
    select {replaced}, %(base)s + _row, _old_committed_at, committed_at
    from decided where replaces and known
    union all
    select {columns}, %(system)s, source_position, source_ordinal, operation, committed_at, now(),
        %(rule_set_id)s, %(base)s + _row, tombstone,
        %(base)s + _row + 1, committed_at, greatest(_next_committed_at, committed_at)
    from decided where not _last and not unchanged
),
added as (
    insert into {entity} ({columns}, {trailing})
    select {columns}, %(system)s, source_position, source_ordinal, operation, committed_at, now(),
        %(rule_set_id)s, %(base)s + _row, tombstone
    from decided where _last and not known and not unchanged
),
moved_on as (                            -- an unchanged row keeps all but its position
    update {entity} mine set {new_from_decided}, source_system = %(system)s,
        source_position = decided.source_position, source_ordinal = decided.source_ordinal,
        operation = case when unchanged then _old_operation else decided.operation end,
        committed_at = case when unchanged then _old_committed_at else decided.committed_at end,
        staged_at = case when unchanged then _old_staged_at else now() end,
        rule_set_id = case when unchanged then _old_rule_set_id else %(rule_set_id)s end,
        staged_seq = case when unchanged then _old_staged_seq else %(base)s + _row end
    from decided where mine.ctid = decided._old_ctid and _last and known
)
select count(*) filter (where not unchanged),
    max(%(base)s + _row) filter (where _last and not unchanged)
from decided
"""


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _old(name: str) -> sql.Identifier:
    return sql.Identifier(f"_old_{name}")


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
