"""Desired rows into the target's types, with what does not fit named by column.

A text longer than its column, a value that does not come back from its type as it went in, a NULL where
the target refuses it: such rows are found here by one statement, and are never cut or rounded. A text
that is not a value of the type makes the statement fail; `sinks.upsert.isolation` finds that row.
"""

from __future__ import annotations

from psycopg import sql

from sinks.upsert.statements.layout import Layout, in_range, name_list, named
from sinks.upsert.statements.rejections import NULL, ROUNDED, TOO_LONG
from sinks.upsert.statements.target_tables import TargetColumn


def create_tables(layout: Layout) -> sql.Composed:
    """Create the session's temporary tables.

    They keep the rows of earlier writes until there are some thousands: emptying them at every
    commit costs more than a small write does, and so few rows need no index. `place` is where the
    row lies in `typed`, the fastest way from a decision to its values.
    """
    trailer = sql.SQL("_row integer, _deleted boolean, _staged_seq bigint")
    as_text = sql.SQL(", ").join(sql.SQL("{} text").format(named(c)) for c in layout.all_columns)
    as_typed = sql.SQL(", ").join(
        sql.SQL("{} {}{}").format(
            named(c), sql.SQL(c.base), sql.SQL(f" collate {c.collation}" if c.collation else "")
        )
        for c in layout.all_columns
    )
    return sql.SQL(
        "create temp table {desired} ({as_text}, {trailer});"
        "create temp table {typed} ({as_typed}, {trailer}, _rejection text);"
        "create temp table {decided} (_row integer, place tid, decision text, differing bigint, before text,"
        " after text)"
    ).format(
        desired=layout.desired,
        typed=layout.typed,
        decided=layout.decided,
        as_text=as_text,
        as_typed=as_typed,
        trailer=trailer,
    )


def index_rows(layout: Layout) -> sql.Composed:
    """Index the row numbers: halves of many rows are tried, and each try would read all of them."""
    return sql.SQL("; ").join(
        sql.SQL("create index on {} (_row)").format(table)
        for table in (layout.desired, layout.typed, layout.decided)
    )


def drop_tables(layout: Layout) -> sql.Composed:
    """Drop the session's temporary tables."""
    return sql.SQL("drop table {}, {}, {}").format(layout.desired, layout.typed, layout.decided)


def empty_tables(layout: Layout) -> sql.Composed:
    """Empty the session's temporary tables."""
    return sql.SQL("truncate {}, {}, {}").format(layout.desired, layout.typed, layout.decided)


def cast_rows(layout: Layout) -> sql.Composed:
    """Cast the desired rows of a range; yields (row, rejection), where rejection is `code:column`."""
    if_kept = sql.SQL("case when not w._deleted then {} end")
    values = [layout.cast(c, c.base) for c in layout.key]
    values += [if_kept.format(layout.cast(c, c.base)) for c in layout.columns]
    whens = [when for c in layout.key for when in _rejected_when(layout, c, is_key=True)]
    whens += [when for c in layout.columns for when in _rejected_when(layout, c, is_key=False)]
    rejection = sql.SQL("case {} end").format(sql.SQL(" ").join(whens))
    return sql.SQL(
        "with cast_rows as ("
        "insert into {typed} ({names}, _row, _deleted, _staged_seq, _rejection) "
        "select {values}, w._row, w._deleted, w._staged_seq, {rejection} from {desired} w where {in_range} "
        "returning _row, _rejection) "
        "select _row, _rejection from cast_rows where _rejection is not null"
    ).format(
        typed=layout.typed,
        names=name_list(layout.all_columns),
        values=sql.SQL(", ").join(values),
        rejection=rejection,
        desired=layout.desired,
        in_range=in_range("w"),
    )


def _rejected_when(layout: Layout, column: TargetColumn, *, is_key: bool) -> list[sql.Composed]:
    value = sql.SQL("w.{}").format(named(column))
    found: list[tuple[str, sql.Composed]] = []
    if column.length is not None:
        # checked before the cast: casting to varchar(n) would cut without a word
        condition = sql.SQL("char_length({}) > {}").format(value, sql.Literal(column.length))
        found.append((TOO_LONG, condition))
    kept = layout.kept(column)
    if kept is not None:
        found.append((ROUNDED, sql.SQL("not ({})").format(kept)))
    if is_key and column in layout.loose and column.base == "uuid":
        # of its spellings only two are looked for, see sinks.upsert.rivals
        found.append((ROUNDED, sql.SQL("{0} not in (lower({0}), upper({0}))").format(value)))
    if is_key and column.base == "bpchar":
        found.append((ROUNDED, sql.SQL("{0} <> rtrim({0}, ' ')").format(value)))
    if is_key and column.base == "bytea":
        found.append((ROUNDED, sql.SQL("{0} <> lower({0})").format(value)))
    if column.not_null or is_key:
        found.append((NULL, sql.SQL("{} is null").format(value)))
    guard = sql.SQL("" if is_key else "not w._deleted and ")
    return [
        sql.SQL("when {}{} then {}").format(guard, condition, sql.Literal(f"{code}:{column.name}"))
        for code, condition in found
    ]


def cast_one(layout: Layout, column: TargetColumn) -> sql.Composed:
    """Cast one column of row %(row)s to its declared type: fails if that column is the culprit."""
    return sql.SQL("select {} from {} w where w._row = %(row)s").format(
        layout.cast(column, column.declared), layout.desired
    )


def leave_out(layout: Layout) -> sql.Composed:
    """Take the rows in %(rows)s out of a write."""
    return sql.SQL("delete from {} w where w._row = any(%(rows)s)").format(layout.desired)
