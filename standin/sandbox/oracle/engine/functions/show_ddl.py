"""CREATE TABLE text of a table, as DBMS_METADATA gives it, without storage clauses."""

from __future__ import annotations

from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import DbType


def type_text(kind: SqlType) -> str:
    """A type as DDL writes it."""
    if kind.opaque:
        return kind.opaque
    if kind.base in (DbType.VARCHAR2, DbType.CHAR):
        return f"{kind.base.name}({kind.chars} CHAR)"
    if kind.base is DbType.NUMBER:
        if not kind.precision:
            return "NUMBER"
        if kind.scale == -127:
            return f"FLOAT({kind.precision})"
        return f"NUMBER({kind.precision},{kind.scale})"
    if kind.base is DbType.RAW:
        return f"RAW({kind.size})"
    return _NAMES.get(kind.base, kind.base.name).format(precision=kind.precision, scale=kind.scale)


_NAMES = {
    DbType.TIMESTAMP: "TIMESTAMP ({scale})",
    DbType.TIMESTAMP_TZ: "TIMESTAMP ({scale}) WITH TIME ZONE",
    DbType.TIMESTAMP_LTZ: "TIMESTAMP ({scale}) WITH LOCAL TIME ZONE",
    DbType.LONG_RAW: "LONG RAW",
    DbType.INTERVAL_DS: "INTERVAL DAY ({precision}) TO SECOND ({scale})",
    DbType.INTERVAL_YM: "INTERVAL YEAR ({precision}) TO MONTH",
}


def table_ddl(table: Table) -> str:
    """The whole statement."""
    lines = [
        f'"{column.name}" {type_text(column.type)}{"" if column.nullable else " NOT NULL ENABLE"}'
        for column in table.shape.columns
    ]
    for index in table.indexes:
        if index.constraint:
            names = ", ".join(f'"{table.shape.columns[place].name}"' for place in index.places)
            lines.append(
                f'CONSTRAINT "{index.name}" {"PRIMARY KEY" if index.primary else "UNIQUE"} ({names}) ENABLE'
            )
    for level in table.supplemental:
        if level in ("ALL", "PRIMARY KEY", "UNIQUE"):
            lines.append(f"SUPPLEMENTAL LOG DATA ({level}) COLUMNS")
    body = ",\n\t".join(lines)
    return f'\n  CREATE TABLE "{table.owner}"."{table.name}" \n   (\t{body}\n   ) '
