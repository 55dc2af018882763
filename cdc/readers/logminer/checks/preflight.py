"""What would keep LogMiner capture from working, found before it starts, each with the SQL that fixes it.

Source: Oracle Database Utilities 19c, "LogMiner requirements"; Security Guide, LOGMINING privilege.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.errors import OperatorError
from cdc.oracle.apply_log import apply_log
from cdc.oracle.connect import fixed_in_pdb
from cdc.oracle.errors import oracle_errors
from cdc.ports import ColumnsRead, Finding
from cdc.positions import Scn
from cdc.readers.logminer.checks import database_checks
from cdc.readers.logminer.checks.broad_rights import broad_rights
from cdc.readers.logminer.checks.grants import (
    DICTIONARY_VIEWS,
    INSTANCE_VIEWS,
    container_data,
    needed_views,
    sys_grant,
)
from cdc.readers.logminer.checks.instance_checks import instance_findings
from cdc.readers.logminer.checks.mining_checks import NOW, MiningChecks, redo_findings
from cdc.readers.logminer.checks.table_checks import TableChecks
from cdc.readers.logminer.mining.containers import ROOT, Container, container_of
from cdc.readers.logminer.mining.probe import Probe
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.tables.captured import outdated_tables
from cdc.readers.logminer.tables.dictionary import captured_tables, estimates

VISIBLE = "select 1 from {view} where 1 = 0"
SHOWN = "select count(*) from v$containers where name = :pdb"
RDS = "select count(*) from all_users where username = 'RDSADMIN'"


def findings(
    session: MiningSession,
    system: str,
    settings: OracleSystem,
    tables: Sequence[TableName],
    read: Mapping[TableName, ColumnsRead],
) -> list[Finding]:
    """Every finding, all at once; read only."""
    probe = Probe(session.connection, system)
    place, rds = container_of(session.connection, system), bool(probe.rows(RDS)[0][0])
    check = _Check(probe, settings, place, rds=rds)
    mining = MiningChecks(probe, settings, place, rds=rds)
    container, views = list(check.container()), list(check.views())
    hidden = {one.subject for one in views}
    found = [*check.spill_directory(), *container, *views, *mining.executable()]
    if "V$DATABASE" in hidden:
        return found
    found += database_checks.role_findings(probe, place)
    found += database_checks.database_findings(probe, place, rds=rds)
    if all(one.advice for one in found):
        found += mining.starts()
    looks: Sequence[tuple[set[str], Callable[[], Iterable[Finding]]]] = (
        ({"V$PARAMETER"}, lambda: database_checks.parameter_findings(probe, settings)),
        ({"V$ARCHIVED_LOG"}, lambda: database_checks.destination_findings(probe, settings)),
        ({"V$THREAD"}, lambda: database_checks.thread_findings(probe)),
        ({"V$THREAD", *INSTANCE_VIEWS}, lambda: instance_findings(probe, system, settings, tables)),
    )
    for needed, look in looks:
        if not needed & hidden:
            found += look()
    found += broad_rights(probe, settings, place)
    if container:
        return found
    scn = int(probe.rows(NOW)[0][0])
    try:
        inside = Probe(session.tables_connection, system)
    except OperatorError as exc:
        expected = "an open pluggable database that the user may enter"
        return [*found, Finding(f"pdb {settings.pdb}", str(exc), expected, exc.hint)]
    if "V$CONTAINERS" not in hidden:
        found += check.shown()
    found += database_checks.character_set_findings(probe, inside)
    return found + _where_the_tables_are(check, probe, inside, system, tables, read, scn)


def _where_the_tables_are(
    check: _Check,
    probe: Probe,
    inside: Probe,
    system: str,
    tables: Sequence[TableName],
    read: Mapping[TableName, ColumnsRead],
    scn: int,
) -> list[Finding]:
    """Undo, the captured tables and the apply log; in the pluggable database, if there is one."""
    settings, within = check.settings, container_of(inside.connection, system)
    found: list[Finding] = []
    if not inside.is_refused(database_checks.UNDO_RETENTION):
        found += database_checks.undo_findings(inside, estimates(inside.connection, tables, system))
    captured = captured_tables(inside.connection, tables, system, read=read, numbered=False)
    all_logged = database_checks.logs_all_columns(probe, inside, within)
    checks = TableChecks(inside, settings, captured, scn, all_logged)
    of_tables = [*check.dictionary(inside), *checks.findings(tables)]
    log = apply_log(settings)
    if log is not None:
        with oracle_errors(system), inside.connection.cursor() as cursor:
            of_tables += log.findings(cursor)
    if settings.pdb is not None:
        of_tables += broad_rights(inside, settings, within)
        if not inside.is_refused(VISIBLE.format(view="v$database")):
            of_tables += database_checks.role_findings(inside, within)
    return found + fixed_in_pdb(of_tables, settings.pdb)


def missing_logs(session: MiningSession, system: str, resume: Mapping[str, Any]) -> list[Finding]:
    """Archived logs that reading on needs and that are not there; as advice, tables to be read again."""
    start = int(resume.get("restart_from", resume["read_from"]))
    found = [
        Finding(str(name), str(error), "every value of each row read", error.hint, advice=True)
        for name, error in sorted(outdated_tables(system, resume).items())
    ]
    if session.finds_logs:
        return found + list(redo_findings(Probe(session.connection, system), start))
    return found + list(_gaps(session, start))


def _gaps(session: MiningSession, start: int) -> Iterator[Finding]:
    for gap in session.gaps(start):
        reach = f"from sequence {gap.first_sequence}" if gap.first_sequence else f"from scn {start}"
        until = f" until sequence {gap.last_sequence}" if gap.first_sequence and gap.last_sequence else ""
        yield Finding(
            f"archived logs of thread {gap.thread}",
            str(gap),
            f"all from {Scn(start)} on, where reading continues",
            f"RMAN: restore archivelog {reach}{until} thread {gap.thread};",
        )


@dataclass(frozen=True)
class _Check:
    """What concerns the session and its user."""

    probe: Probe
    settings: OracleSystem
    place: Container
    rds: bool

    def spill_directory(self) -> Iterator[Finding]:
        """Can open transactions be written where they are to outlive a restart?"""
        directory = self.settings.spill_directory
        if directory is None:
            return
        there = next(path for path in (directory, *directory.absolute().parents) if path.exists())
        if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
            yield Finding(
                "setting spill_directory", f"{there} cannot be written", "a directory of ccbridge's own", ""
            )

    def views(self) -> Iterator[Finding]:
        """May the user read each view?"""
        in_root = self.settings.pdb is not None and self.place.is_root
        for view in needed_views(self.settings, root=in_root, inside=self.place.is_pdb):
            if self.probe.is_refused(VISIBLE.format(view=view)):
                fix = sys_grant(view, self.settings.user, rds=self.rds)
                yield Finding(view, "not readable", "select granted", fix)

    def dictionary(self, inside: Probe) -> Iterator[Finding]:
        """May the user read the dictionary where the tables are?"""
        for view in DICTIONARY_VIEWS:
            if inside.is_refused(VISIBLE.format(view=view)):
                fix = sys_grant(view, self.settings.user, rds=self.rds)
                yield Finding(view, "not readable", "select granted", fix)

    def container(self) -> Iterator[Finding]:
        """Mining is done in the root for a named PDB, or inside the PDB that the dsn leads to."""
        pdb, name = self.settings.pdb, self.place.name
        if name is None:
            if pdb is not None:
                yield Finding("setting pdb", pdb, "nothing: the database is not multitenant", "remove pdb")
        elif self.place.is_root and pdb is None:
            yield Finding("setting pdb", "not set", "the pluggable database of the tables", "set pdb")
        elif self.place.is_pdb and pdb is not None:
            yield Finding(
                "container of the session",
                name,
                ROOT,
                "set dsn to the service of the root (CDB$ROOT); or remove pdb, and LogMiner runs inside "
                f"{name} (19.10 and later)",
            )

    def shown(self) -> Iterator[Finding]:
        """What is open in the pluggable database must be seen from the root."""
        pdb = self.settings.pdb
        if pdb is not None and not self.probe.rows(SHOWN, pdb=pdb)[0][0]:
            yield Finding(
                f"CONTAINER_DATA of {self.settings.user}",
                f"V$ views of the root do not show {pdb}",
                f"{pdb} shown, so that its open transactions are seen",
                container_data(self.settings.user, pdb),
            )
