"""Verdicts from the recorded redo: kinds of statements, tables and column types, DDL."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cdc.assumptions import Said, differs, judge
from cdc.readers.logminer.mining.rows import Code
from cdc.readers.logminer.probing.evidence import CONTROL, DATA, ZERO, Evidence, form, named, read_right
from cdc.readers.logminer.probing.recording import Row
from cdc.readers.logminer.probing.workload import STEP

XML = frozenset((68, 70, 71))
UNSUPPORTED, DDL, SELECT_FOR_UPDATE = 255, 5, 25


def direct_path(found: Evidence) -> Said:
    """Operation and code of direct-path rows."""
    said = found.read_right("direct-path")
    codes = {(row["OPERATION"], row["OPERATION_CODE"]) for row in found.rows("direct-path")}
    shown = ", ".join(f"{name} {code}" for name, code in sorted(codes) if code not in CONTROL)
    return Said(said.verdict, f"{said.reason}; operations: {shown}")


def locked_rows(found: Evidence) -> Said:
    """Locks are not changes."""
    said = found.read_right("locked")
    locks = sum(row["OPERATION_CODE"] == SELECT_FOR_UPDATE for row in found.rows("locked"))
    return Said(said.verdict, f"{said.reason}; {locks} SELECT_FOR_UPDATE rows")


def iot_rows(found: Evidence) -> Said:
    """Rows of an index-organised table outside of undone work."""
    rows = [row for row in found.rows("iot") if row["OPERATION_CODE"] in DATA and row["TABLE_NAME"] != STEP]
    names = {row["TABLE_NAME"] for row in rows}
    ids = {row["DATA_OBJ#"] for row in rows}
    zero = sum(not row["ROW_ID"] or row["ROW_ID"].endswith(ZERO) for row in rows)
    known = set(found.recording.objects.get("CCBP_IOT", ()))
    shown = f"{len(rows)} rows of {', '.join(map(str, names))}, {zero} with zero ROW_ID"
    text = f"{shown}, object ids known: {'yes' if ids <= known else 'no'}"
    return judge(names == {"CCBP_IOT"}, text)


def temporary_table(found: Evidence) -> Said:
    """Rows of a temporary table."""
    found.rows("temporary")
    rows = [row for row in found.recording.of_table("CCBP_TEMPORARY") if row["OPERATION_CODE"] in DATA]
    odd = [
        row for row in rows if not (row["SQL_REDO"] or "").startswith("/* No SQL_REDO for temporary tables")
    ]
    return judge(not odd, f"{len(rows)} rows, {len(odd)} with data")


def long_name(found: Evidence) -> Said:
    """Operations of a table with a long name."""
    return _unsupported(found, "long-name", "CCBP_A_TABLE_WITH_A_NAME_ABOVE_30_CHARACTERS")


def ddl_row(found: Evidence) -> Said:
    """The row of an ALTER TABLE."""
    found.rows("ddl-after")
    rows = [
        row
        for row in found.recording.rows
        if row["OPERATION_CODE"] == DDL
        and row["TABLE_NAME"] == "CCBP_DDL"
        and "add (X" in (row["SQL_REDO"] or "")
    ]
    if not rows:
        return differs("no DDL row names the table")
    infos = named(rows, "INFO")
    return judge(all((row["INFO"] or "").startswith("USER DDL") for row in rows), f"INFO {infos}")


def truncate_row(found: Evidence) -> Said:
    """The rows of a TRUNCATE."""
    found.rows("emptied")
    rows = found.recording.of_table("CCBP_EMPTIED")
    ddl = [
        row for row in rows if row["OPERATION_CODE"] == DDL and "truncate" in (row["SQL_REDO"] or "").lower()
    ]
    deleted = [row for row in rows if row["OPERATION_CODE"] == Code.DELETE]
    return judge(len(ddl) == 1 and not deleted, f"{len(ddl)} DDL rows, {len(deleted)} DELETE rows")


def fast_default(found: Evidence) -> Said:
    """What is logged for rows that a column with a default is added to."""
    after = found.rows("ddl-after")
    own = {row["XID"] for row in (*after, *found.rows("ddl-before"))}
    logged = [
        row
        for row in found.recording.of_table("CCBP_DDL")
        if row["OPERATION_CODE"] in DATA and row["XID"] not in own
    ]
    updates = [row["SQL_REDO"] or "" for row in after if row["OPERATION_CODE"] == Code.UPDATE]
    names = sum('"X"' in text for text in updates)
    return judge(
        not logged, f"{len(logged)} rows logged by the DDL; {names} of {len(updates)} later updates name it"
    )


def rows_before_ddl(found: Evidence) -> Said:
    """Rows from before an ALTER TABLE."""
    said = found.read_right("ddl-before")
    rows = [
        row for row in found.rows("ddl-before") if row["OPERATION_CODE"] in DATA and row["TABLE_NAME"] != STEP
    ]
    return Said(said.verdict, f"{said.reason}; TABLE_NAME {named(rows, 'TABLE_NAME')}")


def _unsupported(found: Evidence, step: str, table: str) -> Said:
    rows = _of_type(found, step, table)
    codes = {row["OPERATION_CODE"] for row in rows}
    return judge(UNSUPPORTED in codes and not codes & DATA, form(rows) or "no row")


def _of_type(found: Evidence, step: str, table: str) -> list[Row]:
    ids = set(found.recording.objects.get(table, ()))
    return [
        row
        for row in found.rows(step)
        if row["TABLE_NAME"] == table or row["DATA_OBJ#"] in ids or row["OPERATION_CODE"] == UNSUPPORTED
    ]


def type_xml(found: Evidence) -> Said:
    """Rows of an XMLTYPE column."""
    rows = _of_type(found, "type-xml", "CCBP_XML")
    codes = {row["OPERATION_CODE"] for row in found.rows("type-xml")}
    return judge(bool(codes & XML) or UNSUPPORTED in codes, form(rows) or "no row")


def type_bfile(found: Evidence) -> Said:
    """Rows of a table with a BFILE column."""
    rows = _of_type(found, "type-bfile", "CCBP_BFILE")
    data = [row for row in rows if row["OPERATION_CODE"] in DATA]
    return judge(not data, form(rows) or "no row")


def _type(name: str) -> Callable[[Evidence], Said]:
    return lambda found: _unsupported(found, f"type-{name}", f"CCBP_{name.upper()}")


CHECKS: Mapping[str, Callable[[Evidence], Said]] = {
    "plain-rows": read_right("plain"),
    "key-update": read_right("key-update"),
    "many-rows": read_right("many-rows", "merge"),
    "direct-path": direct_path,
    "locked-rows": locked_rows,
    "lob-values": read_right("lob-plain", "lob-deleted"),
    "iot-rows": iot_rows,
    "partition-rows": read_right("partitions", "subpartitions"),
    "identity-column": read_right("identity"),
    "temporary-table": temporary_table,
    "long-name": long_name,
    "ddl-row": ddl_row,
    "truncate-row": truncate_row,
    "fast-default": fast_default,
    "rows-before-ddl": rows_before_ddl,
    **{f"type-{name}": _type(name) for name in ("json", "boolean", "vector", "rowid", "urowid", "object")},
    "type-xml": type_xml,
    "type-bfile": type_bfile,
}
