"""The captured tables as Oracle's dictionary describes them, and which object ids are theirs.

LOB columns and extended strings are large: only those that a rule reads are captured. LONG, XML, JSON
and object columns are not captured and do not appear among a table's columns; nor do invisible ones, and the
hidden ones in which Oracle keeps XML and objects, which have the COLUMN_ID of their visible column.

Object numbers come from DBA_OBJECTS: ALL_OBJECTS shows who was granted a table its partitions, but no
subpartition, no partition that has such, and no index.

Source: Oracle Database Reference 19c: ALL_TAB_COLS, ALL_CONSTRAINTS, ALL_INDEXES, DBA_OBJECTS; the text of
ALL_OBJECTS in DBA_VIEWS.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import oracledb

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.oracle.dictionary import rows_by_owner
from cdc.oracle.errors import oracle_errors
from cdc.ports import ColumnsRead
from cdc.readers.logminer.redo_sql.values import LOBS, source_type

MAX_BYTES = 32_767
EXTENDED_BYTES = {SourceType.TEXT: 4_000, SourceType.BINARY: 2_000}
"""A column declared longer than this is an extended one: stored and logged like a LOB."""


@dataclass(frozen=True)
class CapturedTable:
    """A table with what only this reader needs of it.

    `table` has the captured columns, `described` also the large ones that no rule reads. `excluded` are
    columns that are not captured, virtual and invisible ones too; `segment_columns` name and type by
    the number a column has in the row (hidden and unused ones count), for undecoded rows; `object_ids`
    are OBJECT_ID and DATA_OBJECT_ID of the table, its partitions and the index of an index-organised one;
    `defaulted` are columns with a default, in which rows from before they were added have no value of their
    own; `key_constraint` is the name of the primary key, None where the key is a unique index.
    """

    table: SourceTable
    described: SourceTable
    excluded: Mapping[str, str] = field(default_factory=dict)
    segment_columns: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    object_ids: frozenset[int] = frozenset()
    defaulted: frozenset[str] = frozenset()
    key_constraint: str | None = None

    @property
    def names_in_row(self) -> tuple[str, ...]:
        """Names of the segment columns, in order."""
        return tuple(name for _, (name, _) in sorted(self.segment_columns.items()))


INVISIBLE, VIRTUAL = "invisible", "virtual"
"""Why a column is excluded whose type would do."""

COLUMNS = """
select owner, table_name, column_name, column_id, data_type, data_length, data_precision, data_scale,
  nullable, char_length, segment_column_id, virtual_column, hidden_column, user_generated, default_length
from all_tab_cols where owner = :owner and table_name in ({names})
order by table_name, column_id"""

KEYS = """
select k.table_name, k.column_name, k.constraint_name
from all_constraints c join all_cons_columns k
  on k.owner = c.owner and k.constraint_name = c.constraint_name
where c.owner = :owner and c.constraint_type = 'P' and c.table_name in ({names})
and c.status = 'ENABLED' and c.validated = 'VALIDATED'
order by k.table_name, k.position"""

UNIQUE_INDEXES = """
select i.table_name, i.index_name, c.column_name
from all_indexes i join all_ind_columns c on c.index_owner = i.owner and c.index_name = i.index_name
where i.table_owner = :owner and i.uniqueness = 'UNIQUE' and i.status in ('VALID', 'N/A')
and i.table_name in ({names})
order by i.table_name, i.index_name, c.column_position"""

OBJECTS = """
select object_name, object_id, data_object_id from dba_objects
where owner = :owner and object_type like 'TABLE%' and object_name in ({names})"""

INDEX_OBJECTS = """
select i.table_name, o.object_id, o.data_object_id
from all_indexes i join dba_objects o on o.owner = i.owner and o.object_name = i.index_name
where i.table_owner = :owner and i.index_type = 'IOT - TOP' and i.table_name in ({names})"""

OBJECT_NAME = """
select owner, object_name, object_type from dba_objects where object_id = :id or data_object_id = :id"""

CLUSTERS = """
select table_name, cluster_owner, cluster_name from all_tables
where owner = :owner and cluster_name is not null and table_name in ({names})"""

REFERENCES = """
select c.table_name, c.r_owner, p.table_name
from all_constraints c left join all_constraints p
  on p.owner = c.r_owner and p.constraint_name = c.r_constraint_name
where c.owner = :owner and c.constraint_type = 'R' and c.delete_rule = 'CASCADE' and c.status = 'ENABLED'
and c.table_name in ({names})"""

ESTIMATES = """
select table_name, num_rows from all_tables where owner = :owner and table_name in ({names})"""


def clusters(
    connection: oracledb.Connection, tables: Iterable[TableName], system: str
) -> Mapping[TableName, tuple[str, str]]:
    """Owner and name of the cluster of each table that is in one."""
    found = rows_by_owner(connection, CLUSTERS, tables, system)
    return {TableName(owner, table): (of, name) for owner, (table, of, name) in found}


def references(
    connection: oracledb.Connection, tables: Iterable[TableName], system: str
) -> Mapping[TableName, frozenset[TableName | None]]:
    """The tables that each one refers to ON DELETE CASCADE; None for one that may not be seen."""
    found: dict[TableName, set[TableName | None]] = {}
    for owner, (table, of, name) in rows_by_owner(connection, REFERENCES, tables, system):
        parent = TableName(of, name) if name is not None else None
        found.setdefault(TableName(owner, table), set()).add(parent)
    return {table: frozenset(parents) for table, parents in found.items()}


def captured_tables(
    connection: oracledb.Connection,
    tables: Sequence[TableName],
    system: str,
    *,
    read: Mapping[TableName, ColumnsRead] = MappingProxyType({}),
    numbered: bool = True,
) -> Mapping[TableName, CapturedTable]:
    """The tables that exist and are visible, in the order asked for.

    Args:
        connection: sees the tables.
        tables: which ones.
        system: name of the source, for messages.
        read: what rules read; large columns that are not among it are excluded.
        numbered: look for object numbers too, for which the user needs DBA_OBJECTS.
    """
    columns: dict[TableName, list[SourceColumn]] = {}
    excluded: dict[TableName, dict[str, str]] = {}
    segments: dict[TableName, dict[int, tuple[str, str]]] = {}
    defaulted: dict[TableName, set[str]] = {}
    for owner, row in rows_by_owner(connection, COLUMNS, tables, system):
        table = TableName(owner, row[1])
        name, data_type = row[2], str(row[4])
        columns.setdefault(table, [])
        if row[10] is not None:  # a virtual column has no place in the row
            segments.setdefault(table, {})[int(row[10])] = (name, data_type)
        if row[12] == "YES" or row[3] is None:
            # part of the row, not of the table: storage of another column, set unused, or invisible
            if row[13] == "YES" and row[11] != "YES":
                excluded.setdefault(table, {})[name] = INVISIBLE
            continue
        if row[14]:
            defaulted.setdefault(table, set()).add(name)
        kind = source_type(data_type)
        if kind is None or row[11] == "YES":
            excluded.setdefault(table, {})[name] = VIRTUAL if row[11] == "YES" else data_type
            continue
        columns[table].append(_column(name, kind, row))
    keys: dict[TableName, list[str]] = {}
    constraints: dict[TableName, str] = {}
    for owner, row in rows_by_owner(connection, KEYS, columns, system):
        keys.setdefault(TableName(owner, row[0]), []).append(row[1])
        constraints[TableName(owner, row[0])] = row[2]
    without = [name for name in columns if name not in keys]
    keys |= _unique_keys(connection, {name: columns[name] for name in without}, system, read)
    ids = object_ids(connection, tuple(columns), system) if numbered else {}
    found: dict[TableName, CapturedTable] = {}
    for table in tables:
        if table not in columns:
            continue
        names = read[table].names if table in read else frozenset()
        left_out = {column.name for column in columns[table] if column.large} - names
        described = SourceTable(table, tuple(columns[table]), tuple(keys.get(table, ())))
        captured = tuple(column for column in columns[table] if column.name not in left_out)
        found[table] = CapturedTable(
            replace(described, columns=captured),
            described,
            excluded.get(table, {}) | dict.fromkeys(left_out, "large, read by no rule"),
            segments.get(table, {}),
            ids.get(table, frozenset()),
            frozenset(defaulted.get(table, ())),
            constraints.get(table),
        )
    return found


def _unique_keys(
    connection: oracledb.Connection,
    columns: Mapping[TableName, Sequence[SourceColumn]],
    system: str,
    read: Mapping[TableName, ColumnsRead],
) -> dict[TableName, list[str]]:
    """A key for tables without a usable primary key: a unique index over columns that are never NULL.

    Of several the one whose columns rules read, then the one with fewest columns, then by name.
    """
    indexes: dict[TableName, dict[str, list[str]]] = {}
    if not columns:
        return {}
    for owner, (name, index, column) in rows_by_owner(connection, UNIQUE_INDEXES, columns, system):
        indexes.setdefault(TableName(owner, name), {}).setdefault(index, []).append(column)
    found: dict[TableName, list[str]] = {}
    for table, by_name in indexes.items():
        never_null = {column.name for column in columns[table] if not column.nullable}
        names = read[table].names if table in read else frozenset()
        usable = [
            (not names >= set(key), len(key), index, key)
            for index, key in by_name.items()
            if never_null >= set(key)
        ]
        if usable:
            found[table] = min(usable)[-1]
    return found


def object_ids(
    connection: oracledb.Connection, tables: Sequence[TableName], system: str
) -> Mapping[TableName, frozenset[int]]:
    """Object and data object ids of tables, partitions, and indexes of index-organised tables."""
    ids: dict[TableName, set[int]] = {}
    for statement in (OBJECTS, INDEX_OBJECTS):
        for owner, row in rows_by_owner(connection, statement, tables, system):
            ids.setdefault(TableName(owner, row[0]), set()).update(
                int(number) for number in row[1:] if number
            )
    return {table: frozenset(numbers) for table, numbers in ids.items()}


def object_name(connection: oracledb.Connection, number: int, system: str) -> str | None:
    """What an object id belongs to, None if it is not visible or was dropped."""
    with oracle_errors(system), connection.cursor() as cursor:
        cursor.execute(OBJECT_NAME, id=number)
        row = cursor.fetchone()
    return f"{row[2]} {row[0]}.{row[1]}" if row else None


def shape(captured: CapturedTable) -> str:
    """The columns of a table's rows in short, to compare with later ones."""
    return _shape(captured, len(captured.segment_columns))


def is_extended(then: str, captured: CapturedTable) -> bool:
    """True if the columns of now are those of `then`, perhaps with others behind them."""
    count = int(then.partition(":")[0])
    return count <= len(captured.segment_columns) and _shape(captured, count) == then


def added_columns(then: str, captured: CapturedTable) -> frozenset[str]:
    """Columns that stand behind those of a former shape."""
    count = int(then.partition(":")[0])
    return frozenset(name for _, (name, _) in sorted(captured.segment_columns.items())[count:])


def _shape(captured: CapturedTable, count: int) -> str:
    columns = sorted(captured.segment_columns.items())[:count]
    return f"{count}:{zlib.crc32(repr(columns).encode()):08x}"


def estimates(
    connection: oracledb.Connection, tables: Sequence[TableName], system: str
) -> Mapping[TableName, int]:
    """Rows as the optimizer's statistics tell; tables never analysed are left out."""
    found = rows_by_owner(connection, ESTIMATES, tables, system)
    return {TableName(owner, row[0]): int(row[1]) for owner, row in found if row[1] is not None}


def _column(name: str, kind: SourceType, row: tuple[Any, ...]) -> SourceColumn:
    data_type, data_length, precision, scale, nullable, chars = row[4], row[5], row[6], row[7], row[8], row[9]
    length = None
    declared = str(data_type)
    large = data_type in LOBS or int(data_length or 0) > EXTENDED_BYTES.get(kind, MAX_BYTES)
    if data_type in LOBS:
        return SourceColumn(name, kind, declared, nullable != "N", large=True)
    if kind is SourceType.TEXT:
        length = int(chars or data_length or 0) or None
        declared = f"{data_type}({length})" if length else declared
    elif kind is SourceType.NUMBER and precision is not None:
        declared = f"{data_type}({precision},{scale})" if scale else f"{data_type}({precision})"
    elif kind is SourceType.BINARY:
        declared = f"{data_type}({data_length})"
    return SourceColumn(
        name, kind, declared, nullable != "N", length, None if scale is None else int(scale), large
    )
