"""Values that a change does not hold: from where they can be taken, and which are unknown.

An update leaves a large column out of the log when it left it alone, so the value is that of the same
source row before. Within a batch a row is followed through its changes of key; where its line begins
with a row that staging holds, or that an earlier slice of its transaction made, that row tells the value. It
cannot tell it after a delete, while the row was outside `where`, where staging never had the row, or where a
change of it was rejected: then the source is asked, see `cdc.staging.batches.reread`. NULL is never put in
place of a value that is not known.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.staging.batches.lineage import Key, Place, Traced, keys_of, replaced_rows, trace
from cdc.staging.entity_rows.spool import Spool, Version
from cdc.staging.schema.tables import SCHEMA
from mapping_rules import Entity

Cursor = psycopg.Cursor[tuple[object, ...]]
_PLACE = ("source_position", "source_ordinal")

_ROOTS = """
-- the staged rows that lines begin with, and whether their values may be taken
select c.n, s.staged_seq is not null and not s.tombstone {no_letter}, {values}
from jsonb_to_recordset(%(roots)s) as c (n bigint, carried boolean, {key_types})
left join {entity} s on {same_key}
"""
_NO_LETTER = """
and not exists (
    select from staging.dead_letter w where w.resolved_at is null and w.stage = 'map'
        and w.system = %(system)s and w.entity = %(entity)s and {letter_key})
"""
_REJECTED_LATER = """
select c.n from jsonb_to_recordset(%(versions)s) as c (n bigint, position bigint, ordinal bigint, {key_types})
where exists (
    select from staging.dead_letter w where w.resolved_at is null and w.stage = 'map'
        and w.system = %(system)s and w.entity = %(entity)s and {letter_key}
        and (w.source_position, w.source_ordinal) > (c.position, c.ordinal))
"""
_ANY_LETTER = """
select from staging.dead_letter
where resolved_at is null and stage = 'map' and system = %(system)s and entity = %(entity)s limit 1
"""

Known = dict[int, dict[str, object] | None]
"""By number of a row the values that were found for it; None where its former state is not known."""


@dataclass(frozen=True)
class AbsentValues:
    """Completes the rows of one system's batches.

    Args:
        system: whose changes are staged.
    """

    system: str

    def complete(
        self,
        cursor: Cursor,
        spool: Spool,
        rows: pl.DataFrame,
        rejected: Iterable[tuple[Place, str]],
        gone: Collection[Place],
    ) -> tuple[pl.DataFrame, dict[Place, bool]]:
        """Fill in what the batch, earlier slices of its transaction and staging know.

        Args:
            cursor: to staging.
            spool: of the entity, with the earlier slices.
            rows: as in `mapping_rules.Mapped.rows`, any order.
            rejected: places and entity keys, json texts, of the batch's rejected rows.
            gone: places of changes whose row the source does not have any more.

        Returns:
            The rows, without those that are gone and lack a value. A column that is still absent keeps the
            value of the staged row with the same key. And the places of the other changes with a value
            that are unknown: true where the batch itself brings what takes the row's place, or its end.
        """
        if rows["absent"].null_count() == rows.height:
            return rows, {}
        entity = spool.entity
        rows = rows.sort("source_position", "source_ordinal", ~pl.col("tombstone"), maintain_order=True)
        traced = trace(entity, rows, [(place, _key_of(entity, text)) for place, text in rejected])
        rows = self._carry(cursor, spool, rows, traced)
        places = dict(zip(traced.missing, rows[list(traced.missing)].select(*_PLACE).rows(), strict=True))
        left_out = [number for number, place in places.items() if place in gone]
        replaced = replaced_rows(entity, rows, traced.missing)
        missing = {place: number in replaced for number, place in places.items() if place not in gone}
        if left_out:
            rows = rows.filter(~pl.int_range(pl.len()).is_in(left_out))
        return rows, missing

    def _carry(self, cursor: Cursor, spool: Spool, rows: pl.DataFrame, traced: Traced) -> pl.DataFrame:
        absent: list[list[str] | None] = rows["absent"].to_list()
        values: dict[str, list[object]] = {}

        def put(number: int, name: str, value: object) -> None:
            values.setdefault(name, rows[name].to_list())[number] = value
            rest = [one for one in absent[number] or () if one != name]
            absent[number] = rest or None

        for name, pairs in traced.fills.items():
            known = values.setdefault(name, rows[name].to_list())
            for number, holder in pairs:
                put(number, name, known[holder])
        for ask in (self._spooled, self._staged):
            for number, found in ask(cursor, spool, rows, traced).items():
                if found is None:
                    traced.missing.add(number)
                    continue
                for name, value in found.items():
                    put(number, name, value)
        if not values:
            return rows
        return rows.with_columns(
            *(pl.Series(name, column, dtype=rows.schema[name]) for name, column in values.items()),
            pl.Series("absent", absent, dtype=rows.schema["absent"]),
        )

    def _spooled(self, cursor: Cursor, spool: Spool, rows: pl.DataFrame, traced: Traced) -> Known:
        """For each row with a root that an earlier slice changed the values that are known there.

        None where that row ended, or a later change of it was rejected. A column that no slice holds is left
        to the staged row; what a slice takes over from another it holds itself, so the newest tells.
        """
        if spool.is_empty or not traced.roots:
            return {}
        roots = list({root for root, _ in traced.roots.values()})
        names_asked = {name for _, columns in traced.roots.values() for name in columns}
        newest = {
            roots[number]: version for number, version in spool.newest(cursor, roots, names_asked).items()
        }
        unsure = self._rejected_later(cursor, spool.entity, newest)
        found: Known = {}
        for number, (root, columns) in list(traced.roots.items()):
            version = newest.get(root)
            if version is None:
                continue
            if version.tombstone or root in unsure:
                found[number] = None
            else:
                found[number] = {name: version.known[name] for name in columns if name in version.known}
            left = [] if found[number] is None else [name for name in columns if name not in version.known]
            if left:
                traced.roots[number] = root, left
            else:
                del traced.roots[number]
        return found

    def _rejected_later(self, cursor: Cursor, entity: Entity, newest: Mapping[Key, Version]) -> set[Key]:
        """Those of the spooled rows that a later change was rejected of."""
        parameters = self._parameters(entity)
        if not newest or cursor.execute(_ANY_LETTER, parameters).fetchone() is None:
            return set()
        keys = list(newest)
        asked = [
            {"n": n, "position": newest[key].place[0], "ordinal": newest[key].place[1], **_named(entity, key)}
            for n, key in enumerate(keys)
        ]
        statement = sql.SQL(_REJECTED_LATER).format(
            key_types=_key_types(entity), letter_key=_letter_key(entity, sql.SQL("c"))
        )
        return {
            keys[int(str(n))] for (n,) in cursor.execute(statement, {**parameters, "versions": Jsonb(asked)})
        }

    def _staged(self, cursor: Cursor, spool: Spool, rows: pl.DataFrame, traced: Traced) -> Known:
        """For each row with a root the values to take over; none for a row that keeps its own key.

        None where staging has no such row, or one that may be older than the change.
        """
        if not traced.roots:
            return {}
        entity = spool.entity
        keys = keys_of(entity, rows)
        names = sorted({name for _, columns in traced.roots.values() for name in columns})
        asked = [
            {"n": number, "carried": root != keys[number], **_named(entity, root)}
            for number, (root, _) in traced.roots.items()
        ]
        parameters = {"roots": Jsonb(asked), **self._parameters(entity)}
        has_letters = cursor.execute(_ANY_LETTER, parameters).fetchone() is not None
        cursor.execute(_roots_statement(entity, names, has_letters=has_letters), parameters)
        found: Known = {}
        for number, usable, *columns in cursor.fetchall():
            place = int(str(number))
            root, columns_of_root = traced.roots[place]
            staged = dict(zip(names, columns, strict=True)) if root != keys[place] else {}
            found[place] = (
                {name: staged[name] for name in columns_of_root if name in staged} if usable else None
            )
        return found

    def _parameters(self, entity: Entity) -> dict[str, object]:
        return {"system": self.system, "entity": entity.name}


def _roots_statement(entity: Entity, names: Collection[str], *, has_letters: bool) -> sql.Composed:
    no_letter: sql.Composable = sql.SQL("")
    if has_letters:
        no_letter = sql.SQL(_NO_LETTER).format(letter_key=_letter_key(entity, sql.SQL("s")))
    return sql.SQL(_ROOTS).format(
        no_letter=no_letter,
        values=sql.SQL(", ").join(
            sql.SQL("case when c.carried then s.{} end").format(sql.Identifier(name)) for name in names
        ),
        key_types=_key_types(entity),
        entity=sql.Identifier(SCHEMA, entity.name),
        same_key=sql.SQL(" and ").join(
            sql.SQL("s.{0} = c.{0}").format(sql.Identifier(name)) for name in entity.key
        ),
    )


def _letter_key(entity: Entity, rows: sql.SQL) -> sql.Composed:
    return sql.SQL(" and ").join(
        sql.SQL("w.entity_key ->> {} = {}.{}::text").format(sql.Literal(name), rows, sql.Identifier(name))
        for name in entity.key
    )


def _key_types(entity: Entity) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(entity.columns[name].type.sql))
        for name in entity.key
    )


def _named(entity: Entity, key: Key) -> dict[str, str | None]:
    return dict(zip(entity.key, key, strict=True))


def _key_of(entity: Entity, text: str) -> Key:
    members = json.loads(text)
    return tuple(None if members.get(name) is None else str(members[name]) for name in entity.key)
