"""Statements that carry out what `sinks.upsert.statements.comparison` decided, and report it.

Each works on a range of row numbers and touches only rows with its own decision. A table whose
triggers may alter what we write is written by statements that read back what is there then: the
delivery shows what was stored, not what was asked for. Those yield one row: rows written, and rows of
them that were found again by their key. All that write the target do so under the application's search_path,
for its triggers' sake, and so name the schema of every function and operator.
"""

from __future__ import annotations

from psycopg import sql

from sinks.upsert.statements import comparison
from sinks.upsert.statements.layout import Layout, in_range, json_object, name_list, named
from sinks.upsert.statements.target_tables import deactivated_column


def update(layout: Layout, differing: int) -> sql.Composed:
    """Write the columns that differ in any row of the range; the others are not named."""
    columns = comparison.written_columns(layout, differing)
    statement = sql.SQL("update {target} t set {sets} {decided} and {match}").format(
        target=layout.target,
        sets=sql.SQL(", ").join(sql.SQL("{0} = d.{0}").format(column) for column in columns),
        decided=_decided(layout, "from", comparison.UPDATE),
        match=layout.match,
    )
    return _read_back(layout, statement, comparison.UPDATE, json_object("t", layout.compared))


def insert(layout: Layout) -> sql.Composed:
    """Insert the missing rows in key order."""
    statement = sql.SQL(
        "insert into {target} as t ({names}) {own_values}select {values} {decided} order by {order}"
    ).format(
        target=layout.target,
        names=name_list(layout.all_columns),
        own_values=sql.SQL("overriding system value " if any(c.always for c in layout.all_columns) else ""),
        values=sql.SQL(", ").join(sql.SQL("d.{}").format(named(c)) for c in layout.all_columns),
        decided=_decided(layout, "from", comparison.INSERT),
        order=layout.key_order,
    )
    return _read_back(layout, statement, comparison.INSERT, json_object("t", layout.all_columns))


def deactivate(layout: Layout) -> sql.Composed:
    """Set the flag of rows whose root is gone to false."""
    flag = deactivated_column(layout.program)
    statement = sql.SQL("update {target} t set {flag} = false {decided} and {match}").format(
        target=layout.target,
        flag=sql.Identifier(flag),
        decided=_decided(layout, "from", comparison.DEACTIVATE),
        match=layout.match,
    )
    stored = json_object("t", tuple(column for column in layout.columns if column.name == flag))
    return _read_back(layout, statement, comparison.DEACTIVATE, stored)


def delete(layout: Layout) -> sql.Composed:
    """Delete rows whose root is gone."""
    return sql.SQL("delete from {target} t {decided} and {match}").format(
        target=layout.target, decided=_decided(layout, "using", comparison.DELETE), match=layout.match
    )


def _read_back(layout: Layout, statement: sql.Composed, decision: str, stored: sql.Composed) -> sql.Composed:
    """The statement as it is, or with what is there afterwards put into `decided`.

    The rows are found again by their key, as RETURNING of an insert knows nothing of its source; a row
    whose key was altered is found by none and so counted.
    """
    if not layout.table.has_row_triggers:
        return statement
    return sql.SQL(
        "with written as ({statement} returning {key}, {stored} as _stored), "
        "noted as (update {decided} x set after = t._stored from written t join {typed} d on {match} "
        "where d.ctid operator(pg_catalog.=) x.place and x.decision operator(pg_catalog.=) {decision} "
        "and {in_range} returning 1) "
        "select (select pg_catalog.count(*) from written), (select pg_catalog.count(*) from noted)"
    ).format(
        statement=statement,
        key=sql.SQL(", ").join(sql.SQL("t.{}").format(named(c)) for c in layout.key),
        stored=stored,
        decided=layout.decided,
        typed=layout.typed,
        match=layout.match,
        decision=sql.Literal(decision),
        in_range=in_range("x"),
    )


def _decided(layout: Layout, word: str, decision: str) -> sql.Composed:
    return sql.SQL(
        "{word} {decided} x join {typed} d on d.ctid operator(pg_catalog.=) x.place "
        "where x.decision operator(pg_catalog.=) {decision} and {in_range}"
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
