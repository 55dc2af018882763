"""Values that a change does not hold: from where they can be taken, and where nobody knows them.

An update leaves a large column out of the log when it left it alone, so the value is that of the same
source row before. Within a batch a row is followed through its changes of key; where its line begins
with a row that staging holds, that row tells the value. Staging cannot tell it after a delete, while the
row was outside `where`, where it never had the row, or where a change of it was rejected: then the
source is asked, see `cdc.staging.reread`. NULL is never put in place of a value that is not known.

Read before: `mapping_rules.Mapped`. Read next: `cdc.staging.versions`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.staging.tables import SCHEMA
from mapping_rules import Entity

Cursor = psycopg.Cursor[tuple[object, ...]]
Key = tuple[str | None, ...]
"""An entity key as texts."""
Place = tuple[int, int]
"""Position and ordinal of a change."""

MAX_ENDED = 1_000_000
"""Keys remembered of the earlier slices of a transaction; beyond it every value is asked for."""

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


@dataclass
class Line:
    """One source row through a batch.

    Args:
        root: key of the staged row that its first change builds on; None where staging cannot tell.
        holders: for each column the number of the last row that knows it.
    """

    root: Key | None
    holders: dict[str, int] = field(default_factory=dict)


@dataclass
class Traced:
    """Where absent values come from, by row number.

    Args:
        fills: column -> rows and the row of the batch that knows the value.
        roots: rows whose columns come from the staged row with that key.
        missing: rows with a column that neither the batch nor staging can tell.
    """

    fills: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    roots: dict[int, tuple[Key, list[str]]] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)


def trace(entity: Entity, rows: pl.DataFrame) -> Traced:
    """Follow each source row through its changes.

    Args:
        entity: its key and columns.
        rows: as in `mapping_rules.Mapped.rows`, in stream order, a tombstone before the row of its change.
    """
    large = sorted(rows["absent"].explode().drop_nulls().unique())
    traced = Traced()
    lines: dict[Key, Line] = {}
    moving: dict[tuple[Key, Place], Line] = {}
    told = rows.select(
        pl.concat_list(pl.col(entity.key).cast(pl.String)).alias("key"),
        "former", "absent", "reread", "tombstone", "source_position", "source_ordinal",
    )  # fmt: skip
    for number, (texts, former, absent, reread, tombstone, *at) in enumerate(told.iter_rows()):
        key, place = tuple(texts), (at[0], at[1])
        if tombstone:
            moving[key, place] = lines.get(key) or Line(key)
            lines[key] = Line(None)
            continue
        if former is not None:
            line = moving.get((tuple(former), place)) or Line(None)
        else:
            line = lines.get(key) or Line(key)
        lines[key] = line
        lacking = frozenset(absent or ())
        for name in lacking:
            holder = line.holders.get(name)
            if reread or (holder is None and line.root is None):
                traced.missing.add(number)
            elif holder is not None:
                traced.fills.setdefault(name, []).append((number, holder))
            elif line.root is not None:
                traced.roots.setdefault(number, (line.root, []))[1].append(name)
        line.holders.update((name, number) for name in large if name not in lacking)
    return traced


@dataclass
class AbsentValues:
    """Completes the rows of one system's batches; remembers what ended in a transaction's earlier slices.

    Args:
        system: whose changes are staged.
    """

    system: str
    _ended: dict[str, set[int]] = field(default_factory=dict)

    def forget(self) -> None:
        """The transaction under way ended or was given up."""
        self._ended.clear()

    def remember(self, entity: Entity, rows: pl.DataFrame) -> None:
        """Note the keys that ended in a slice: staging still shows their rows until the last slice."""
        gone = rows.filter("tombstone")
        ended = self._ended.setdefault(entity.name, set())
        if gone.height and len(ended) <= MAX_ENDED:
            ended |= {hash(key) for key in _keys(entity, gone)}

    def complete(
        self, cursor: Cursor, entity: Entity, rows: pl.DataFrame, refused: Iterable[str]
    ) -> tuple[pl.DataFrame, set[Place]]:
        """Fill in what the batch and staging know.

        Args:
            cursor: to staging.
            entity: its key and columns.
            rows: as in `mapping_rules.Mapped.rows`, any order.
            refused: entity keys, json texts, of the batch's rejected rows.

        Returns:
            The rows. A column that is still absent keeps the value of the staged row with the same key.
            The places of changes with a value that nobody knows.
        """
        if rows["absent"].null_count() == rows.height:
            return rows, set()
        rows = rows.sort("source_position", "source_ordinal", ~pl.col("tombstone"), maintain_order=True)
        traced = trace(entity, rows)
        doubtful = {_key_of(entity, text) for text in refused}
        ended = self._ended.get(entity.name, set())
        for number, (root, _) in list(traced.roots.items()):
            if root in doubtful or hash(root) in ended or len(ended) > MAX_ENDED:
                traced.missing.add(number)
                del traced.roots[number]
        rows = self._carry(cursor, entity, rows, traced)
        missing = rows[sorted(traced.missing)].select("source_position", "source_ordinal").rows()
        return rows, {(position, ordinal) for position, ordinal in missing}

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
        keys = _keys(entity, rows)
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


def _keys(entity: Entity, rows: pl.DataFrame) -> list[Key]:
    return rows.select(pl.col(entity.key).cast(pl.String)).rows()


def _key_of(entity: Entity, text: str) -> Key:
    members = json.loads(text)
    return tuple(None if members.get(name) is None else str(members[name]) for name in entity.key)
