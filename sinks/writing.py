"""Statements that carry out what `sinks.comparison` decided, and report it.

Each works on a range of row numbers and touches only rows with its own decision.
"""

from __future__ import annotations

from psycopg import sql

from sinks import comparison
from sinks.layout import Layout, in_range, json_object, name_list, named
from sinks.target_tables import deactivated_column


def update(layout: Layout, differing: int) -> sql.Composed:
    """Write the columns that differ in any row of the range; the others are not named."""
    columns = comparison.written_columns(layout, differing)
    return sql.SQL("update {target} t set {sets} {decided} and {match}").format(
        target=layout.target,
        sets=sql.SQL(", ").join(sql.SQL("{0} = d.{0}").format(column) for column in columns),
        decided=_decided(layout, "from", comparison.UPDATE),
        match=layout.match,
    )


def insert(layout: Layout) -> sql.Composed:
    """Insert the missing rows in key order."""
    return sql.SQL("insert into {target} ({names}) select {values} {decided} order by {order}").format(
        target=layout.target,
        names=name_list(layout.all_columns),
        values=sql.SQL(", ").join(sql.SQL("d.{}").format(named(c)) for c in layout.all_columns),
        decided=_decided(layout, "from", comparison.INSERT),
        order=layout.key_order,
    )


def deactivate(layout: Layout) -> sql.Composed:
    """Set the flag of rows whose root is gone to false."""
    return sql.SQL("update {target} t set {flag} = false {decided} and {match}").format(
        target=layout.target,
        flag=sql.Identifier(deactivated_column(layout.program)),
        decided=_decided(layout, "from", comparison.DEACTIVATE),
        match=layout.match,
    )


def delete(layout: Layout) -> sql.Composed:
    """Delete rows whose root is gone."""
    return sql.SQL("delete from {target} t {decided} and {match}").format(
        target=layout.target, decided=_decided(layout, "using", comparison.DELETE), match=layout.match
    )


def _decided(layout: Layout, word: str, decision: str) -> sql.Composed:
    return sql.SQL(
        "{word} {decided} x join {typed} d on d.ctid = x.place where x.decision = {decision} and {in_range}"
    ).format(
        word=sql.SQL(word),
        typed=layout.typed,
        decided=layout.decided,
        decision=sql.Literal(decision),
        in_range=in_range("x"),
    )


def rows_decided(layout: Layout) -> sql.Composed:
    """Row numbers of a range with decision %(decision)s, in order."""
    return sql.SQL("select x._row from {} x where x.decision = %(decision)s and {} order by x._row").format(
        layout.decided, in_range("x")
    )


def forget(layout: Layout) -> sql.Composed:
    """Forget what was cast and decided for a range: it was refused, or is tried again."""
    return sql.SQL("with decided as (delete from {} d where {}) delete from {} d where {}").format(
        layout.decided, in_range("d"), layout.typed, in_range("d")
    )


def deliveries(layout: Layout) -> sql.Composed:
    """What was written in a range: key, decision, before, after, staged_seq."""
    return sql.SQL(
        "select {key}, x.decision, x.before, x.after, d._staged_seq from {decided} x "
        "join {typed} d on d.ctid = x.place where x.decision <> {missing} and {in_range} order by x._row"
    ).format(
        key=json_object("d", layout.key),
        decided=layout.decided,
        typed=layout.typed,
        missing=sql.Literal(comparison.MISSING),
        in_range=in_range("x"),
    )
