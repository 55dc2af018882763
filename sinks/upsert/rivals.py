"""Keys that are several for staging and one for the target: `Abc` and `abc` in a citext column.

Only the target can tell which keys are equal, so they are compared there, in the column's type and
collation. Within a write one statement finds them. A rival that is not part of the write matters where a
row is to be deleted, and where the target has it in another spelling: then staging is asked for live rows
that may be meant, and the target which of them are. A row is gone only if no live row has its key; of two
live rows neither may overwrite the other.

Tables whose keys have one text for each value (text, integer, date ...) know nothing of all this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import polars as pl
from psycopg import sql

from cdc.ports import Live
from cdc.postgres.connect import Connection
from sinks.upsert.statements.layout import Layout, in_range, named, same_key
from sinks.upsert.statements.rejections import DOUBLED
from sinks.upsert.statements.target_tables import TargetColumn

TAKEN = "taken"
"""Code of a row that is gone while another one has its key: there is nothing to do for it."""


def likeness(column: TargetColumn) -> str:
    """How texts may differ and still be one value of a loose key column."""
    if not column.deterministic:
        return "any"
    return {"uuid": "spelling", "numeric": "number"}.get(column.base, "case")


def within(layout: Layout) -> sql.Composed:
    """Mark rows of a range that share a key as rejected; yields (row, code).

    Of live rows none may win; a row that is gone gives way to a live one, and to another one that is gone.
    """
    return sql.SQL(
        "with same as (select d._row, d._deleted, "
        "count(*) filter (where not d._deleted) over own as live, "
        "row_number() over (partition by {key} order by d._deleted, d._row) as number "
        "from {typed} d where {in_range} and d._rejection is null window own as (partition by {key})) "
        "update {typed} d set _rejection = case when d._deleted then {taken} else {doubled} end "
        "from same s where s._row = d._row "
        "and case when d._deleted then s.number > 1 else s.live > 1 end returning d._row, d._rejection"
    ).format(
        key=sql.SQL(", ").join(sql.SQL("d.{}").format(named(c)) for c in layout.key),
        typed=layout.typed,
        in_range=in_range("d"),
        taken=sql.Literal(f"{TAKEN}:"),
        doubled=sql.Literal(f"{DOUBLED}:"),
    )


def outside(
    connection: Connection, layout: Layout, live: Live, limits: Mapping[str, object]
) -> list[tuple[object, ...]]:
    """Mark rows of a range as rejected whose key another live row of staging has; (row, code) of each."""
    contested = connection.execute(_contested(layout), limits).fetchall()
    if not contested:
        return []
    names = [column.name for column in layout.key]
    keys = pl.DataFrame(
        [[str(part) for part in row] for row in contested],
        schema=dict.fromkeys(names, pl.String),
        orient="row",
    ).unique()
    found = live(layout.program, keys, {column.name: likeness(column) for column in layout.loose})
    if found.is_empty():
        return []
    rivals = json.dumps(found.select(names).rows(named=True), ensure_ascii=False)
    return connection.execute(_rivalled(layout), {**limits, "rivals": rivals}).fetchall()


def _contested(layout: Layout) -> sql.Composed:
    """Keys as staging spells them, of rows that are gone or that the target has in another spelling.

    A uuid has one spelling in the target, so of those every row is asked for.
    """
    differs = [
        sql.SQL('t.{0}::text collate "C" is distinct from w.{0}').format(named(column))
        for column in layout.loose
        if column.base != "uuid"
    ]
    every = any(column.base == "uuid" for column in layout.loose)
    return sql.SQL(
        "select {names} from {typed} d join {desired} w on w._row = d._row {target} "
        "where {in_range} and d._rejection is null{differs}"
    ).format(
        names=sql.SQL(", ").join(sql.SQL("w.{}").format(named(c)) for c in layout.key),
        typed=layout.typed,
        desired=layout.desired,
        target=sql.SQL("" if every else "join {} t on {}").format(
            *([] if every else [layout.target, layout.match])
        ),
        in_range=in_range("d"),
        differs=sql.SQL("" if every else " and (d._deleted or {})").format(
            *([] if every else [sql.SQL(" or ").join(differs)])
        ),
    )


def _rivalled(layout: Layout) -> sql.Composed:
    """Rows of a range whose key a rival in %(rivals)s has in another spelling, marked as rejected."""
    as_typed = sql.SQL(", ").join(
        sql.SQL("(r ->> {})::{}{} as {}").format(
            sql.Literal(column.name),
            sql.SQL(column.base),
            sql.SQL(f" collate {column.collation}" if column.collation else ""),
            named(column),
        )
        for column in layout.key
    )
    other = sql.SQL(" or ").join(
        sql.SQL("r.rival ->> {} <> w.{}").format(sql.Literal(column.name), named(column))
        for column in layout.key
    )
    return sql.SQL(
        "update {typed} d set _rejection = case when d._deleted then {taken} else {doubled} end "
        "from {desired} w, (select r as rival, {as_typed} from jsonb_array_elements(%(rivals)s::jsonb) r) r "
        "where w._row = d._row and {in_range} and d._rejection is null and {match} and ({other}) "
        "returning d._row, d._rejection"
    ).format(
        typed=layout.typed,
        taken=sql.Literal(f"{TAKEN}:"),
        doubled=sql.Literal(f"{DOUBLED}:"),
        desired=layout.desired,
        as_typed=as_typed,
        in_range=in_range("d"),
        match=same_key(layout.key, "r", "d"),
        other=other,
    )
