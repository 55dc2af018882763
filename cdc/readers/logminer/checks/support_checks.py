"""What LogMiner cannot give of a table, by the types of its columns and by Oracle's own lists.

A row that holds a value of an unsupported type comes as UNSUPPORTED (operation code 255), without its other
columns. Oracle's lists, where they were granted, know more: temporal validity, object tables, PKREF.

Source: Oracle Database Utilities 19c, "Supported data types and table storage attributes"; Database Reference
19c: DBA_GOLDENGATE_SUPPORT_MODE, DBA_LOGSTDBY_UNSUPPORTED; debezium/debezium PR 4973 and 6721 (rows of tables
with JSON, VECTOR and BOOLEAN columns).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdc.changes import TableName
from cdc.oracle.dictionary import rows_by_owner
from cdc.ports import Finding
from cdc.readers.logminer.mining.probe import Probe
from cdc.readers.logminer.tables.dictionary import INVISIBLE, VIRTUAL, CapturedTable

NEVER = frozenset(("BFILE", "BOOLEAN", "JSON", "ROWID", "UROWID", "VECTOR"))
"""UNSUPPORTED in every release that has the type."""
SHOWN = frozenset(("LONG", "LONG RAW"))
"""Not captured, and no reason for an UNSUPPORTED row."""
XML = "XMLTYPE"
OBJECTS_SINCE = 18
"""Release from which rows with simple object types are shown."""

RELEASE = "select max(version) from product_component_version"
SEES_MODES = "select 1 from dba_goldengate_support_mode where 1 = 0"
SEES_UNSUPPORTED = "select 1 from dba_logstdby_unsupported where 1 = 0"
SUPPORT_MODES = """
select object_name, support_mode, explanation from dba_goldengate_support_mode
where owner = :owner and support_mode <> 'FULL' and object_name in ({names})"""
UNSUPPORTED = """
select distinct table_name, column_name, data_type from dba_logstdby_unsupported
where owner = :owner and table_name in ({names})"""


def type_findings(captured: CapturedTable, release: int) -> Iterator[Finding]:
    """Columns whose type makes every row of the table UNSUPPORTED, and invisible ones as advice.

    Args:
        captured: the table; its `excluded` are meant.
        release: major release of the database.
    """
    name = captured.table.name
    for column, why in captured.excluded.items():
        if why == INVISIBLE:
            yield Finding(
                str(name),
                f"invisible column {column}: not captured",
                "only visible columns",
                f'alter table "{name.schema}"."{name.name}" modify ("{column}" visible);',
                advice=True,
            )
        elif why in NEVER:
            yield unsupported(name, f"{why} column {column}", "no such column")
        elif why == XML or _is_object(why):
            if why != XML and release < OBJECTS_SINCE:
                yield unsupported(
                    name, f"column {column} of object type {why}", f"release {OBJECTS_SINCE} or later"
                )
            else:
                yield Finding(
                    str(name),
                    f"column {column} of type {why}: rows may come as UNSUPPORTED",
                    "no such column; else check V$LOGMNR_CONTENTS after a change",
                    advice=True,
                )


def _is_object(why: str) -> bool:
    return why not in SHOWN and why != VIRTUAL and not why.startswith("large,")


def listed_findings(probe: Probe, names: Sequence[TableName]) -> Iterator[Finding]:
    """Tables on Oracle's own lists, as far as the user may read them."""
    if not probe.code(SEES_MODES):
        for owner, (table, mode, why) in _rows(probe, SUPPORT_MODES, names):
            text = f"DBA_GOLDENGATE_SUPPORT_MODE says {mode}" + (f" ({why})" if why else "")
            yield unsupported(TableName(owner, table), text, "FULL")
    if not probe.code(SEES_UNSUPPORTED):
        for owner, (table, column, kind) in _rows(probe, UNSUPPORTED, names):
            text = f"DBA_LOGSTDBY_UNSUPPORTED names column {column} ({kind})"
            yield Finding(str(TableName(owner, table)), text, "no such column", advice=True)


def release_of(probe: Probe) -> int:
    """The major release of the database."""
    return int(str(probe.rows(RELEASE)[0][0] or "0").partition(".")[0])


def unsupported(name: TableName, found: str, expected: str) -> Finding:
    """A table that LogMiner does not support."""
    return Finding(str(name), f"{found}: LogMiner does not support the table", expected, "")


def _rows(probe: Probe, statement: str, names: Sequence[TableName]) -> list[tuple[str, tuple[str, ...]]]:
    return rows_by_owner(probe.connection, statement, names, probe.system)
