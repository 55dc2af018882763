"""V$ views of the instance: database, sessions, transactions, parameters, statistics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sandbox.oracle.engine.state.containers import shows
from sandbox.oracle.engine.state.context import Env, Instance
from sandbox.oracle.engine.state.instances import instance_name, is_cluster
from sandbox.oracle.engine.state.nls import VERSION, character_sets
from sandbox.oracle.engine.state.views import FixedView, view
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


def views(database: Instance) -> list[FixedView]:
    """Views of this module."""

    def time(seconds: float) -> datetime:
        return database.local_time(seconds).replace(microsecond=0)

    def of_database(env: Env) -> Iterator[Sequence[object]]:
        scn = database.storage.next_scn()  # an idle database's SCN rises too
        levels = next(iter(database.containers)).supplemental

        def yes(level: str) -> str:
            return "YES" if level in levels else "NO"

        minimal = "YES" if "MIN" in levels else ("IMPLICIT" if levels else "NO")
        started = time(database.started_at)
        yield (
            *(database.dbid, database.name, started, database.resetlogs_scn, time(database.resetlogs_at)),
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

    def instance(env: Env) -> Iterator[Sequence[object]]:
        thread = env.session.thread
        yield (
            *(
                thread,
                instance_name(database, thread),
                "stand-in",
                VERSION,
                time(database.started_at),
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

    def parameters(env: Env) -> Iterator[Sequence[object]]:
        named = {
            "db_name": database.name,
            "log_archive_dest_1": f"LOCATION=/opt/oracle/archive/{database.name}",
        }
        for number, (name, value) in enumerate({**PARAMETERS, **named, **database.parameters}.items(), 1):
            yield (number, name, 2, value, value, "TRUE", "FALSE", "IMMEDIATE", 0)

    def transactions(env: Env) -> Iterator[Sequence[object]]:
        for transaction in list(database.storage.open_transactions):
            if not transaction.start_scn or not shows(env.session, transaction.container):
                continue
            began = time(transaction.started_at)
            yield (
                *(_address(transaction), transaction.undo_segment, transaction.slot),
                *(transaction.sequence, "ACTIVE", began.strftime("%m/%d/%y %H:%M:%S"), began),
                *(transaction.start_scn, transaction.xid, f"{transaction.session_id:016X}"),
                *(transaction.name, len(transaction.changes), len(transaction.changes)),
                transaction.container,
            )

    def sessions(env: Env) -> Iterator[Sequence[object]]:
        for session in list(database.sessions.values()):
            client = session.client
            transaction = session.transaction
            if not shows(env.session, session.container.number):
                continue
            yield (
                *(session.id, session.serial, session.id, session.user, session.schema),
                *("ACTIVE" if session is env.session else "INACTIVE", "DEDICATED", "oracle", client.machine),
                *(client.program, "USER", client.module, client.action, client.identifier, client.info),
                *(time(session.logged_on_at), f"{session.id:016X}"),
                *(_address(transaction) if transaction else "00", client.service or database.name),
                *(session.statement[:1000], session.container.number),
            )

    def statistics(env: Env) -> Iterator[Sequence[object]]:
        yield from ((number, name, 1, 0, number, name, 0) for number, name in enumerate(STATISTICS, 20))

    def own_statistics(env: Env) -> Iterator[Sequence[object]]:
        yield from ((env.session.id, number, MEMORY_BYTES, 0) for number in range(20, 20 + len(STATISTICS)))

    def version(env: Env) -> Iterator[Sequence[object]]:
        yield (database.banner, f"{database.banner}\nVersion {VERSION}", database.banner, 0)

    def incarnation(env: Env) -> Iterator[Sequence[object]]:
        yield (1, database.resetlogs_scn, time(database.resetlogs_at), 0, None, "CURRENT", 1, 0, "NO", 0)

    def time_zones(env: Env) -> Iterator[Sequence[object]]:
        yield from (("UTC", "GMT", 0), ("Africa/Douala", "WAT", 0), ("Europe/Paris", "CET", 0))

    def session_formats(env: Env) -> Iterator[Sequence[object]]:
        yield from ((name, value, 0) for name, value in {**env.session.nls, **character_sets(env)}.items())

    def undo(env: Env) -> Iterator[Sequence[object]]:
        kept_s = int(database.undo_retention_s or 900)
        yield (time(database.started_at), time(env.now), 2, 0, kept_s, kept_s)

    def scripted_faults(env: Env) -> Iterator[Sequence[object]]:
        for fault in database.faults.listed():
            yield (fault.number, fault.moment.value, fault.code, fault.statement, fault.fired, fault.left)

    transaction_columns = (
        "ADDR:16 XIDUSN:n XIDSLOT:n XIDSQN:n STATUS:16 START_TIME:20 START_DATE:d START_SCN:n XID:r "
        "SES_ADDR:16 NAME:256 USED_UREC:n USED_UBLK:n CON_ID:n"
    )
    return [
        view(
            "V$DATABASE",
            "DBID:n NAME:9 CREATED:d RESETLOGS_CHANGE#:n RESETLOGS_TIME:d PRIOR_RESETLOGS_CHANGE#:n "
            "PRIOR_RESETLOGS_TIME:d LOG_MODE:12 CHECKPOINT_CHANGE#:n ARCHIVE_CHANGE#:n CONTROLFILE_TYPE:7 "
            "CONTROLFILE_TIME:d OPEN_MODE:20 PROTECTION_MODE:20 PROTECTION_LEVEL:20 DATABASE_ROLE:16 "
            "SWITCHOVER_STATUS:20 SUPPLEMENTAL_LOG_DATA_MIN:8 SUPPLEMENTAL_LOG_DATA_PK:3 "
            "SUPPLEMENTAL_LOG_DATA_UI:3 SUPPLEMENTAL_LOG_DATA_FK:3 SUPPLEMENTAL_LOG_DATA_ALL:3 "
            "SUPPLEMENTAL_LOG_DATA_PL:3 FORCE_LOGGING:39 PLATFORM_NAME:101 PLATFORM_ID:n "
            "RECOVERY_TARGET_INCARNATION#:n LAST_OPEN_INCARNATION#:n CURRENT_SCN:n FLASHBACK_ON:18 "
            "DATAGUARD_BROKER:8 DB_UNIQUE_NAME:30 PRIMARY_DB_UNIQUE_NAME:30 CDB:3 CON_ID:n GUARD_STATUS:7",
            of_database,
        ),
        view(
            "V$INSTANCE",
            "INSTANCE_NUMBER:n INSTANCE_NAME:16 HOST_NAME:64 VERSION:17 STARTUP_TIME:d STATUS:12 PARALLEL:3 "
            "THREAD#:n ARCHIVER:7 LOGINS:10 SHUTDOWN_PENDING:3 DATABASE_STATUS:17 INSTANCE_ROLE:18 "
            "ACTIVE_STATE:9 BLOCKED:3 CON_ID:n INSTANCE_MODE:11 EDITION:7 FAMILY:80 VERSION_FULL:17",
            instance,
        ),
        view(
            "V$PARAMETER",
            "NUM:n NAME:80 TYPE:n VALUE:4000 DISPLAY_VALUE:4000 ISDEFAULT:9 ISSES_MODIFIABLE:5 "
            "ISSYS_MODIFIABLE:9 CON_ID:n",
            parameters,
        ),
        view(
            "V$SYSTEM_PARAMETER",
            "NUM:n NAME:80 TYPE:n VALUE:4000 DISPLAY_VALUE:4000 ISDEFAULT:9 ISSES_MODIFIABLE:5 "
            "ISSYS_MODIFIABLE:9 CON_ID:n",
            parameters,
        ),
        view("V$TRANSACTION", transaction_columns, transactions),
        view(
            "V$SESSION",
            "SID:n SERIAL#:n AUDSID:n USERNAME:128 SCHEMANAME:128 STATUS:8 SERVER:9 OSUSER:128 MACHINE:64 "
            "PROGRAM:84 TYPE:10 MODULE:64 ACTION:64 CLIENT_IDENTIFIER:64 CLIENT_INFO:64 LOGON_TIME:d "
            "SADDR:16 TADDR:16 SERVICE_NAME:64 SQL_TEXT:4000 CON_ID:n",
            sessions,
        ),
        view(
            "V$STATNAME", "STATISTIC#:n NAME:64 CLASS:n STAT_ID:n ID:n DISPLAY_NAME:64 CON_ID:n", statistics
        ),
        view("V$MYSTAT", "SID:n STATISTIC#:n VALUE:n CON_ID:n", own_statistics),
        view("V$VERSION", "BANNER:80 BANNER_FULL:160 BANNER_LEGACY:80 CON_ID:n", version, free=True),
        view(
            "V$DATABASE_INCARNATION",
            "INCARNATION#:n RESETLOGS_CHANGE#:n RESETLOGS_TIME:d PRIOR_RESETLOGS_CHANGE#:n "
            "PRIOR_RESETLOGS_TIME:d STATUS:7 RESETLOGS_ID:n "
            "PRIOR_INCARNATION#:n FLASHBACK_DATABASE_ALLOWED:26 "
            "CON_ID:n",
            incarnation,
        ),
        view(
            "DATABASE_PROPERTIES",
            "PROPERTY_NAME:128 PROPERTY_VALUE:4000 DESCRIPTION:4000",
            lambda env: [
                ("DBTIMEZONE", "00:00", "DB time zone"),
                ("LOCAL_UNDO_ENABLED", "TRUE", "true if local undo is enabled"),
            ],
        ),
        view(
            "V$SANDBOX_FAULTS", "NUM:n MOMENT:10 CODE:n STATEMENT:4000 FIRED:n TIMES_LEFT:n", scripted_faults
        ),
        view("V$TIMEZONE_NAMES", "TZNAME:64 TZABBREV:64 CON_ID:n", time_zones, free=True),
        view("V$NLS_PARAMETERS", "PARAMETER:64 VALUE:64 CON_ID:n", session_formats, free=True),
        view(
            "V$UNDOSTAT",
            "BEGIN_TIME:d END_TIME:d UNDOTSN:n UNDOBLKS:n TUNED_UNDORETENTION:n MAXQUERYLEN:n",
            undo,
        ),
    ]


def _address(transaction: Transaction) -> str:
    """ADDR of a transaction, TADDR of its session."""
    return f"{transaction.container:04X}{transaction.number:012X}"
