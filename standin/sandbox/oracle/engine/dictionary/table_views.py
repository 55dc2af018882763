"""Dictionary views: tables, columns, constraints, indexes, objects, users, rights, as ALL_, USER_ and DBA_.

ALL_ views show what the user owns or was granted something on, as in Oracle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from sandbox.oracle.engine.dictionary import rights_views
from sandbox.oracle.engine.sql.syntax import ColumnRef
from sandbox.oracle.engine.state.catalog import IDENTITY_SEQUENCE
from sandbox.oracle.engine.state.context import Env, Instance
from sandbox.oracle.engine.state.nls import NLS, VERSION, character_sets
from sandbox.oracle.engine.state.views import FixedView, view
from sandbox.oracle.engine.store.tables import StoredColumn, Table
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import DbType

_OWNER_KEPT = frozenset({"CONSTRAINTS", "CONS_COLUMNS", "LOG_GROUPS", "LOG_GROUP_COLUMNS"})
Rows = Iterator[Sequence[object]]
Scoped = Callable[[Env, str], Rows]

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


def views(database: Instance) -> list[FixedView]:
    """Views of this module."""
    found: list[FixedView] = []
    for name, columns, rows in _definitions(database):
        found.extend(_family(name, columns, rows))
    found.extend(rights_views.views(database))

    def redactions(env: Env) -> Rows:
        for table in seen_tables(env, "DBA"):
            for name in table.redacted:
                yield (table.owner, table.name, name, "1=1", "YES", None)

    found.append(
        view(
            "REDACTION_POLICIES",
            "OBJECT_OWNER:128 OBJECT_NAME:128 POLICY_NAME:128 EXPRESSION:4000 ENABLE:7 POLICY_DESCRIPTION:99",
            redactions,
        )
    )

    def nls(env: Env) -> Rows:
        yield from {**NLS, **character_sets(env), "NLS_RDBMS_VERSION": VERSION}.items()

    for name in ("NLS_DATABASE_PARAMETERS", "NLS_INSTANCE_PARAMETERS"):
        found.append(view(name, "PARAMETER:128 VALUE:64", nls, free=True))
    found.append(
        view(
            "NLS_SESSION_PARAMETERS", "PARAMETER:128 VALUE:64", lambda env: env.session.nls.items(), free=True
        )
    )
    found.append(
        view(
            "PRODUCT_COMPONENT_VERSION",
            "PRODUCT:80 VERSION:80 VERSION_FULL:80 STATUS:80",
            lambda env: [(database.banner, VERSION, VERSION, "Production")],
            free=True,
        )
    )
    return found


def _family(name: str, columns: str, rows: Scoped) -> Iterator[FixedView]:
    """ALL_X, DBA_X and USER_X (which has no owner column when it comes first)."""
    yield view(f"ALL_{name}", columns, lambda env: rows(env, "ALL"), free=True)
    yield view(f"DBA_{name}", columns, lambda env: rows(env, "DBA"))
    if columns.startswith("OWNER:") and name not in _OWNER_KEPT:
        rest = columns.split(" ", 1)[1]
        yield view(f"USER_{name}", rest, lambda env: (row[1:] for row in rows(env, "USER")), free=True)
    else:
        yield view(f"USER_{name}", columns, lambda env: rows(env, "USER"), free=True)


def seen_tables(env: Env, which: str) -> Iterator[Table]:
    """Tables of a family of views: USER own ones, ALL accessible ones, DBA every one."""
    user = env.session.user
    for (owner, name), table in sorted(env.session.catalog.tables.items()):
        if (
            which == "DBA"
            or owner == user
            or (which == "ALL" and env.session.users.may(user, None, (owner, name)))
        ):
            yield table


def _definitions(database: Instance) -> list[tuple[str, str, Scoped]]:
    def time(seconds: float) -> datetime:
        return database.local_time(seconds).replace(microsecond=0)

    def tables(env: Env, which: str) -> Rows:
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

    def all_tables(env: Env, which: str) -> Rows:
        for row in tables(env, which):
            yield (*row, None, None)

    def columns(env: Env, which: str) -> Rows:
        """TAB_COLUMNS: what is not hidden."""
        return (row for row in all_columns(env, which) if row[_HIDDEN] == "NO")

    def all_columns(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            number = 0
            for segment, column in enumerate(table.shape.columns, 1):
                number += not column.invisible
                yield _column_row(table, column, None if column.invisible else number, segment)
                if column.type.opaque == "XMLTYPE":  # kept in a hidden column with the number of this one
                    last = len(table.shape.columns) + segment
                    kept_in = StoredColumn(f"SYS_NC{last:05d}$", _BINARY, invisible=True, system=True)
                    yield _column_row(table, kept_in, number, last)

    def constraints(env: Env, which: str) -> Rows:
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

    def constraint_columns(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            for index in table.indexes:
                if index.constraint:
                    for position, place in enumerate(index.places, 1):
                        name = table.shape.columns[place].name
                        yield (table.owner, index.name, table.name, name, position)

    def indexes(env: Env, which: str) -> Rows:
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

    def index_columns(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            for index in table.indexes:
                for position, place in enumerate(index.places, 1):
                    column = table.shape.columns[place]
                    yield (
                        *(index.owner, index.name, table.owner, table.name, column.name, position),
                        *(column.type.size, column.type.chars, "ASC"),
                    )

    def objects(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            for name, part, number, kind in _objects_of(table, all_of_it=_sees_parts(env, which, table)):
                stored = number if number != table.shape.object_id else table.shape.data_object_id
                holds_rows = kind == "INDEX" or any(
                    one.object_id == number and one.stored for one in table.shape.segments
                )
                has_rows = holds_rows or (kind == "TABLE" and not table.shape.segments)
                yield (
                    *(table.owner, name, part, number, stored if has_rows else None, kind),
                    *(time(table.created_at), time(table.defined_at), None, "VALID", "N", "N", "N", 1, None),
                )
        for sequence in env.session.catalog.sequences.values():
            if which == "USER" and sequence.owner != env.session.user:
                continue
            made = time(sequence.created_at)
            yield (
                *(sequence.owner, sequence.name, None, sequence.object_id, None, "SEQUENCE"),
                *(made, made, None, "VALID", "N", "N", "N", 1, None),
            )

    def sequences(env: Env, which: str) -> Rows:
        for each in env.session.catalog.sequences.values():
            if which != "USER" or each.owner == env.session.user:
                yield (each.owner, each.name, 1, None, each.step, "N", "N", 20, each.next_value)

    def log_groups(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            for level in table.supplemental:
                kind = {"ALL": "ALL COLUMN LOGGING", "PRIMARY KEY": "PRIMARY KEY LOGGING"}.get(level)
                kind = kind or {"UNIQUE": "UNIQUE KEY LOGGING"}.get(level, "USER LOG GROUP")
                generated = "USER NAME" if kind == "USER LOG GROUP" else "GENERATED NAME"
                name = level if kind == "USER LOG GROUP" else f"SYS_C{table.shape.object_id:07d}"
                yield (table.owner, name, table.name, kind, "ALWAYS", generated)

    def log_columns(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            for level, names in table.supplemental.items():
                for position, name in enumerate(names, 1):
                    yield (table.owner, level, table.name, name, position, "LOG")

    def levels(env: Env, which: str) -> Rows:
        """What a pluggable database logs besides the root's levels."""
        found = env.session.container.supplemental
        names = ("MIN", "PRIMARY KEY", "UNIQUE", "FOREIGN KEY", "ALL")
        yield (*("YES" if name in found else "NO" for name in names), "NO", "NO")

    def policies(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            for name in table.policies:
                yield (
                    *(table.owner, table.name, "SYS_DEFAULT", name, table.owner, None, "HIDE", "YES", "NO"),
                    *("NO", "NO", "NO", "NO", "YES", "NO", "DYNAMIC", "NO"),
                )

    def comments(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            yield (table.owner, table.name, "TABLE", table.comments.get(""), 0)

    def column_comments(env: Env, which: str) -> Rows:
        for table in seen_tables(env, which):
            for column in table.shape.columns:
                yield (table.owner, table.name, column.name, table.comments.get(column.name), 0)

    def synonyms(env: Env, which: str) -> Rows:
        for (owner, name), target in env.session.catalog.synonyms.items():
            yield (owner, name, *target, None)

    table_columns = (
        "OWNER:128 TABLE_NAME:128 TABLESPACE_NAME:30 CLUSTER_NAME:128 IOT_NAME:128 STATUS:8 NUM_ROWS:n "
        "TEMPORARY:1 NESTED:3 SECONDARY:1 COMPRESSION:8 DROPPED:3 LOGGING:3 PARTITIONED:3 IOT_TYPE:12 "
        "BACKED_UP:1 READ_ONLY:3 HAS_IDENTITY:3 EXTERNAL:3 CLUSTER_OWNER:128"
    )
    column_columns = (
        "OWNER:128 TABLE_NAME:128 COLUMN_NAME:128 DATA_TYPE:128 DATA_TYPE_MOD:3 DATA_TYPE_OWNER:128 "
        "DATA_LENGTH:n DATA_PRECISION:n DATA_SCALE:n NULLABLE:1 "
        "COLUMN_ID:n DEFAULT_LENGTH:n DATA_DEFAULT:4000 "
        "NUM_DISTINCT:n CHARACTER_SET_NAME:44 CHAR_COL_DECL_LENGTH:n "
        "CHAR_LENGTH:n CHAR_USED:1 HIDDEN_COLUMN:3 "
        "VIRTUAL_COLUMN:3 SEGMENT_COLUMN_ID:n INTERNAL_COLUMN_ID:n QUALIFIED_COL_NAME:4000 "
        "USER_GENERATED:3 IDENTITY_COLUMN:3 DEFAULT_ON_NULL:3"
    )
    return [
        ("TABLES", table_columns, tables),
        ("ALL_TABLES", f"{table_columns} TABLE_TYPE:128 TABLE_TYPE_OWNER:128", all_tables),
        ("TAB_COLUMNS", column_columns, columns),
        ("TAB_COLS", column_columns, all_columns),
        (
            "CONSTRAINTS",
            "OWNER:128 CONSTRAINT_NAME:128 CONSTRAINT_TYPE:1 "
            "TABLE_NAME:128 SEARCH_CONDITION:4000 R_OWNER:128 "
            "R_CONSTRAINT_NAME:128 STATUS:8 DEFERRABLE:14 DEFERRED:9 "
            "VALIDATED:13 GENERATED:14 INDEX_OWNER:128 "
            "INDEX_NAME:128 DELETE_RULE:9",
            constraints,
        ),
        (
            "CONS_COLUMNS",
            "OWNER:128 CONSTRAINT_NAME:128 TABLE_NAME:128 COLUMN_NAME:4000 POSITION:n",
            constraint_columns,
        ),
        (
            "INDEXES",
            "OWNER:128 INDEX_NAME:128 INDEX_TYPE:27 TABLE_OWNER:128 "
            "TABLE_NAME:128 TABLE_TYPE:11 UNIQUENESS:9 "
            "STATUS:8 PARTITIONED:3 TEMPORARY:1",
            indexes,
        ),
        (
            "IND_COLUMNS",
            "INDEX_OWNER:128 INDEX_NAME:128 TABLE_OWNER:128 "
            "TABLE_NAME:128 COLUMN_NAME:4000 COLUMN_POSITION:n "
            "COLUMN_LENGTH:n CHAR_LENGTH:n DESCEND:4",
            index_columns,
        ),
        (
            "OBJECTS",
            "OWNER:128 OBJECT_NAME:128 SUBOBJECT_NAME:128 OBJECT_ID:n "
            "DATA_OBJECT_ID:n OBJECT_TYPE:23 CREATED:d "
            "LAST_DDL_TIME:d TIMESTAMP:19 STATUS:7 TEMPORARY:1 "
            "GENERATED:1 SECONDARY:1 NAMESPACE:n EDITION_NAME:128",
            objects,
        ),
        (
            "SEQUENCES",
            "SEQUENCE_OWNER:128 SEQUENCE_NAME:128 MIN_VALUE:n MAX_VALUE:n INCREMENT_BY:n CYCLE_FLAG:1 "
            "ORDER_FLAG:1 CACHE_SIZE:n LAST_NUMBER:n",
            sequences,
        ),
        (
            "LOG_GROUPS",
            "OWNER:128 LOG_GROUP_NAME:128 TABLE_NAME:128 LOG_GROUP_TYPE:19 ALWAYS:11 GENERATED:14",
            log_groups,
        ),
        (
            "LOG_GROUP_COLUMNS",
            "OWNER:128 LOG_GROUP_NAME:128 TABLE_NAME:128 COLUMN_NAME:4000 POSITION:n LOGGING_PROPERTY:6",
            log_columns,
        ),
        ("TAB_COMMENTS", "OWNER:128 TABLE_NAME:128 TABLE_TYPE:11 COMMENTS:4000 ORIGIN_CON_ID:n", comments),
        (
            "COL_COMMENTS",
            "OWNER:128 TABLE_NAME:128 COLUMN_NAME:128 COMMENTS:4000 ORIGIN_CON_ID:n",
            column_comments,
        ),
        (
            "POLICIES",
            "OBJECT_OWNER:128 OBJECT_NAME:128 POLICY_GROUP:128 POLICY_NAME:128 PF_OWNER:128 PACKAGE:128 "
            "FUNCTION:128 SEL:3 INS:3 UPD:3 DEL:3 IDX:3 CHK_OPTION:3 ENABLE:3 STATIC_POLICY:3 POLICY_TYPE:24 "
            "LONG_PREDICATE:3",
            policies,
        ),
        (
            "SUPPLEMENTAL_LOGGING",
            "MINIMAL:3 PRIMARY_KEY:3 UNIQUE_INDEX:3 FOREIGN_KEY:3 ALL_COLUMN:3 PROCEDURAL:3 SUBSET_REP:3",
            levels,
        ),
        (
            "NESTED_TABLES",
            "OWNER:128 TABLE_NAME:128 PARENT_TABLE_NAME:128 PARENT_TABLE_COLUMN:4000",
            lambda env, which: iter(()),
        ),
        (
            "TYPES",
            "OWNER:128 TYPE_NAME:128 TYPECODE:128 ATTRIBUTES:n METHODS:n PREDEFINED:3 INCOMPLETE:3",
            lambda env, which: iter(()),
        ),
        ("SYNONYMS", "OWNER:128 SYNONYM_NAME:128 TABLE_OWNER:128 TABLE_NAME:128 DB_LINK:128", synonyms),
    ]


def _is_identity(column: StoredColumn) -> bool:
    default = column.default
    return isinstance(default, ColumnRef) and default.parts[-2].startswith(IDENTITY_SEQUENCE)


def _sees_parts(env: Env, which: str, table: Table) -> bool:
    """Does the view show subpartitions and indexes of a table? ALL_OBJECTS does to its owner only.

    Who was granted the table alone is shown the table, and partitions that have no subpartitions; a system
    privilege on any table shows all.
    """
    user = env.session.user
    powers = ("SELECT ANY TABLE", "INSERT ANY TABLE", "UPDATE ANY TABLE", "DELETE ANY TABLE")
    return (
        which != "ALL" or table.owner == user or any(env.session.users.has(user, power) for power in powers)
    )  # fmt: skip


def _objects_of(table: Table, *, all_of_it: bool) -> Iterator[tuple[str, str | None, int, str]]:
    """Name, part, OBJECT_ID and type of everything of a table that has an object number."""
    shape = table.shape
    yield shape.name, None, shape.object_id, "TABLE"
    is_composite = any(segment.kind == "TABLE SUBPARTITION" for segment in shape.segments)
    for segment in shape.segments:
        if segment.kind == "INDEX":
            continue
        if all_of_it or (segment.kind == "TABLE PARTITION" and not is_composite):
            yield shape.name, segment.name, segment.object_id, segment.kind
    for index in table.indexes if all_of_it else ():
        own = next((one.object_id for one in shape.segments if one.kind == "INDEX" and index.primary), None)
        yield index.name, None, own or index.object_id, "INDEX"


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
