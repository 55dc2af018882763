"""Dictionary views of tables: their columns, constraints and indexes."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.oracle.engine.dictionary.families import family, seen_tables
from sandbox.oracle.engine.sql.syntax import ColumnRef
from sandbox.oracle.engine.state.catalog import IDENTITY_SEQUENCE
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.state.views import Rows
from sandbox.oracle.engine.store.tables import StoredColumn, Table
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import DbType

_TYPE_NAMES = {
    DbType.TIMESTAMP: "TIMESTAMP({scale})",
    DbType.TIMESTAMP_TZ: "TIMESTAMP({scale}) WITH TIME ZONE",
    DbType.TIMESTAMP_LTZ: "TIMESTAMP({scale}) WITH LOCAL TIME ZONE",
    DbType.LONG_RAW: "LONG RAW",
    DbType.INTERVAL_DS: "INTERVAL DAY({precision}) TO SECOND({scale})",
    DbType.INTERVAL_YM: "INTERVAL YEAR({precision}) TO MONTH",
}


_BINARY = SqlType(DbType.BLOB, 4000, 0, 0, 0)


_HIDDEN = 18
"""Place of HIDDEN_COLUMN among the columns of TAB_COLS."""


def type_name(kind: SqlType) -> str:
    """DATA_TYPE of a column."""
    if kind.opaque:
        return kind.opaque
    if kind.base is DbType.NUMBER and kind.scale == -127 and kind.precision:
        return "FLOAT"
    name = "N" * kind.national + _TYPE_NAMES.get(kind.base, kind.base.name)
    return name.format(precision=kind.precision, scale=kind.scale)


_TABLE_COLUMNS = (
    "OWNER:128 TABLE_NAME:128 TABLESPACE_NAME:30 CLUSTER_NAME:128 IOT_NAME:128 STATUS:8 NUM_ROWS:n "
    "TEMPORARY:1 NESTED:3 SECONDARY:1 COMPRESSION:8 DROPPED:3 LOGGING:3 PARTITIONED:3 IOT_TYPE:12 "
    "BACKED_UP:1 READ_ONLY:3 HAS_IDENTITY:3 EXTERNAL:3 CLUSTER_OWNER:128"
)


_COLUMN_COLUMNS = (
    "OWNER:128 TABLE_NAME:128 COLUMN_NAME:128 DATA_TYPE:128 DATA_TYPE_MOD:3 DATA_TYPE_OWNER:128 "
    "DATA_LENGTH:n DATA_PRECISION:n DATA_SCALE:n NULLABLE:1 "
    "COLUMN_ID:n DEFAULT_LENGTH:n DATA_DEFAULT:4000 "
    "NUM_DISTINCT:n CHARACTER_SET_NAME:44 CHAR_COL_DECL_LENGTH:n "
    "CHAR_LENGTH:n CHAR_USED:1 HIDDEN_COLUMN:3 "
    "VIRTUAL_COLUMN:3 SEGMENT_COLUMN_ID:n INTERNAL_COLUMN_ID:n QUALIFIED_COL_NAME:4000 "
    "USER_GENERATED:3 IDENTITY_COLUMN:3 DEFAULT_ON_NULL:3"
)


@family("TABLES", _TABLE_COLUMNS)
def _tables(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        temporary = "Y" if table.shape.temporary else "N"
        yield (
            *(table.owner, table.name, None if table.shape.temporary else "USERS"),
            *(table.cluster[1] if table.cluster else None, None, "VALID"),
            *(
                len(table.rows),
                temporary,
                "NO",
                "N",
                "DISABLED",
                "NO",
                "YES",
                "NO",
                None,
                "N",
                "N",
                "YES" if any(map(_is_identity, table.shape.columns)) else "NO",
                "NO",
                table.cluster[0] if table.cluster else None,
            ),
        )


@family("ALL_TABLES", f"{_TABLE_COLUMNS} TABLE_TYPE:128 TABLE_TYPE_OWNER:128")
def _all_tables(env: Env, which: str) -> Rows:
    for row in _tables(env, which):
        yield (*row, None, None)


@family("TAB_COLUMNS", _COLUMN_COLUMNS)
def columns(env: Env, which: str) -> Rows:
    """TAB_COLUMNS: what is not hidden."""
    return (row for row in _all_columns(env, which) if row[_HIDDEN] == "NO")


@family("TAB_COLS", _COLUMN_COLUMNS)
def _all_columns(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        number = 0
        for segment, column in enumerate(table.shape.columns, 1):
            number += not column.invisible
            yield _column_row(table, column, None if column.invisible else number, segment)
            if column.type.opaque == "XMLTYPE":  # kept in a hidden column with the number of this one
                last = len(table.shape.columns) + segment
                kept_in = StoredColumn(f"SYS_NC{last:05d}$", _BINARY, invisible=True, system=True)
                yield _column_row(table, kept_in, number, last)


@family(
    "CONSTRAINTS",
    "OWNER:128 CONSTRAINT_NAME:128 CONSTRAINT_TYPE:1 "
    "TABLE_NAME:128 SEARCH_CONDITION:4000 R_OWNER:128 "
    "R_CONSTRAINT_NAME:128 STATUS:8 DEFERRABLE:14 DEFERRED:9 "
    "VALIDATED:13 GENERATED:14 INDEX_OWNER:128 "
    "INDEX_NAME:128 DELETE_RULE:9",
)
def _constraints(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for index in table.indexes:
            if index.constraint:
                kind = "P" if index.primary else "U"
                status = "ENABLED" if index.enabled else "DISABLED"
                yield (
                    *(table.owner, index.name, kind, table.name, None, None, None, status),
                    *(
                        "NOT DEFERRABLE",
                        "IMMEDIATE",
                        "VALIDATED" if index.validated else "NOT VALIDATED",
                        "USER NAME",
                        index.owner,
                        index.name,
                        None,
                    ),
                )
        for name, foreign in table.foreign_keys.items():
            parent = env.session.catalog.tables.get((foreign.owner, foreign.table))
            primary = parent.primary() if parent is not None else None
            yield (
                *(table.owner, name, "R", table.name, None, foreign.owner, primary and primary.name),
                *("ENABLED" if foreign.enabled else "DISABLED", "NOT DEFERRABLE", "IMMEDIATE"),
                *("VALIDATED", "USER NAME", None, None, foreign.delete_rule),
            )
        for column in table.shape.columns:
            if not column.nullable:
                condition = f'"{column.name}" IS NOT NULL'
                yield (
                    *(table.owner, f"SYS_C{table.shape.object_id}_{column.identity}", "C", table.name),
                    *(condition, None, None, "ENABLED", "NOT DEFERRABLE", "IMMEDIATE", "VALIDATED"),
                    *("GENERATED NAME", None, None, None),
                )


@family("CONS_COLUMNS", "OWNER:128 CONSTRAINT_NAME:128 TABLE_NAME:128 COLUMN_NAME:4000 POSITION:n")
def _constraint_columns(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for index in table.indexes:
            if index.constraint:
                for position, place in enumerate(index.places, 1):
                    name = table.shape.columns[place].name
                    yield (table.owner, index.name, table.name, name, position)


@family(
    "INDEXES",
    "OWNER:128 INDEX_NAME:128 INDEX_TYPE:27 TABLE_OWNER:128 "
    "TABLE_NAME:128 TABLE_TYPE:11 UNIQUENESS:9 "
    "STATUS:8 PARTITIONED:3 TEMPORARY:1",
)
def _indexes(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for index in table.indexes:
            if not index.enabled:
                continue
            unique = "UNIQUE" if index.unique and index.validated else "NONUNIQUE"
            iot = index.primary and any(one.kind == "INDEX" for one in table.shape.segments)
            yield (
                index.owner,
                index.name,
                "IOT - TOP" if iot else "NORMAL",
                table.owner,
                table.name,
                "TABLE",
                unique,
                "VALID",
                "NO",
                "N",
            )


@family(
    "IND_COLUMNS",
    "INDEX_OWNER:128 INDEX_NAME:128 TABLE_OWNER:128 "
    "TABLE_NAME:128 COLUMN_NAME:4000 COLUMN_POSITION:n "
    "COLUMN_LENGTH:n CHAR_LENGTH:n DESCEND:4",
)
def _index_columns(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for index in table.indexes:
            for position, place in enumerate(index.places, 1):
                column = table.shape.columns[place]
                yield (
                    *(index.owner, index.name, table.owner, table.name, column.name, position),
                    *(column.type.size, column.type.chars, "ASC"),
                )


def _is_identity(column: StoredColumn) -> bool:
    default = column.default
    return isinstance(default, ColumnRef) and default.parts[-2].startswith(IDENTITY_SEQUENCE)


def _column_row(table: Table, column: StoredColumn, number: int | None, segment: int) -> Sequence[object]:
    kind = column.type
    is_text = kind.base in (DbType.VARCHAR2, DbType.CHAR)
    is_number = kind.base is DbType.NUMBER
    length = kind.size if kind.base not in (DbType.CLOB, DbType.BLOB) else 4000
    scale: int | None = kind.scale if kind.scale != -127 else None
    if not is_number and kind.base not in (DbType.TIMESTAMP, DbType.TIMESTAMP_TZ, DbType.TIMESTAMP_LTZ):
        scale = None
    hidden = "YES" if column.invisible else "NO"
    return (
        *(table.owner, table.name, column.name, type_name(kind), None, None, length),
        *(kind.precision or None if is_number else None, scale, "Y" if column.nullable else "N", number),
        *(
            None if column.default is None else 1,
            None,
            None,
            "CHAR_CS" if is_text else None,
            kind.chars if is_text else None,
        ),
        *(kind.chars if is_text else 0, "C" if is_text else None, hidden, "NO"),
        *(segment, segment, column.name),
        *("NO" if column.system else "YES", "YES" if _is_identity(column) else "NO", "NO"),
    )
