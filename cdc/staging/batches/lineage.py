"""The lines of source rows through a batch: which change knows which value. Pure functions, no database."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import polars as pl

from mapping_rules import Entity

Key = tuple[str | None, ...]
"""An entity key as texts."""
Place = tuple[int, int]
"""Position and ordinal of a change."""


@dataclass
class Line:
    """One source row through a batch.

    Args:
        root: key of the staged row that its first change builds on; None where staging does not have it.
        holders: for each column the number of the last row that knows it; None where a later row changed
            it and does not know it.
    """

    root: Key | None
    holders: dict[str, int | None] = field(default_factory=dict)


@dataclass
class Traced:
    """Where absent values come from, by row number.

    Args:
        fills: column -> rows and the row of the batch that knows the value.
        roots: rows whose columns come from the staged row with that key.
        missing: rows with a column that neither the batch nor staging has.
    """

    fills: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    roots: dict[int, tuple[Key, list[str]]] = field(default_factory=dict)
    missing: set[int] = field(default_factory=set)


def trace(entity: Entity, rows: pl.DataFrame, rejected: Iterable[tuple[Place, Key]] = ()) -> Traced:
    """Follow each source row through its changes.

    Args:
        entity: its key and columns.
        rows: as in `mapping_rules.Mapped.rows`, in stream order, a tombstone before the row of its change.
        rejected: places and entity keys of rejected changes: what they changed is not known behind them.
    """
    broken = sorted(rejected, key=lambda one: one[0], reverse=True)
    large = sorted(rows["absent"].explode().drop_nulls().unique())
    traced = Traced()
    lines: dict[Key, Line] = {}
    moving: dict[tuple[Key, Place], Line] = {}
    steps = rows.select(
        pl.concat_list(pl.col(entity.key).cast(pl.String)).alias("key"),
        "former",
        "absent",
        "reread",
        "tombstone",
        "source_position",
        "source_ordinal",
    )
    for number, (texts, former, absent, reread, tombstone, *at) in enumerate(steps.iter_rows()):
        key, place = tuple(texts), (at[0], at[1])
        while broken and broken[-1][0] <= place:
            lines[broken.pop()[1]] = Line(None)
        if tombstone:
            moving[key, place] = lines.get(key) or Line(key)
            lines[key] = Line(None)
            continue
        if former is not None:
            line = moving.get((tuple(former), place)) or Line(None)
        else:
            line = lines.get(key) or Line(key)
        lines[key] = line
        unknown = frozenset(absent or ())
        if reread:
            line.holders.update(dict.fromkeys(unknown))
        for name in unknown:
            holder = line.holders.get(name)
            if holder is not None:
                traced.fills.setdefault(name, []).append((number, holder))
            elif name not in line.holders and line.root is not None:
                traced.roots.setdefault(number, (line.root, []))[1].append(name)
            else:
                traced.missing.add(number)
        line.holders.update((name, number) for name in large if name not in unknown)
    return traced


def replaced_rows(entity: Entity, rows: pl.DataFrame, missing: Collection[int]) -> set[int]:
    """Rows with a missing value that are followed by the end of their key, or by a complete row."""
    replaced: set[int] = set()
    if not missing:
        return replaced
    followed: set[Key] = set()
    keys, tombstones = keys_of(entity, rows), rows["tombstone"].to_list()
    for number in range(rows.height - 1, min(missing) - 1, -1):
        if number not in missing or tombstones[number]:
            followed.add(keys[number])
        elif keys[number] in followed:
            replaced.add(number)
    return replaced


def keys_of(entity: Entity, rows: pl.DataFrame) -> list[Key]:
    """The entity key of each row."""
    return rows.select(pl.col(entity.key).cast(pl.String)).rows()
