"""What to do with each desired row: one statement that compares under lock.

Rows that are already as desired are neither locked nor noted, so an echo costs one join and writes
nothing. Rows that differ are locked in key order; one that another session changed while we waited
is compared again in its new form, and its `before` image is what was really overwritten. A write that
goes round locked rows leaves them out, and `locked` names them.
"""

from __future__ import annotations

from psycopg import sql

from sinks.upsert.statements.layout import MAX_MASKED, Layout, differs, in_range, json_object, named
from sinks.upsert.statements.target_tables import deactivated_column

UPDATE, INSERT, MISSING = "update", "insert", "missing"
DEACTIVATE, DELETE = "deactivate", "delete"


def decide(layout: Layout, *, skip_locked: bool = False) -> sql.Composed:
    """Note what to do with the rows of a range; yields (decision, rows, mask of differing columns)."""
    wait = sql.SQL(" skip locked" if skip_locked else "")
    parts = [_missing(layout)]
    if layout.compared:
        parts.append(_differing(layout) + wait)
    if layout.program.on_delete == "deactivate":
        parts.append(_to_deactivate(layout) + wait)
    elif layout.program.on_delete == "delete":
        parts.append(_to_delete(layout) + wait)
    names = [sql.Identifier(f"part_{number}") for number in range(len(parts))]
    return sql.SQL(
        "with {parts}, noted as ("
        "insert into {decided} (_row, place, decision, differing, before, after) {all_parts} "
        "returning decision, differing) "
        "select decision, count(*), coalesce(bit_or(differing), 0) from noted group by decision"
    ).format(
        parts=sql.SQL(", ").join(
            sql.SQL("{} (_row, place, decision, differing, before, after) as ({})").format(name, part)
            for name, part in zip(names, parts, strict=True)
        ),
        decided=layout.decided,
        all_parts=sql.SQL(" union all ").join(sql.SQL("select * from {}").format(name) for name in names),
    )


def locked(layout: Layout) -> sql.Composed:
    """Rows of a range that differ and were not decided because another session has locked them."""
    conditions: list[sql.Composable] = []
    if layout.compared:
        conditions.append(sql.SQL("not d._deleted and ({})").format(_any_differs(layout)))
    if layout.program.on_delete == "deactivate":
        conditions.append(sql.SQL("d._deleted and {}").format(_is_active(layout)))
    elif layout.program.on_delete == "delete":
        conditions.append(sql.SQL("d._deleted"))
    if not conditions:
        conditions.append(sql.SQL("false"))
    return sql.SQL(
        "select d._row from {typed} d join {target} t on {match} where {in_range} and d._rejection is null "
        "and ({conditions}) and not exists (select from {decided} x where x._row = d._row)"
    ).format(
        typed=layout.typed,
        target=layout.target,
        match=layout.match,
        in_range=in_range("d"),
        conditions=sql.SQL(" or ").join(sql.SQL("({})").format(one) for one in conditions),
        decided=layout.decided,
    )


def _any_differs(layout: Layout) -> sql.Composed:
    return sql.SQL(" or ").join(map(differs, layout.compared))


def _is_active(layout: Layout) -> sql.Composed:
    flag = sql.Identifier("t", deactivated_column(layout.program))
    return sql.SQL("{} is distinct from false").format(flag)


def _differing(layout: Layout) -> sql.Composed:
    mask: sql.Composable = sql.SQL("0::bigint")
    if len(layout.compared) <= MAX_MASKED:
        mask = sql.SQL(" | ").join(
            sql.SQL("case when {} then {}::bigint else 0::bigint end").format(differs(c), sql.Literal(1 << i))
            for i, c in enumerate(layout.compared)
        )
    return sql.SQL(
        "select d._row, d.ctid, {decision}, {mask}, {before}, {after} "
        "from {typed} d join {target} t on {match} "
        "where {in_range} and d._rejection is null and not d._deleted and ({any_differs}) "
        "order by {order} for no key update of t"
    ).format(
        decision=_text(UPDATE),
        mask=mask,
        # what triggers make of the row is read back whole, so its former image is whole too
        before=json_object("t", layout.compared, only_differing=not layout.table.has_row_triggers),
        after=json_object("d", layout.compared, only_differing=True),
        typed=layout.typed,
        target=layout.target,
        match=layout.match,
        in_range=in_range("d"),
        any_differs=_any_differs(layout),
        order=layout.key_order,
    )


def _missing(layout: Layout) -> sql.Composed:
    return sql.SQL(
        "select d._row, d.ctid, {decision}, 0::bigint, null::text, {after} from {typed} d "
        "where {in_range} and d._rejection is null and not d._deleted "
        "and not exists (select from {target} t where {match})"
    ).format(
        decision=_text(MISSING if layout.program.update_only else INSERT),
        after=json_object("d", layout.all_columns),
        typed=layout.typed,
        in_range=in_range("d"),
        target=layout.target,
        match=layout.match,
    )


def _to_deactivate(layout: Layout) -> sql.Composed:
    name = deactivated_column(layout.program)
    flag = tuple(column for column in layout.columns if column.name == name)
    return sql.SQL(
        "select d._row, d.ctid, {decision}, 0::bigint, {before}, "
        "json_build_object({name}::text, false)::text "
        "from {typed} d join {target} t on {match} "
        "where {in_range} and d._rejection is null and d._deleted and {is_active} "
        "order by {order} for no key update of t"
    ).format(
        decision=_text(DEACTIVATE),
        before=json_object("t", flag),
        name=sql.Literal(name),
        is_active=_is_active(layout),
        typed=layout.typed,
        target=layout.target,
        match=layout.match,
        in_range=in_range("d"),
        order=layout.key_order,
    )


def _to_delete(layout: Layout) -> sql.Composed:
    return sql.SQL(
        "select d._row, d.ctid, {decision}, 0::bigint, {before}, null::text "
        "from {typed} d join {target} t on {match} "
        "where {in_range} and d._rejection is null and d._deleted order by {order} for update of t"
    ).format(
        decision=_text(DELETE),
        before=json_object("t", layout.all_columns),
        typed=layout.typed,
        target=layout.target,
        match=layout.match,
        in_range=in_range("d"),
        order=layout.key_order,
    )


def written_columns(layout: Layout, differing: int) -> list[sql.Identifier]:
    """The columns that the mask names."""
    everything = len(layout.compared) > MAX_MASKED
    return [named(c) for i, c in enumerate(layout.compared) if everything or differing >> i & 1]


def _text(decision: str) -> sql.Composed:
    return sql.SQL("{}::text").format(sql.Literal(decision))
