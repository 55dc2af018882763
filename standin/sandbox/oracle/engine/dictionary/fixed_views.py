"""V$ views of the instance: database, sessions, transactions, parameters, statistics."""

from __future__ import annotations

from sandbox.oracle.engine.state.containers import shows
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.state.instances import instance_name, is_cluster
from sandbox.oracle.engine.state.nls import VERSION, character_sets
from sandbox.oracle.engine.state.views import Rows, host_time, view
from sandbox.oracle.engine.store.transactions import Transaction

STATISTICS = ("session uga memory", "session uga memory max", "session pga memory", "session pga memory max")
MEMORY_BYTES = 4_194_304

PARAMETERS = {
    "compatible": "19.0.0",
    "db_block_size": "8192",
    "db_name": "",
    "enable_goldengate_replication": "FALSE",
    "log_archive_dest_1": "",
    "log_archive_format": "%t_%s_%r.arc",
    "max_string_size": "STANDARD",
    "nls_length_semantics": "CHAR",
    "open_cursors": "300",
    "undo_retention": "900",
    "utl_file_dir": "",
}


_TRANSACTION_COLUMNS = (
    "ADDR:16 XIDUSN:n XIDSLOT:n XIDSQN:n STATUS:16 START_TIME:20 START_DATE:d START_SCN:n XID:r "
    "SES_ADDR:16 NAME:256 USED_UREC:n USED_UBLK:n CON_ID:n"
)


@view(
    "V$DATABASE",
    "DBID:n NAME:9 CREATED:d RESETLOGS_CHANGE#:n RESETLOGS_TIME:d PRIOR_RESETLOGS_CHANGE#:n "
    "PRIOR_RESETLOGS_TIME:d LOG_MODE:12 CHECKPOINT_CHANGE#:n ARCHIVE_CHANGE#:n CONTROLFILE_TYPE:7 "
    "CONTROLFILE_TIME:d OPEN_MODE:20 PROTECTION_MODE:20 PROTECTION_LEVEL:20 DATABASE_ROLE:16 "
    "SWITCHOVER_STATUS:20 SUPPLEMENTAL_LOG_DATA_MIN:8 SUPPLEMENTAL_LOG_DATA_PK:3 "
    "SUPPLEMENTAL_LOG_DATA_UI:3 SUPPLEMENTAL_LOG_DATA_FK:3 SUPPLEMENTAL_LOG_DATA_ALL:3 "
    "SUPPLEMENTAL_LOG_DATA_PL:3 FORCE_LOGGING:39 PLATFORM_NAME:101 PLATFORM_ID:n "
    "RECOVERY_TARGET_INCARNATION#:n LAST_OPEN_INCARNATION#:n CURRENT_SCN:n FLASHBACK_ON:18 "
    "DATAGUARD_BROKER:8 DB_UNIQUE_NAME:30 PRIMARY_DB_UNIQUE_NAME:30 CDB:3 CON_ID:n GUARD_STATUS:7",
)
def _of_database(env: Env) -> Rows:
    database = env.session.database
    scn = database.storage.next_scn()  # an idle database's SCN rises too
    levels = next(iter(database.containers)).supplemental

    def yes(level: str) -> str:
        return "YES" if level in levels else "NO"

    minimal = "YES" if "MIN" in levels else ("IMPLICIT" if levels else "NO")
    started = host_time(env, database.started_at)
    yield (
        *(
            database.dbid,
            database.name,
            started,
            database.resetlogs_scn,
            host_time(env, database.resetlogs_at),
        ),
        *(0, None, "ARCHIVELOG" if database.archive_log else "NOARCHIVELOG", scn, scn),
        *(
            "CURRENT",
            started,
            "READ ONLY"
            if database.storage.journal.threads[env.session.thread].read_only
            else env.session.container.open_mode,
            "UNPROTECTED",
            "MAXIMUM PERFORMANCE",
            database.role,
            "NOT ALLOWED",
        ),
        *(minimal, yes("PRIMARY KEY"), yes("UNIQUE"), yes("FOREIGN KEY"), yes("ALL"), "NO"),
        *("YES" if database.force_logging else "NO", "Linux x86 64-bit (simulated)", 13, 1, 2, scn),
        *(
            "NO",
            "NO",
            database.name,
            database.name,
            "YES" if database.containers.root else "NO",
            0,
            "NONE",
        ),
    )


@view(
    "V$INSTANCE",
    "INSTANCE_NUMBER:n INSTANCE_NAME:16 HOST_NAME:64 VERSION:17 STARTUP_TIME:d STATUS:12 PARALLEL:3 "
    "THREAD#:n ARCHIVER:7 LOGINS:10 SHUTDOWN_PENDING:3 DATABASE_STATUS:17 INSTANCE_ROLE:18 "
    "ACTIVE_STATE:9 BLOCKED:3 CON_ID:n INSTANCE_MODE:11 EDITION:7 FAMILY:80 VERSION_FULL:17",
)
def _instance(env: Env) -> Rows:
    database = env.session.database
    thread = env.session.thread
    yield (
        *(
            thread,
            instance_name(database, thread),
            "stand-in",
            VERSION,
            host_time(env, database.started_at),
            "OPEN",
        ),
        *("YES" if is_cluster(database) else "NO", thread, "STARTED"),
        *(
            "RESTRICTED" if next(iter(database.containers)).restricted else "ALLOWED",
            "NO",
            "ACTIVE",
            "PRIMARY_INSTANCE",
            "NORMAL",
            "NO",
            0,
            "REGULAR",
            "EE",
            None,
            VERSION,
        ),
    )


@view(
    "V$PARAMETER",
    "NUM:n NAME:80 TYPE:n VALUE:4000 DISPLAY_VALUE:4000 ISDEFAULT:9 ISSES_MODIFIABLE:5 "
    "ISSYS_MODIFIABLE:9 CON_ID:n",
)
@view(
    "V$SYSTEM_PARAMETER",
    "NUM:n NAME:80 TYPE:n VALUE:4000 DISPLAY_VALUE:4000 ISDEFAULT:9 ISSES_MODIFIABLE:5 "
    "ISSYS_MODIFIABLE:9 CON_ID:n",
)
def _parameters(env: Env) -> Rows:
    database = env.session.database
    named = {
        "db_name": database.name,
        "log_archive_dest_1": f"LOCATION=/opt/oracle/archive/{database.name}",
    }
    for number, (name, value) in enumerate({**PARAMETERS, **named, **database.parameters}.items(), 1):
        yield (number, name, 2, value, value, "TRUE", "FALSE", "IMMEDIATE", 0)


@view("V$TRANSACTION", _TRANSACTION_COLUMNS)
def _transactions(env: Env) -> Rows:
    database = env.session.database
    for transaction in list(database.storage.open_transactions):
        if not transaction.start_scn or not shows(env.session, transaction.container):
            continue
        began = host_time(env, transaction.started_at)
        yield (
            *(_address(transaction), transaction.undo_segment, transaction.slot),
            *(transaction.sequence, "ACTIVE", began.strftime("%m/%d/%y %H:%M:%S"), began),
            *(transaction.start_scn, transaction.xid, f"{transaction.session_id:016X}"),
            *(transaction.name, len(transaction.changes), len(transaction.changes)),
            transaction.container,
        )


@view(
    "V$SESSION",
    "SID:n SERIAL#:n AUDSID:n USERNAME:128 SCHEMANAME:128 STATUS:8 SERVER:9 OSUSER:128 MACHINE:64 "
    "PROGRAM:84 TYPE:10 MODULE:64 ACTION:64 CLIENT_IDENTIFIER:64 CLIENT_INFO:64 LOGON_TIME:d "
    "SADDR:16 TADDR:16 SERVICE_NAME:64 SQL_TEXT:4000 CON_ID:n",
)
def _sessions(env: Env) -> Rows:
    database = env.session.database
    for session in list(database.sessions.values()):
        client = session.client
        transaction = session.transaction
        if not shows(env.session, session.container.number):
            continue
        yield (
            *(session.id, session.serial, session.id, session.user, session.schema),
            *("ACTIVE" if session is env.session else "INACTIVE", "DEDICATED", "oracle", client.machine),
            *(client.program, "USER", client.module, client.action, client.identifier, client.info),
            *(host_time(env, session.logged_on_at), f"{session.id:016X}"),
            *(_address(transaction) if transaction else "00", client.service or database.name),
            *(session.statement[:1000], session.container.number),
        )


@view("V$STATNAME", "STATISTIC#:n NAME:64 CLASS:n STAT_ID:n ID:n DISPLAY_NAME:64 CON_ID:n")
def _statistics(env: Env) -> Rows:
    yield from ((number, name, 1, 0, number, name, 0) for number, name in enumerate(STATISTICS, 20))


@view("V$MYSTAT", "SID:n STATISTIC#:n VALUE:n CON_ID:n")
def _own_statistics(env: Env) -> Rows:
    yield from ((env.session.id, number, MEMORY_BYTES, 0) for number in range(20, 20 + len(STATISTICS)))


@view("V$VERSION", "BANNER:80 BANNER_FULL:160 BANNER_LEGACY:80 CON_ID:n", free=True)
def _version(env: Env) -> Rows:
    database = env.session.database
    yield (database.banner, f"{database.banner}\nVersion {VERSION}", database.banner, 0)


@view(
    "V$DATABASE_INCARNATION",
    "INCARNATION#:n RESETLOGS_CHANGE#:n RESETLOGS_TIME:d PRIOR_RESETLOGS_CHANGE#:n "
    "PRIOR_RESETLOGS_TIME:d STATUS:7 RESETLOGS_ID:n "
    "PRIOR_INCARNATION#:n FLASHBACK_DATABASE_ALLOWED:26 "
    "CON_ID:n",
)
def _incarnation(env: Env) -> Rows:
    database = env.session.database
    yield (
        1,
        database.resetlogs_scn,
        host_time(env, database.resetlogs_at),
        0,
        None,
        "CURRENT",
        1,
        0,
        "NO",
        0,
    )


@view("V$TIMEZONE_NAMES", "TZNAME:64 TZABBREV:64 CON_ID:n", free=True)
def _time_zones(env: Env) -> Rows:
    yield from (("UTC", "GMT", 0), ("Africa/Douala", "WAT", 0), ("Europe/Paris", "CET", 0))


@view("V$NLS_PARAMETERS", "PARAMETER:64 VALUE:64 CON_ID:n", free=True)
def _session_formats(env: Env) -> Rows:
    yield from ((name, value, 0) for name, value in {**env.session.nls, **character_sets(env)}.items())


@view("V$UNDOSTAT", "BEGIN_TIME:d END_TIME:d UNDOTSN:n UNDOBLKS:n TUNED_UNDORETENTION:n MAXQUERYLEN:n")
def _undo(env: Env) -> Rows:
    database = env.session.database
    kept_s = int(database.undo_retention_s or 900)
    yield (host_time(env, database.started_at), host_time(env, env.now), 2, 0, kept_s, kept_s)


@view("V$SANDBOX_FAULTS", "NUM:n MOMENT:10 CODE:n STATEMENT:4000 FIRED:n TIMES_LEFT:n")
def _scripted_faults(env: Env) -> Rows:
    database = env.session.database
    for fault in database.faults.listed():
        yield (fault.number, fault.moment.value, fault.code, fault.statement, fault.fired, fault.left)


@view("DATABASE_PROPERTIES", "PROPERTY_NAME:128 PROPERTY_VALUE:4000 DESCRIPTION:4000")
def _database_properties(env: Env) -> Rows:
    return iter(
        [
            ("DBTIMEZONE", "00:00", "DB time zone"),
            ("LOCAL_UNDO_ENABLED", "TRUE", "true if local undo is enabled"),
        ]
    )


def _address(transaction: Transaction) -> str:
    """ADDR of a transaction, TADDR of its session."""
    return f"{transaction.container:04X}{transaction.number:012X}"
