"""Values of a row by the change log: of its last change, and of earlier ones where that one left them out.

An update leaves out of the log what it did not change, large values above all. Earlier changes of the row
have them, but a key is not a row: it may have been another row's before. So the search ends where the row
came to its key, by an insert, a read, or an update of the key; and behind a write of our own, which is in no
image.
"""

from __future__ import annotations

from collections.abc import Iterable

from cdc.changes import SourceColumn
from cdc.digests.definition import RowDigest
from cdc.digests.postgres import literal


def names_array(columns: Iterable[SourceColumn]) -> str:
    """The names of columns as an array."""
    return f"array[{', '.join(literal(column.name) for column in columns)}]::text[]"


def gave_up_a_key(definition: RowDigest, change: str) -> str:
    """Condition: a change of a row is one of its key, and has the former key in its image.

    Args:
        definition: of the table's digests.
        change: alias of a row of staging.change.
    """
    moved = " or ".join(
        f"{change}.before ->> {name} is distinct from {change}.key ->> {name}"
        for name in (literal(column.name) for column in definition.key)
    )
    return f"({change}.operation = 'u' and {change}.before ?& {names_array(definition.key)} and ({moved}))"


def value_of(definition: RowDigest, name: str) -> str:
    """A value as jsonb, null where it is not known.

    For a statement with the parameters `system`, `schema` and `table`.

    Args:
        definition: of the table's digests.
        name: expression for the name of the column, of `c`, the last change of `r`, a row of
            staging.source_row.
    """
    came, e_came = (gave_up_a_key(definition, change).replace("%", "%%") for change in "ce")
    return f"""case
    when c.after ? {name} then c.after -> {name}
    when c.before ? {name} then c.before -> {name}
    when c.operation = 'u' and not {came} then (
        select e.after -> {name} from staging.change e
        where e.system = %(system)s and e.schema_name = %(schema)s and e.table_name = %(table)s
            and e.key = c.key and e.operation in ('c', 'u', 'r')
            and (e.after ? {name} or e.operation <> 'u' or {e_came})
            and (e.source_position, e.source_ordinal) < (c.source_position, c.source_ordinal)
            and e.source_position > coalesce(r.own_position, -1)
        order by e.source_position desc, e.source_ordinal desc limit 1)
    end"""  # noqa: S608 - names are literals
