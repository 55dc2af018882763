"""What would keep LogMiner capture from working, found before it starts, each with the SQL that mends it.

Read next: `cdc.readers.logminer.dictionary`.

Source: Oracle Database Utilities 19c, "LogMiner requirements"; Security Guide, LOGMINING privilege.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import oracledb

from cdc.changes import SourceType, TableName
from cdc.config import OracleSystem
from cdc.errors import OperatorError
from cdc.oracle.errors import ora_code, oracle_errors
from cdc.ports import Finding
from cdc.readers.logminer.charsets import codec
from cdc.readers.logminer.dictionary import CapturedTable, captured_tables
from cdc.readers.logminer.session import MiningSession
from cdc.readers.logminer.snapshot import quoted

VIEWS = (
    "V$DATABASE", "V$THREAD", "V$LOG", "V$LOGFILE", "V$ARCHIVED_LOG", "V$LOGMNR_CONTENTS", "GV$TRANSACTION",
)  # fmt: skip
MEMORY_VIEWS = ("V$MYSTAT", "V$STATNAME")
"""Needed only with a limit of memory for LogMiner sessions."""
ROOT = "CDB$ROOT"
NOT_VISIBLE = frozenset((942, 1031))
NO_LOGMINER = frozenset((6550, 1031, 942))
WRONG_CONTAINER = 65040
ANSI_BYTES = 4_000
"""Longer texts are logged as extended strings, which are not captured."""

PROBE = "begin dbms_logmnr.add_logfile(logfilename => 'none', options => dbms_logmnr.new); end;"
CONTAINER = "select d.cdb, sys_context('USERENV', 'CON_NAME') from v$database d"
DATABASE = "select log_mode, supplemental_log_data_min, supplemental_log_data_all from v$database"
LOG_GROUPS = "select owner, table_name, log_group_type from all_log_groups"
CHARACTER_SET = "select value from nls_database_parameters where parameter = 'NLS_CHARACTERSET'"


def findings(
    session: MiningSession, system: str, settings: OracleSystem, tables: Sequence[TableName]
) -> list[Finding]:
    """Every fault, all at once; read only."""
    check = _Check(session.connection, system, settings)
    found = [*check.spill_directory(), *check.views()]
    if any(one.subject == "V$DATABASE" for one in found):
        return found + list(check.logminer())
    found += [*check.container(), *check.logminer(), *check.database(), *check.character_set()]
    try:
        inside = session.tables_connection
    except OperatorError as exc:
        wanted = "an open pluggable database that the user may enter"
        fix = f"grant set container to {settings.user} container = all;"
        return [*found, Finding(f"pdb {settings.pdb}", str(exc), wanted, fix)]
    check.enter(inside)
    captured = captured_tables(inside, tables, system)
    return [*found, *check.tables(tables, captured), *check.supplemental(captured)]


def needed_views(settings: OracleSystem) -> tuple[str, ...]:
    """The V$ views that a reader with these settings selects from."""
    return VIEWS + (MEMORY_VIEWS if settings.session_max_pga_bytes else ())


class _Check:
    """One run of all checks over one connection."""

    def __init__(self, connection: oracledb.Connection, system: str, settings: OracleSystem) -> None:
        self._connection, self._system, self._settings = connection, system, settings
        self._log_all, self._scn = False, 0

    def enter(self, connection: oracledb.Connection) -> None:
        """Check on over another connection: the one that sees the tables."""
        self._scn = int(self._rows("select current_scn from v$database")[0][0])
        self._connection = connection

    def spill_directory(self) -> Iterator[Finding]:
        """Can open transactions be written where they are to outlive a restart?"""
        directory = self._settings.spill_directory
        if directory is None:
            return
        there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield Finding(
                "setting spill_directory", f"{there} cannot be written", "a directory of ccbridge's own", ""
            )

    def views(self) -> Iterator[Finding]:
        """May the user read each view?"""
        for view in needed_views(self._settings):
            if self._code(f"select 1 from {view} where 1 = 0") in NOT_VISIBLE:  # noqa: S608
                object_name = view.replace("V$", "V_$")
                yield Finding(
                    view,
                    "not readable",
                    "select granted",
                    f"grant select on sys.{object_name} to {self._settings.user};",
                )

    def container(self) -> Iterator[Finding]:
        """In a multitenant database, mining is done in the root, and the tables are in a named PDB."""
        multitenant, name = self._rows(CONTAINER)[0]
        pdb = self._settings.pdb
        if multitenant == "YES" and name == ROOT and pdb is None:
            yield Finding("setting pdb", "not set", "the pluggable database of the tables", "set pdb")
        elif multitenant == "YES" and name != ROOT and pdb is not None:
            yield Finding(
                "container of the session", str(name), ROOT, "set dsn to the service of the root (CDB$ROOT)"
            )
        elif multitenant != "YES" and pdb is not None:
            yield Finding("setting pdb", pdb, "nothing: the database is not multitenant", "remove pdb")

    def logminer(self) -> Iterator[Finding]:
        """May the user run LogMiner? Adding a file that does not exist fails harmlessly (ORA-01284)."""
        code = self._code(PROBE)
        if code in NO_LOGMINER:
            user = self._settings.user
            yield Finding(
                "DBMS_LOGMNR",
                f"not executable (ORA-{code:05d})",
                "execute and LOGMINING granted",
                f"grant logmining to {user}; grant execute on sys.dbms_logmnr to {user};",
            )
        elif code == WRONG_CONTAINER:
            yield Finding(
                "DBMS_LOGMNR",
                "not allowed in this pluggable database (ORA-65040)",
                "a session in the root, or a release that mines inside a PDB (19.10 and later)",
                "set dsn to the service of the root and pdb to the name of this pluggable database",
            )

    def database(self) -> Iterator[Finding]:
        """ARCHIVELOG mode and minimal supplemental logging."""
        log_mode, minimal, every = self._rows(DATABASE)[0]
        self._log_all = every == "YES"
        if log_mode != "ARCHIVELOG":
            yield Finding(
                "database log mode",
                str(log_mode),
                "ARCHIVELOG",
                "shutdown immediate; startup mount; alter database archivelog; alter database open;",
            )
        if minimal not in ("YES", "IMPLICIT"):
            yield Finding(
                "minimal supplemental logging",
                str(minimal),
                "YES",
                "alter database add supplemental log data;",
            )

    def character_set(self) -> Iterator[Finding]:
        """Can texts be decoded from internal bytes?"""
        rows = self._rows(CHARACTER_SET)
        name = str(rows[0][0]) if rows else "unknown"
        try:
            codec(name)
        except LookupError:
            yield Finding("database character set", name, "AL32UTF8 or a single-byte set", "")

    def tables(
        self, wanted: Sequence[TableName], captured: Mapping[TableName, CapturedTable]
    ) -> Iterator[Finding]:
        """Existence, rights, key, and columns that LogMiner cannot give."""
        user = self._settings.user
        for name in wanted:
            one = captured.get(name)
            if one is None:
                yield Finding(
                    str(name),
                    "no such table, or not visible",
                    "a table the user may select",
                    f"grant select, flashback on {quoted(name)} to {user};",
                )
                continue
            if not one.table.key:
                yield Finding(str(name), "no primary key", "a primary key", "")
            select = f"select 1 from {quoted(name)}"  # noqa: S608 - quoted names
            if self._code(f"{select} where 1 = 0") in NOT_VISIBLE:
                yield Finding(
                    str(name), "not readable", "select granted", f"grant select on {quoted(name)} to {user};"
                )
            elif self._flashback_refused(select):
                yield Finding(
                    str(name),
                    "no flashback",
                    "flashback granted",
                    f"grant flashback on {quoted(name)} to {user};",
                )
            for column in one.table.columns:
                if column.type is SourceType.TEXT and (column.length or 0) > ANSI_BYTES:
                    yield Finding(
                        f"{name}.{column.name}", column.declared, f"at most {ANSI_BYTES} characters", ""
                    )

    def supplemental(self, captured: Mapping[TableName, CapturedTable]) -> Iterator[Finding]:
        """All columns logged: without, updates do not hold the key or the columns that stayed."""
        if self._log_all:
            return
        logged = {
            TableName(owner, name)
            for owner, name, kind in self._rows(LOG_GROUPS)
            if kind == "ALL COLUMN LOGGING"
        }
        for name in captured:
            if name not in logged:
                yield Finding(
                    str(name),
                    "not all columns logged",
                    "ALL COLUMN LOGGING",
                    f"alter table {quoted(name)} add supplemental log data (all) columns;",
                )

    def _flashback_refused(self, select: str) -> bool:
        return self._code(f"{select} as of scn :scn where 1 = 0", scn=self._scn) in NOT_VISIBLE

    def _code(self, statement: str, **binds: int) -> int:
        """The ORA number that a statement fails with, 0 if it does not."""
        return self._try(lambda cursor: cursor.execute(statement, binds))

    def _try(self, call: Callable[[oracledb.Cursor], object]) -> int:
        try:
            with self._connection.cursor() as cursor:
                call(cursor)
        except oracledb.DatabaseError as exc:
            number = ora_code(exc)
            if not number or exc.args[0].isrecoverable:
                with oracle_errors(self._system):
                    raise
            return number
        return 0

    def _rows(self, statement: str) -> list[tuple[Any, ...]]:
        with oracle_errors(self._system), self._connection.cursor() as cursor:
            cursor.execute(statement, fetch_decimals=False)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
            return rows
