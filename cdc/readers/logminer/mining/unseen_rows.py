"""Rows and values that a session does not see although they are there: policies, redaction, archived rows.

The redo holds them, the snapshot and what is read again by key would not. So a session asks for archived
rows where a table has such, and `check` finds policies that the user is not exempt from.

Source: Oracle Database Security Guide 19c, "Using Oracle Virtual Private Database"; Advanced Security Guide
19c, "Using Oracle Data Redaction"; VLDB and Partitioning Guide 19c, "In-Database Archiving"; Database
Reference 19c: ALL_POLICIES, REDACTION_POLICIES, SESSION_PRIVS.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import oracledb

from cdc.changes import TableName
from cdc.oracle.dictionary import rows_by_owner
from cdc.oracle.errors import oracle_errors
from cdc.ports import Finding
from cdc.readers.logminer.mining.probe import Probe

ARCHIVED = """
select distinct table_name from all_tab_cols
where owner = :owner and column_name = 'ORA_ARCHIVE_STATE' and table_name in ({names})"""
SHOW_ARCHIVED = "alter session set row archival visibility = all"
POLICIES = """
select object_name, policy_name from all_policies
where object_owner = :owner and sel = 'YES' and enable = 'YES' and object_name in ({names})"""
SEES_REDACTIONS = "select 1 from redaction_policies where 1 = 0"
REDACTIONS = """
select object_name, policy_name from redaction_policies
where object_owner = :owner and trim(enable) = 'YES' and object_name in ({names})"""
EXEMPTIONS = "select privilege from session_privs where privilege like 'EXEMPT %POLICY'"
NO_POLICY, NO_REDACTION = "EXEMPT ACCESS POLICY", "EXEMPT REDACTION POLICY"


def show_archived_rows(connection: oracledb.Connection, tables: Sequence[TableName], system: str) -> None:
    """Let a session see archived rows, if a table may have such."""
    if tables and rows_by_owner(connection, ARCHIVED, tables, system):
        with oracle_errors(system), connection.cursor() as cursor:
            cursor.execute(SHOW_ARCHIVED)


def policy_findings(probe: Probe, tables: Sequence[TableName], user: str) -> Iterator[Finding]:
    """Policies on captured tables from which the user is not exempt.

    Redaction policies are seen only where REDACTION_POLICIES was granted.
    """
    exempt = {str(name) for (name,) in probe.rows(EXEMPTIONS)}
    if NO_POLICY not in exempt:
        for owner, (table, policy) in rows_by_owner(probe.connection, POLICIES, tables, probe.system):
            yield _finding(
                TableName(owner, table), f"policy {policy} may hide rows from {user}", user, NO_POLICY
            )
    if NO_REDACTION not in exempt and not probe.code(SEES_REDACTIONS):
        for owner, (table, policy) in rows_by_owner(probe.connection, REDACTIONS, tables, probe.system):
            found = f"redaction policy {policy} may mask values from {user}"
            yield _finding(TableName(owner, table), found, user, NO_REDACTION)


def _finding(name: TableName, found: str, user: str, right: str) -> Finding:
    return Finding(
        str(name), found, "snapshots that show what the redo holds", f"grant {right.lower()} to {user};"
    )
