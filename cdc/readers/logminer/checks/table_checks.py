"""What each captured table must be, and what LogMiner cannot read of one: findings, each with its fix.

Source: Oracle Database Utilities 19c, "Supported data types and table storage attributes"; Reference 19c:
ALL_TABLES, ALL_TAB_COLS, ALL_NESTED_TABLES, ALL_LOG_GROUPS.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.oracle.dictionary import rows_by_owner
from cdc.ports import Finding
from cdc.readers.logminer.checks.grants import table_grants
from cdc.readers.logminer.checks.support_checks import listed_findings, release_of, type_findings, unsupported
from cdc.readers.logminer.lobs.large_values import from_redo
from cdc.readers.logminer.mining.probe import Probe
from cdc.readers.logminer.mining.unseen_rows import policy_findings
from cdc.readers.logminer.tables.dictionary import CapturedTable
from cdc.readers.logminer.tables.selected import quoted

NAME_CHARACTERS = 30
"""LogMiner calls a table unsupported whose name, or a column's, is longer."""

TABLES = """
select table_name, temporary, has_identity from all_tables
where owner = :owner and table_name in ({names})"""
NESTED = """
select parent_table_name, parent_table_column from all_nested_tables
where owner = :owner and parent_table_name in ({names})"""
LOG_GROUPS = """
select table_name from all_log_groups
where log_group_type = 'ALL COLUMN LOGGING' and owner = :owner and table_name in ({names})"""


def needing(name: TableName) -> dict[str, str]:
    """By right on a captured table, a statement that needs it and reads nothing."""
    select = f"select 1 from {quoted(name)}"  # noqa: S608 - quoted names
    return {"select": f"{select} where 1 = 0", "flashback": f"{select} as of scn :scn where 1 = 0"}


@dataclass(frozen=True)
class TableChecks:
    """The checks of some tables.

    Args:
        probe: over a connection that sees them.
        settings: whose rights are meant.
        captured: those that are visible, as the dictionary describes them.
        scn: a recent SCN, for flashback.
        all_logged: the database logs all columns of every table.
    """

    probe: Probe
    settings: OracleSystem
    captured: Mapping[TableName, CapturedTable]
    scn: int
    all_logged: bool

    def findings(self, names: Sequence[TableName]) -> Iterator[Finding]:
        """Existence, rights and key, then what LogMiner does not support, then logging."""
        release = release_of(self.probe)
        for name in names:
            one = self.captured.get(name)
            if one is None:
                yield Finding(
                    str(name),
                    "no such table, or not visible",
                    "a table the user may select",
                    "\n".join(table_grants([name], self.settings.user)),
                )
                continue
            if not one.table.key:
                yield Finding(
                    str(name),
                    "no primary key",
                    "one that is enabled and validated, or a unique index over columns that are never NULL",
                )
            yield from self._rights(name)
            yield from name_findings(one)
            yield from type_findings(one, release)
        yield from self._unsupported()
        yield from listed_findings(self.probe, tuple(self.captured))
        yield from policy_findings(self.probe, tuple(self.captured), self.settings.user)
        yield from self._supplemental()
        yield from self._from_redo()

    def _rights(self, name: TableName) -> Iterator[Finding]:
        """Select, and flashback for the snapshot."""
        for right, statement in needing(name).items():
            if self.probe.is_refused(statement, **({"scn": self.scn} if ":scn" in statement else {})):
                fix = f"grant {right} on {quoted(name)} to {self.settings.user};"
                yield Finding(str(name), f"no {right}", f"{right} granted", fix)
                return

    def _unsupported(self) -> Iterator[Finding]:
        """Tables of which LogMiner shows nothing, or nothing that can be used."""
        names = tuple(self.captured)
        for owner, (table, column) in self._rows(NESTED, names):
            yield unsupported(TableName(owner, table), f"nested table {column}", "columns of plain types")
        for owner, (table, temporary, identity) in self._rows(TABLES, names):
            name = TableName(owner, table)
            if temporary == "Y":
                yield unsupported(name, "temporary table", "a table whose rows are in the redo")
            if identity == "YES":
                yield Finding(
                    str(name),
                    "identity column: not all releases show rows of such tables",
                    "a column filled from a sequence; else check V$LOGMNR_CONTENTS after a change",
                    advice=True,
                )

    def _supplemental(self) -> Iterator[Finding]:
        """All columns logged: without, updates do not hold the key or the columns that stayed."""
        if self.all_logged:
            return
        logged = {TableName(owner, row[0]) for owner, row in self._rows(LOG_GROUPS, tuple(self.captured))}
        for name in self.captured:
            if name not in logged:
                yield Finding(
                    str(name),
                    "not all columns logged",
                    "ALL COLUMN LOGGING",
                    f"alter table {quoted(name)} add supplemental log data (all) columns;",
                )

    def _from_redo(self) -> Iterator[Finding]:
        """Does the setting name large columns that a rule reads?"""
        known = {
            f"{name}.{column.name}"
            for name, one in self.captured.items()
            for column in one.table.columns
            if column.large
        }
        for table, columns in from_redo(self.settings).items():
            for wrong in sorted({f"{table}.{column}" for column in columns} - known):
                near = difflib.get_close_matches(wrong, known, n=1)
                expected = "a LOB column or extended string that a rule reads"
                yield Finding(
                    "setting lobs_from_redo", wrong, expected, f"did you mean {near[0]}?" if near else ""
                )

    def _rows(self, statement: str, names: Sequence[TableName]) -> list[tuple[str, tuple[str, ...]]]:
        return rows_by_owner(self.probe.connection, statement, names, self.probe.system)


def name_findings(captured: CapturedTable) -> Iterator[Finding]:
    """Names that are too long."""
    name = captured.table.name
    if len(name.name) > NAME_CHARACTERS:
        yield unsupported(name, f"a name of {len(name.name)} characters", f"at most {NAME_CHARACTERS}")
    for column in captured.described.columns:
        if len(column.name) > NAME_CHARACTERS:
            subject = TableName(name.schema, f"{name.name}.{column.name}")
            yield unsupported(
                subject, f"a name of {len(column.name)} characters", f"at most {NAME_CHARACTERS}"
            )
