"""PostgreSQL types and the canonical text of their values.

The sessions that read are opened with UTC, ISO dates, hexadecimal bytea and shortest-exact floats
(`SESSION_OPTIONS`), so nearly every value already is canonical as the server writes it; the rest is
brought there by columnar expressions. `cdc.changes.SourceType` says what canonical means.

Source: PostgreSQL 17 documentation, chapter 8 "Data Types"; catalog pg_type.
"""

from __future__ import annotations

from decimal import Decimal

import polars as pl

from cdc.changes import SourceColumn, SourceTable, SourceType

SESSION_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "timezone": "UTC",
        "datestyle": "ISO",
        "intervalstyle": "postgres",  # as in the sessions of the sinks
        "bytea_output": "hex",
        "extra_float_digits": "3",
        "search_path": r"pg_catalog,\ pg_temp",
        "standard_conforming_strings": "on",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "row_security": "off",  # the server then refuses instead of leaving rows out
    }.items()
)
"""Server settings of every session whose values we read; limits meant for people are lifted."""

VARCHAR, BPCHAR, NUMERIC = 1043, 1042, 1700
FLOATS = frozenset({"real", "double precision"})

_TYPES = {
    SourceType.BOOLEAN: (16,),
    SourceType.BINARY: (17,),
    SourceType.NUMBER: (20, 21, 23, 26, 700, 701, NUMERIC),
    SourceType.TEXT: (18, 19, 25, BPCHAR, VARCHAR),
    SourceType.DATE: (1082,),
    SourceType.TIMESTAMP: (1114,),
    SourceType.TIMESTAMP_TZ: (1184,),
}
_BY_OID = {oid: kind for kind, oids in _TYPES.items() for oid in oids}


def source_column(name: str, *, type_oid: int, modifier: int, declared: str, nullable: bool) -> SourceColumn:
    """Describe a column.

    Args:
        name: its name.
        type_oid: pg_type.oid; of the type under it for a domain.
        modifier: atttypmod: length or precision and scale, -1 for none.
        declared: the type as format_type writes it.
        nullable: whether NULL is allowed.
    """
    length = scale = None
    if modifier >= 4 and type_oid in (VARCHAR, BPCHAR):
        length = modifier - 4
    elif modifier >= 4 and type_oid == NUMERIC:
        scale = ((modifier - 4) & 0x7FF ^ 1024) - 1024  # 11 bits, signed since PostgreSQL 15
    kind = _BY_OID.get(type_oid, SourceType.OTHER)
    return SourceColumn(name, kind, declared, nullable, length, scale)


def canonical(frame: pl.DataFrame, table: SourceTable, *sides: str) -> pl.DataFrame:
    """Turn the server's text into canonical text.

    Args:
        frame: has a String column `<side><column>` for each side and column of `table`.
        table: what the columns are.
        sides: prefixes, BEFORE and AFTER.
    """
    binary = _cells(table, sides, SourceType.BINARY)
    if binary:
        frame = frame.with_columns_seq(pl.col(binary).str.slice(2))  # \\x
    floats = _cells(table, sides, SourceType.NUMBER, *FLOATS)
    if floats:
        # an exponent is rare, so only columns that have one in this frame take the slow way
        found = frame.select_seq(pl.col(floats).str.contains("e", literal=True).any()).row(0, named=True)
        slow = [name for name, has_exponent in found.items() if has_exponent]
        frame = frame.with_columns_seq(pl.col(slow).map_elements(_without_exponent, return_dtype=pl.String))
    return frame


def _cells(table: SourceTable, sides: tuple[str, ...], kind: SourceType, *declared: str) -> list[str]:
    return [
        f"{side}{column.name}"
        for side in sides
        for column in table.columns
        if column.type is kind and (not declared or column.declared in declared)
    ]


def _without_exponent(text: str) -> str:
    return format(Decimal(text), "f") if "e" in text else text
