"""Dictionary views of objects, sequences, supplemental logging, policies, comments, synonyms and formats."""

from __future__ import annotations

from collections.abc import Iterator

from sandbox.oracle.engine.dictionary.families import family, seen_tables
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.state.nls import NLS, VERSION, character_sets
from sandbox.oracle.engine.state.views import Rows, host_time, view
from sandbox.oracle.engine.store.tables import Table


@family(
    "OBJECTS",
    "OWNER:128 OBJECT_NAME:128 SUBOBJECT_NAME:128 OBJECT_ID:n "
    "DATA_OBJECT_ID:n OBJECT_TYPE:23 CREATED:d "
    "LAST_DDL_TIME:d TIMESTAMP:19 STATUS:7 TEMPORARY:1 "
    "GENERATED:1 SECONDARY:1 NAMESPACE:n EDITION_NAME:128",
)
def _objects(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for name, part, number, kind in _objects_of(table, all_of_it=_sees_parts(env, which, table)):
            stored = number if number != table.shape.object_id else table.shape.data_object_id
            holds_rows = kind == "INDEX" or any(
                one.object_id == number and one.stored for one in table.shape.segments
            )
            has_rows = holds_rows or (kind == "TABLE" and not table.shape.segments)
            yield (
                *(table.owner, name, part, number, stored if has_rows else None, kind),
                *(
                    host_time(env, table.created_at),
                    host_time(env, table.defined_at),
                    None,
                    "VALID",
                    "N",
                    "N",
                    "N",
                    1,
                    None,
                ),
            )
    for sequence in env.session.catalog.sequences.values():
        if which == "USER" and sequence.owner != env.session.user:
            continue
        made = host_time(env, sequence.created_at)
        yield (
            *(sequence.owner, sequence.name, None, sequence.object_id, None, "SEQUENCE"),
            *(made, made, None, "VALID", "N", "N", "N", 1, None),
        )


@family(
    "SEQUENCES",
    "SEQUENCE_OWNER:128 SEQUENCE_NAME:128 MIN_VALUE:n MAX_VALUE:n INCREMENT_BY:n CYCLE_FLAG:1 "
    "ORDER_FLAG:1 CACHE_SIZE:n LAST_NUMBER:n",
)
def _sequences(env: Env, which: str) -> Rows:
    for each in env.session.catalog.sequences.values():
        if which != "USER" or each.owner == env.session.user:
            yield (each.owner, each.name, 1, None, each.step, "N", "N", 20, each.next_value)


@family("LOG_GROUPS", "OWNER:128 LOG_GROUP_NAME:128 TABLE_NAME:128 LOG_GROUP_TYPE:19 ALWAYS:11 GENERATED:14")
def _log_groups(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for level in table.supplemental:
            kind = {"ALL": "ALL COLUMN LOGGING", "PRIMARY KEY": "PRIMARY KEY LOGGING"}.get(level)
            kind = kind or {"UNIQUE": "UNIQUE KEY LOGGING"}.get(level, "USER LOG GROUP")
            generated = "USER NAME" if kind == "USER LOG GROUP" else "GENERATED NAME"
            name = level if kind == "USER LOG GROUP" else f"SYS_C{table.shape.object_id:07d}"
            yield (table.owner, name, table.name, kind, "ALWAYS", generated)


@family(
    "LOG_GROUP_COLUMNS",
    "OWNER:128 LOG_GROUP_NAME:128 TABLE_NAME:128 COLUMN_NAME:4000 POSITION:n LOGGING_PROPERTY:6",
)
def _log_columns(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for level, names in table.supplemental.items():
            for position, name in enumerate(names, 1):
                yield (table.owner, level, table.name, name, position, "LOG")


@family(
    "SUPPLEMENTAL_LOGGING",
    "MINIMAL:3 PRIMARY_KEY:3 UNIQUE_INDEX:3 FOREIGN_KEY:3 ALL_COLUMN:3 PROCEDURAL:3 SUBSET_REP:3",
)
def levels(env: Env, which: str) -> Rows:
    """What a pluggable database logs besides the root's levels."""
    found = env.session.container.supplemental
    names = ("MIN", "PRIMARY KEY", "UNIQUE", "FOREIGN KEY", "ALL")
    yield (*("YES" if name in found else "NO" for name in names), "NO", "NO")


@family(
    "POLICIES",
    "OBJECT_OWNER:128 OBJECT_NAME:128 POLICY_GROUP:128 POLICY_NAME:128 PF_OWNER:128 PACKAGE:128 "
    "FUNCTION:128 SEL:3 INS:3 UPD:3 DEL:3 IDX:3 CHK_OPTION:3 ENABLE:3 STATIC_POLICY:3 POLICY_TYPE:24 "
    "LONG_PREDICATE:3",
)
def _policies(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for name in table.policies:
            yield (
                *(table.owner, table.name, "SYS_DEFAULT", name, table.owner, None, "HIDE", "YES", "NO"),
                *("NO", "NO", "NO", "NO", "YES", "NO", "DYNAMIC", "NO"),
            )


@family("TAB_COMMENTS", "OWNER:128 TABLE_NAME:128 TABLE_TYPE:11 COMMENTS:4000 ORIGIN_CON_ID:n")
def _comments(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        yield (table.owner, table.name, "TABLE", table.comments.get(""), 0)


@family("COL_COMMENTS", "OWNER:128 TABLE_NAME:128 COLUMN_NAME:128 COMMENTS:4000 ORIGIN_CON_ID:n")
def _column_comments(env: Env, which: str) -> Rows:
    for table in seen_tables(env, which):
        for column in table.shape.columns:
            yield (table.owner, table.name, column.name, table.comments.get(column.name), 0)


@family("SYNONYMS", "OWNER:128 SYNONYM_NAME:128 TABLE_OWNER:128 TABLE_NAME:128 DB_LINK:128")
def _synonyms(env: Env, which: str) -> Rows:
    for (owner, name), target in env.session.catalog.synonyms.items():
        yield (owner, name, *target, None)


@family("NESTED_TABLES", "OWNER:128 TABLE_NAME:128 PARENT_TABLE_NAME:128 PARENT_TABLE_COLUMN:4000")
def _nested_tables(env: Env, which: str) -> Rows:
    return iter(())


@family("TYPES", "OWNER:128 TYPE_NAME:128 TYPECODE:128 ATTRIBUTES:n METHODS:n PREDEFINED:3 INCOMPLETE:3")
def _types(env: Env, which: str) -> Rows:
    return iter(())


def _sees_parts(env: Env, which: str, table: Table) -> bool:
    """Does the view show subpartitions and indexes of a table? ALL_OBJECTS does to its owner only.

    Who was granted the table alone is shown the table, and partitions that have no subpartitions; a system
    privilege on any table shows all.
    """
    user = env.session.user
    powers = ("SELECT ANY TABLE", "INSERT ANY TABLE", "UPDATE ANY TABLE", "DELETE ANY TABLE")
    return (
        which != "ALL" or table.owner == user or any(env.session.users.has(user, power) for power in powers)
    )


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


@view(
    "REDACTION_POLICIES",
    "OBJECT_OWNER:128 OBJECT_NAME:128 POLICY_NAME:128 EXPRESSION:4000 ENABLE:7 POLICY_DESCRIPTION:99",
)
def _redactions(env: Env) -> Rows:
    for table in seen_tables(env, "DBA"):
        for name in table.redacted:
            yield (table.owner, table.name, name, "1=1", "YES", None)


@view("NLS_DATABASE_PARAMETERS", "PARAMETER:128 VALUE:64", free=True)
@view("NLS_INSTANCE_PARAMETERS", "PARAMETER:128 VALUE:64", free=True)
def _formats(env: Env) -> Rows:
    yield from {**NLS, **character_sets(env), "NLS_RDBMS_VERSION": VERSION}.items()


@view("NLS_SESSION_PARAMETERS", "PARAMETER:128 VALUE:64", free=True)
def _formats_of_session(env: Env) -> Rows:
    yield from env.session.nls.items()


@view("PRODUCT_COMPONENT_VERSION", "PRODUCT:80 VERSION:80 VERSION_FULL:80 STATUS:80", free=True)
def _component_version(env: Env) -> Rows:
    yield (env.session.database.banner, VERSION, VERSION, "Production")
