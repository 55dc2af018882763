"""What the database as a whole must be set to, and what would be wiser: each finding with the SQL for it.

Read next: `cdc.readers.logminer.table_checks`.

Source: Oracle Database Reference 19c: V$DATABASE, V$PARAMETER, V$ARCHIVED_LOG, SESSION_PRIVS; Amazon RDS User
Guide, "Performing common database tasks for Oracle DB instances".
"""

from __future__ import annotations

from collections.abc import Iterator

from cdc.config import OracleSystem
from cdc.ports import Finding
from cdc.readers.logminer.charsets import codec
from cdc.readers.logminer.probe import Probe

DATABASE = """
select log_mode, supplemental_log_data_min, supplemental_log_data_all, force_logging from v$database"""
CHARACTER_SET = "select value from nls_database_parameters where parameter = 'NLS_CHARACTERSET'"
PARAMETERS = """
select name, upper(value) from v$parameter where name in ('max_string_size', '_transaction_auditing')"""
LOGS = """
select a.thread#, a.dest_id, count(*) from v$archived_log a, v$database d
where a.archived = 'YES' and a.standby_dest = 'NO' and a.resetlogs_change# = d.resetlogs_change#
group by a.thread#, a.dest_id"""
SYSTEM_RIGHTS = "select privilege from user_sys_privs"
ROLES = "select granted_role from user_role_privs"
ROLE_RIGHTS = "select role, privilege from role_sys_privs"
BROAD = frozenset(("ALTER DATABASE", "ALTER SYSTEM", "ALTER USER", "CREATE USER", "DROP USER"))
"""Together with every right that has ANY in its name."""


def database_findings(probe: Probe, *, rds: bool) -> Iterator[Finding]:
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
            else "alter database add supplemental log data;",
        )
    if forced != "YES":
        yield Finding(
            "force logging",
            str(forced),
            "YES: loads without logging are in no redo and stay unseen",
            "begin rdsadmin.rdsadmin_util.force_logging(p_enable => true); end;"
            if rds
            else "alter database force logging;",
            advice=True,
        )


def logs_all_columns(probe: Probe) -> bool:
    """Does the whole database log all columns?"""
    return bool(probe.rows(DATABASE)[0][2] == "YES")


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


def character_set_findings(probe: Probe) -> Iterator[Finding]:
    """Can texts be decoded from internal bytes?"""
    rows = probe.rows(CHARACTER_SET)
    name = str(rows[0][0]) if rows else "unknown"
    try:
        codec(name)
    except LookupError:
        yield Finding("database character set", name, "AL32UTF8 or a single-byte set", "")


def destination_findings(probe: Probe, settings: OracleSystem) -> Iterator[Finding]:
    """Each redo thread must archive to one of the destinations that may be read."""
    wanted = settings.archive_destinations
    if not wanted:
        return
    found: dict[int, set[int]] = {}
    for thread, destination, _ in probe.rows(LOGS):
        found.setdefault(int(thread), set()).add(int(destination))
    for thread, destinations in sorted(found.items()):
        if not destinations & set(wanted):
            there = ", ".join(map(str, sorted(destinations)))
            yield Finding(
                f"setting archive_destinations, thread {thread}",
                f"{', '.join(map(str, wanted))}; its logs are at {there} only",
                "a destination of each redo thread",
                f"set archive_destinations to include one of {there}",
            )


def power_findings(probe: Probe, settings: OracleSystem) -> Iterator[Finding]:
    """Rights over everything, which the bridge does not need: whoever has its password has them."""
    user = settings.user
    held = sorted(str(name) for (name,) in probe.rows(SYSTEM_RIGHTS))
    roles: dict[str, list[str]] = {}
    for role, right in probe.rows(ROLE_RIGHTS):
        if _is_broad(str(right)):
            roles.setdefault(str(role), []).append(str(right))
    for right in filter(_is_broad, held):
        yield _too_broad(user, f"system privilege {right}", right)
    for (role,) in sorted(probe.rows(ROLES)):
        if role in roles:
            yield _too_broad(user, f"role {role} ({', '.join(sorted(roles[role])[:3])}..)", str(role))


def _is_broad(right: str) -> bool:
    return " ANY " in f" {right} " or right in BROAD


def _too_broad(user: str, what: str, revoked: str) -> Finding:
    return Finding(
        f"rights of {user}", what, "only what ccbridge grants prints", f"revoke {revoked} from {user};",
        advice=True,
    )  # fmt: skip
