"""How the rows of a captured table are selected: every column as the text of its value, without loss."""

from __future__ import annotations

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName

LARGE_ROWS = 20
"""Rows of one array of a table with LOBs: a LOB is fetched whole."""


def select_as_of(table: SourceTable) -> str:
    """The flashback query of a table, every column converted to text without loss."""
    columns = ", ".join(as_text(column) for column in table.columns)
    return f"select {columns} from {quoted(table.name)} as of scn :scn"  # noqa: S608 - quoted names


def quoted(table: TableName) -> str:
    """Owner and name as quoted identifiers."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in (table.schema, table.name))


def as_text(column: SourceColumn) -> str:
    """A column as the database converts it to text without loss; bytes of large ones stay bytes."""
    name = '"' + column.name.replace('"', '""') + '"'
    match column.type:
        case SourceType.NUMBER:
            return f"to_char({name})"
        case SourceType.TIMESTAMP if column.declared == "DATE":
            return f"to_char({name}, 'SYYYY-MM-DD HH24:MI:SS')"
        case SourceType.TIMESTAMP:
            return f"to_char({name}, 'SYYYY-MM-DD HH24:MI:SS.FF9')"
        case SourceType.TIMESTAMP_TZ:
            return f"to_char({name}, 'SYYYY-MM-DD HH24:MI:SS.FF9 TZH:TZM')"
        case SourceType.BINARY if column.large:
            return name
        case SourceType.BINARY:
            return f"rawtohex({name})"
        case SourceType.OTHER:
            return f"to_char({name})"
        case _:
            return name


def text_of_large(value: object) -> str | None:
    """A fetched value as text: bytes of a BLOB become hexadecimal."""
    return value.hex() if isinstance(value, bytes) else None if value is None else str(value)
