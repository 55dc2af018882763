"""What the database as a whole must be set to, and what would be wiser: each finding with the SQL for it.

Source: Oracle Database Reference 19c: V$DATABASE (OPEN_MODE is that of the session's container), V$PARAMETER,
V$ARCHIVED_LOG, DBA_SUPPLEMENTAL_LOGGING; Data Guard Concepts and Administration 19c; Amazon
RDS User Guide, "Performing common database tasks for Oracle DB instances".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.oracle.connect import identifier
from cdc.ports import Finding
from cdc.readers.logminer.mining.containers import ROOT, Container
from cdc.readers.logminer.mining.probe import Probe
from cdc.readers.logminer.redo_sql.charsets import REFUSING, codec

PRIMARY, READ_WRITE = "PRIMARY", "READ WRITE"

ROLE = "select database_role, open_mode from v$database"
DATABASE = """
select log_mode, supplemental_log_data_min, supplemental_log_data_all, force_logging from v$database"""
CHARACTER_SET = "select value from nls_database_parameters where parameter = 'NLS_CHARACTERSET'"
PARAMETERS = """
select name, upper(value) from v$parameter where name in ('max_string_size', '_transaction_auditing')"""
LOGS = """
select a.thread#, a.dest_id, count(*) from v$archived_log a, v$database d
where a.archived = 'YES' and a.standby_dest = 'NO' and a.resetlogs_change# = d.resetlogs_change#
group by a.thread#, a.dest_id"""
OF_PDB = "select all_column from dba_supplemental_logging"
PRIVATE_THREADS = "select thread#, status from v$thread where enabled = 'PRIVATE' order by thread#"
UNDO_RETENTION = "select to_number(value) from v$parameter where name = 'undo_retention'"
SNAPSHOT_ROWS_PER_S = 5_000
"""Below what a snapshot was measured at (docs/performance.md): a network and a busy source are slower."""


def role_findings(probe: Probe, place: Container) -> Iterator[Finding]:
    """LogMiner with the online catalog, and a sink that writes, need the primary, open for writing."""
    role, mode = probe.rows(ROLE)[0]
    if role != PRIMARY:
        yield Finding(
            "database role",
            f"{role}, {mode}",
            f"{PRIMARY}, {READ_WRITE}",
            "set dsn to a service that only the primary offers (srvctl add service .. -role PRIMARY)",
        )
    elif mode != READ_WRITE:
        fix = "shutdown immediate; startup;"
        if place.is_pdb:
            fix = f"alter pluggable database {identifier(place.name or '')} open read write force;"
        yield Finding("open mode", str(mode), READ_WRITE, fix)


def database_findings(probe: Probe, place: Container, *, rds: bool) -> Iterator[Finding]:
    """ARCHIVELOG mode, minimal supplemental logging; FORCE LOGGING is advice."""
    log_mode, minimal, _, forced = probe.rows(DATABASE)[0]
    if log_mode != "ARCHIVELOG":
        yield Finding(
            "database log mode",
            str(log_mode),
            "ARCHIVELOG",
            "begin rdsadmin.rdsadmin_util.set_configuration('archivelog retention hours', 48); end;"
            if rds
            else "shutdown immediate; startup mount; alter database archivelog; alter database open;",
        )
    if minimal not in ("YES", "IMPLICIT"):
        yield Finding(
            "minimal supplemental logging",
            str(minimal),
            "YES",
            "begin rdsadmin.rdsadmin_util.alter_supplemental_logging('ADD'); end;"
            if rds
            else "alter database add supplemental log data;" + _in_root(place),
        )
    if forced != "YES":
        yield Finding(
            "force logging",
            str(forced),
            "YES: loads without logging are in no redo and stay unseen",
            "begin rdsadmin.rdsadmin_util.force_logging(p_enable => true); end;"
            if rds
            else "alter database force logging;" + _in_root(place),
            advice=True,
        )


def _in_root(place: Container) -> str:
    """Where a statement of the whole database is run, if the session is not there."""
    return f" -- in {ROOT}" if place.is_pdb else ""


def logs_all_columns(probe: Probe, inside: Probe, place: Container) -> bool:
    """Does the whole database log all columns, or the pluggable database of the tables?

    Args:
        probe: of the database that is mined.
        inside: of the one with the tables.
        place: the container with the tables; its own level is seen if its view was granted.
    """
    if probe.rows(DATABASE)[0][2] == "YES":
        return True
    if not place.is_pdb or inside.code(OF_PDB):
        return False
    return ("YES",) in inside.rows(OF_PDB)


def parameter_findings(probe: Probe, settings: OracleSystem) -> Iterator[Finding]:
    """Parameters that change what LogMiner shows."""
    values = dict(probe.rows(PARAMETERS))
    if values.get("_transaction_auditing") == "FALSE":
        yield Finding(
            "parameter _transaction_auditing",
            "FALSE: the redo does not name users, so our own writes are not recognised",
            "TRUE",
            'alter system set "_transaction_auditing" = true scope = spfile; -- then restart the database',
        )
    if values.get("max_string_size") == "EXTENDED" and not settings.unescaped_apostrophes:
        yield Finding(
            "parameter max_string_size",
            "EXTENDED: some releases then do not double apostrophes in the redo",
            "unescaped_apostrophes = true, if reading stops at such a text",
            "set unescaped_apostrophes = true",
            advice=True,
        )


def undo_findings(probe: Probe, estimates: Mapping[TableName, int]) -> Iterator[Finding]:
    """Is undo kept as long as the snapshot of all tables under one SCN is likely to take?

    Args:
        probe: of the database with the tables, whose undo it is.
        estimates: rows of each table, as the optimizer's statistics tell.
    """
    kept_s = int(probe.rows(UNDO_RETENTION)[0][0])
    rows = sum(estimates.values())
    needed_s = rows // SNAPSHOT_ROWS_PER_S
    if needed_s > kept_s:
        yield Finding(
            "parameter undo_retention",
            f"{kept_s} s; the snapshot reads {rows:,} rows under one SCN, about {needed_s} s at "
            f"{SNAPSHOT_ROWS_PER_S:,} rows a second, and begins again when undo is gone (ORA-01555)",
            f"{2 * needed_s} s while the first snapshot runs, and an undo tablespace that holds it",
            f"alter system set undo_retention = {2 * needed_s};",
            advice=True,
        )


def character_set_findings(probe: Probe, inside: Probe) -> Iterator[Finding]:
    """Can texts be decoded from internal bytes, and does the root write them as their container does?

    Args:
        probe: of the database that is mined.
        inside: of the one with the tables, perhaps the same.
    """
    mined, name = _character_set(probe), _character_set(inside)
    if mined != name:
        yield Finding(
            "database character set",
            f"{name} in the pluggable database, {mined} in the root",
            "the same in both: how the root writes texts of the other is not known",
            "set dsn to the service of the pluggable database, and remove pdb: LogMiner then runs inside it "
            "(19.10 and later)",
        )
    if codec(name) == REFUSING:
        yield Finding(
            "database character set",
            f"{name}: no codec for it",
            "AL32UTF8 or another known set: rows from before a DDL stop their table where they hold texts",
            "before DDL on a captured table let ccbridge read up to it",
            advice=True,
        )


def _character_set(probe: Probe) -> str:
    rows = probe.rows(CHARACTER_SET)
    return str(rows[0][0]) if rows else "unknown"


def destination_findings(probe: Probe, settings: OracleSystem) -> Iterator[Finding]:
    """Each redo thread must archive to one of the destinations that may be read."""
    configured = settings.archive_destinations
    if not configured:
        return
    found: dict[int, set[int]] = {}
    for thread, destination, _ in probe.rows(LOGS):
        found.setdefault(int(thread), set()).add(int(destination))
    for thread, destinations in sorted(found.items()):
        destinations.discard(0)  # restored ones may always be used
        if destinations and not destinations & set(configured):
            there = ", ".join(map(str, sorted(destinations)))
            yield Finding(
                f"setting archive_destinations, thread {thread}",
                f"{', '.join(map(str, configured))}; its logs are at {there} only",
                "a destination of each redo thread",
                f"set archive_destinations to include one of {there}",
            )


def thread_findings(probe: Probe) -> Iterator[Finding]:
    """PRIVATE threads are read like others; only the instance that names one can use it."""
    for thread, status in probe.rows(PRIVATE_THREADS):
        yield Finding(
            f"redo thread {thread}",
            f"PRIVATE, {status}: read like the others",
            "PUBLIC, so that any instance can open it",
            f"alter database disable thread {thread}; alter database enable public thread {thread};"
            " -- while its instance is down",
            advice=True,
        )
