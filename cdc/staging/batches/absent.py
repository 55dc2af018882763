"""Values that a change does not hold: from where they can be taken, and where nobody knows them.

An update leaves a large column out of the log when it left it alone, so the value is that of the same
source row before. Within a batch a row is followed through its changes of key; where its line begins
with a row that staging holds, that row tells the value. Staging cannot tell it after a delete, while the
row was outside `where`, where it never had the row, or where a change of it was rejected: then the
source is asked, see `cdc.staging.batches.reread`. NULL is never put in place of a value that is not known.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.staging.batches.lineage import Key, Place, Traced, keys_of, replaced_rows, trace
from cdc.staging.schema.tables import SCHEMA
from mapping_rules import Entity

Cursor = psycopg.Cursor[tuple[object, ...]]
MAX_KEYS = 1_000_000
"""Keys remembered of the earlier slices of a transaction; beyond it every value is asked for."""

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
_ANY_LETTER = """
select from staging.dead_letter
where resolved_at is null and stage = 'map' and system = %(system)s and entity = %(entity)s limit 1
"""


class Earlier:
    """The keys of one entity in the earlier slices of a transaction, as hashes.

    Two keys with one hash cost a question to the source, no more.
    """

    def __init__(self) -> None:
        self._live, self._gone = set[int](), set[int]()

    def add(self, entity: Entity, rows: pl.DataFrame) -> None:
        """Note the keys of a slice."""
        for known, some in (
            (self._gone, rows.filter("tombstone")),
            (self._live, rows.filter(~pl.col("tombstone"))),
        ):
            if some.height and len(known) <= MAX_KEYS:
                known.update(map(hash, keys_of(entity, some)))

    def ended(self, key: Key) -> bool:
        """Did a row with that key end, as far as is remembered?"""
        return self._holds(self._gone, key)

    def changed(self, key: Key) -> bool:
        """Was there a row with that key?"""
        return self._holds(self._live, key)

    @staticmethod
    def _holds(known: set[int], key: Key) -> bool:
        return len(known) > MAX_KEYS or hash(key) in known


@dataclass
class AbsentValues:
    """Completes the rows of one system's batches; remembers what ended in a transaction's earlier slices.

    Args:
        system: whose changes are staged.
    """

    system: str
    _earlier: dict[str, Earlier] = field(default_factory=dict)

    def forget(self) -> None:
        """The transaction under way ended or was given up."""
        self._earlier.clear()

    def remember(self, entity: Entity, rows: pl.DataFrame) -> None:
        """Note the keys that a slice changed: staging shows their rows as before until the last slice."""
        self._earlier.setdefault(entity.name, Earlier()).add(entity, rows)

    def complete(
        self,
        cursor: Cursor,
        entity: Entity,
        rows: pl.DataFrame,
        rejected: Iterable[tuple[Place, str]],
        gone: Collection[Place],
    ) -> tuple[pl.DataFrame, dict[Place, bool]]:
        """Fill in what the batch and staging know.

        Args:
            cursor: to staging.
            entity: its key and columns.
            rows: as in `mapping_rules.Mapped.rows`, any order.
            rejected: places and entity keys, json texts, of the batch's rejected rows.
            gone: places of changes whose row the source does not have any more.

        Returns:
            The rows, without those that are gone and lack a value. A column that is still absent keeps the
            value of the staged row with the same key. And the places of the other changes with a value
            that nobody knows: true where the batch itself brings what takes the row's place, or its end.
        """
        if rows["absent"].null_count() == rows.height:
            return rows, {}
        rows = rows.sort("source_position", "source_ordinal", ~pl.col("tombstone"), maintain_order=True)
        traced = trace(entity, rows, [(place, _key_of(entity, text)) for place, text in rejected])
        self._leave_to_earlier(entity, rows, traced)
        rows = self._carry(cursor, entity, rows, traced)
        places = dict(zip(traced.missing, rows[list(traced.missing)].select(*_PLACE).rows(), strict=True))
        left_out = [number for number, place in places.items() if place in gone]
        replaced = replaced_rows(entity, rows, traced.missing)
        missing = {place: number in replaced for number, place in places.items() if place not in gone}
        if left_out:
            rows = rows.filter(~pl.int_range(pl.len()).is_in(left_out))
        return rows, missing

    def _leave_to_earlier(self, entity: Entity, rows: pl.DataFrame, traced: Traced) -> None:
        """Staged rows tell nothing that earlier slices of the transaction changed; merging knows the rest."""
        earlier = self._earlier.get(entity.name)
        if earlier is None or not traced.roots:
            return
        keys = keys_of(entity, rows)
        for number, (root, _) in list(traced.roots.items()):
            if earlier.ended(root) or (root != keys[number] and earlier.changed(root)):
                traced.missing.add(number)
                del traced.roots[number]

    def _carry(self, cursor: Cursor, entity: Entity, rows: pl.DataFrame, traced: Traced) -> pl.DataFrame:
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
        for number, found in self._staged(cursor, entity, rows, traced).items():
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

    def _staged(
        self, cursor: Cursor, entity: Entity, rows: pl.DataFrame, traced: Traced
    ) -> dict[int, dict[str, object] | None]:
        """For each row with a root the values to take over; none for a row that keeps its own key.

        None where staging has no such row, or one that may be older than the change.
        """
        if not traced.roots:
            return {}
        keys = keys_of(entity, rows)
        names = sorted({name for _, columns in traced.roots.values() for name in columns})
        asked = [
            {"n": number, "carried": root != keys[number], **dict(zip(entity.key, root, strict=True))}
            for number, (root, _) in traced.roots.items()
        ]
        parameters = {"roots": Jsonb(asked), "system": self.system, "entity": entity.name}
        has_letters = cursor.execute(_ANY_LETTER, parameters).fetchone() is not None
        cursor.execute(_roots_statement(entity, names, has_letters=has_letters), parameters)
        found: dict[int, dict[str, object] | None] = {}
        for number, usable, *columns in cursor.fetchall():
            place = int(str(number))
            root, wanted = traced.roots[place]
            told = dict(zip(names, columns, strict=True)) if root != keys[place] else {}
            found[place] = {name: told[name] for name in wanted if name in told} if usable else None
        return found


def _roots_statement(entity: Entity, names: Collection[str], *, has_letters: bool) -> sql.Composed:
    no_letter: sql.Composable = sql.SQL("")
    if has_letters:
        letter_key = sql.SQL(" and ").join(
            sql.SQL("w.entity_key ->> {} = s.{}::text").format(sql.Literal(name), sql.Identifier(name))
            for name in entity.key
        )
        no_letter = sql.SQL(_NO_LETTER).format(letter_key=letter_key)
    return sql.SQL(_ROOTS).format(
        no_letter=no_letter,
        values=sql.SQL(", ").join(
            sql.SQL("case when c.carried then s.{} end").format(sql.Identifier(name)) for name in names
        ),
        key_types=sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(entity.columns[name].type.sql))
            for name in entity.key
        ),
        entity=sql.Identifier(SCHEMA, entity.name),
        same_key=sql.SQL(" and ").join(
            sql.SQL("s.{0} = c.{0}").format(sql.Identifier(name)) for name in entity.key
        ),
    )


def _key_of(entity: Entity, text: str) -> Key:
    members = json.loads(text)
    return tuple(None if members.get(name) is None else str(members[name]) for name in entity.key)
