"""What keeps the payment upload from working, found before it is tried, with the SQL that fixes it.

Used by `ccbridge check`; reads only dictionary views and CC&B's own configuration tables.
"""

from __future__ import annotations

from collections.abc import Iterator

import oracledb

from cdc.config import OracleSystem
from cdc.ports import Finding
from sinks.ccb_payment_upload.ccb import ouaf
from sinks.ccb_payment_upload.ccb.tables import NEEDED, SOURCES, TYPES, WRITTEN, missing, unfillable
from sinks.ccb_payment_upload.section import PaymentUpload

SYSTEM_RIGHTS = "select PRIVILEGE from SESSION_PRIVS"
TABLE_RIGHTS = """
select TABLE_NAME, PRIVILEGE from ALL_TAB_PRIVS where TABLE_SCHEMA = :1 and
(GRANTEE in (USER, 'PUBLIC') or GRANTEE in (select ROLE from SESSION_ROLES))"""


def findings(cursor: oracledb.Cursor, settings: OracleSystem, upload: PaymentUpload) -> list[Finding]:
    """Tables and columns not seen, rights not held, tender source and default tender type not set up."""
    tables = ouaf.describe(cursor, settings.owner, list(NEEDED))
    found = list(_right_findings(cursor, settings))
    found += [
        Finding(
            f"column {settings.owner}.{name}",
            "missing",
            "a column of the payment upload",
            "this release of CC&B is not known to ccbridge: report its ALL_TAB_COLUMNS",
        )
        for name in missing(tables)
        if "." in name
    ]
    found += [
        Finding(
            f"column {settings.owner}.{name}",
            "NOT NULL, and no value is known for a missing one",
            "a column that may be NULL, or has a default",
            "give it a default in the database, or report its ALL_TAB_COLUMNS",
        )
        for name in unfillable(tables)
    ]
    for table, column, value, setting in (
        (SOURCES, "EXT_SOURCE_ID", upload.external_source, "external_source"),
        (TYPES, "TENDER_TYPE_CD", upload.tender_type, "tender_type"),
    ):
        described = tables.get(table, {}).get(column)
        if any(finding.subject == f"table {settings.owner}.{table}" for finding in found):
            continue
        if described and not ouaf.found_among(cursor, settings.owner, table, described, [value]):
            found.append(
                Finding(
                    f"{table}.{column}",
                    f"no row with {value!r}",
                    f"the value of payment_upload.{setting}",
                    f"create it in CC&B, or set {setting} in [payment_upload]",
                )
            )
    return found


def _right_findings(cursor: oracledb.Cursor, settings: OracleSystem) -> Iterator[Finding]:
    if settings.user.upper() == settings.owner.upper():
        return
    held = _rights(cursor, settings.owner)
    for table in NEEDED:
        rights = ("SELECT", "INSERT") if table in WRITTEN else ("SELECT",)
        missing = [right for right in rights if right not in held.get(table, set()) | held["*"]]
        if missing:
            names, place = ", ".join(missing).lower(), f"{settings.owner}.{table}"
            yield Finding(
                f"table {place}",
                f"{settings.user} may not {names}",
                " and ".join(rights).lower(),
                f"grant {names} on {place} to {settings.user};",
            )


def _rights(cursor: oracledb.Cursor, owner: str) -> dict[str, set[str]]:
    """Rights by table, through grants to us, to our roles or to PUBLIC; `*` for every table."""
    names = {"SELECT ANY TABLE": "SELECT", "INSERT ANY TABLE": "INSERT"}
    system = {str(name) for (name,) in cursor.execute(SYSTEM_RIGHTS)}
    held: dict[str, set[str]] = {"*": {right for name, right in names.items() if name in system}}
    cursor.execute(TABLE_RIGHTS, [owner])
    for table, right in cursor:
        # READ is SELECT without FOR UPDATE
        held.setdefault(str(table), set()).add("SELECT" if right == "READ" else str(right))
    return held
