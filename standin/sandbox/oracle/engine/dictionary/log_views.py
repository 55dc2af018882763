"""V$ views of the redo: logs online and archived, threads, LogMiner's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sandbox.oracle.engine.logminer.mining import archive_name, copy_name, member_name, online_logs, shown_scn
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.state.views import Rows, host_time, view
from sandbox.oracle.engine.store.journal import Journal, LogFile
from sandbox.oracle.engine.store.redo_threads import GROUPS

NO_END_SCN = 9_295_429_630_892_703_743
"""NEXT_CHANGE# of the current log in 19c."""

LOG_BYTES = 209_715_200
BLOCK_BYTES = 512


def _time(env: Env, seconds: float | None) -> datetime | None:
    return None if seconds is None else host_time(env, seconds)


def _groups(journal: Journal) -> range:
    return range(1, len(journal.threads) * GROUPS + 1)


def _closed(journal: Journal) -> Iterator[LogFile]:
    return (each for each in journal.logs if not each.current)


@view(
    "V$LOG",
    "GROUP#:n THREAD#:n SEQUENCE#:n BYTES:n BLOCKSIZE:n "
    "MEMBERS:n ARCHIVED:3 STATUS:16 FIRST_CHANGE#:n "
    "FIRST_TIME:d NEXT_CHANGE#:n NEXT_TIME:d CON_ID:n",
)
def _log(env: Env) -> Rows:
    database = env.session.database
    journal = database.storage.journal
    for group, each in sorted(online_logs(database).items()):
        status = "CURRENT" if each.current else "INACTIVE"
        if group in journal.cleared_groups:
            newest = each is journal.current(each.thread)
            yield (
                *(group, each.thread, each.sequence, LOG_BYTES, BLOCK_BYTES, 1, "NO"),
                *(
                    "CLEARING_CURRENT" if newest else "CLEARING",
                    each.first_scn,
                    _time(env, each.first_time),
                ),
                *(NO_END_SCN if newest else each.next_scn, _time(env, each.next_time), 0),
            )
            continue
        archived = "NO" if each.current or each.hidden_looks or not database.archive_log else "YES"
        end = NO_END_SCN if each.next_scn is None else each.next_scn
        yield (
            *(group, each.thread, each.sequence, LOG_BYTES, BLOCK_BYTES, 1, archived, status),
            *(each.first_scn, _time(env, each.first_time), end, _time(env, each.next_time), 0),
        )
    for group in sorted(set(_groups(journal)) - online_logs(database).keys()):
        thread_number = (group - 1) // GROUPS + 1
        status = "CLEARING" if group in journal.cleared_groups else "UNUSED"
        yield (group, thread_number, 0, LOG_BYTES, BLOCK_BYTES, 1, "YES", status, 0, None, 0, None, 0)


@view("V$LOGFILE", "GROUP#:n STATUS:7 TYPE:7 MEMBER:513 IS_RECOVERY_DEST_FILE:3 CON_ID:n")
def _logfile(env: Env) -> Rows:
    database = env.session.database
    journal = database.storage.journal
    for group in _groups(journal):
        yield (group, None, "ONLINE", member_name(database, group), "NO", 0)


@view(
    "V$ARCHIVED_LOG",
    "RECID:n STAMP:n NAME:513 DEST_ID:n THREAD#:n SEQUENCE#:n RESETLOGS_CHANGE#:n RESETLOGS_TIME:d "
    "RESETLOGS_ID:n FIRST_CHANGE#:n FIRST_TIME:d NEXT_CHANGE#:n NEXT_TIME:d BLOCKS:n BLOCK_SIZE:n "
    "CREATOR:7 REGISTRAR:7 STANDBY_DEST:3 ARCHIVED:3 APPLIED:9 DELETED:3 STATUS:1 COMPLETION_TIME:d "
    "DICTIONARY_BEGIN:3 DICTIONARY_END:3 CON_ID:n",
)
def _archived(env: Env) -> Rows:
    database = env.session.database
    journal = database.storage.journal
    if not database.archive_log:
        return
    copies = set(map(id, journal.copies))
    for record, each in enumerate([*_closed(journal), *journal.copies], 1):
        if each.hidden_looks:
            each.hidden_looks -= 1
            continue
        named = copy_name if id(each) in copies else archive_name
        name = None if each.deleted else named(database, each)
        records = (each.end_record or 0) - each.first_record
        yield (
            *(
                record,
                1_100_000_000 + record,
                name,
                0 if each.restored else 1,
                each.thread,
                each.sequence,
            ),
            *(database.resetlogs_scn, _time(env, database.resetlogs_at), 1),
            *(each.first_scn, _time(env, each.first_time), each.next_scn, _time(env, each.next_time)),
            *(records, BLOCK_BYTES, "ARCH", "RMAN" if each.restored else "ARCH", "NO", "YES", "NO"),
            *(
                "YES" if each.deleted else "NO",
                "D" if each.deleted else "A",
                _time(env, each.next_time),
                "NO",
                "NO",
                0,
            ),
        )


@view(
    "V$LOG_HISTORY",
    "RECID:n STAMP:n THREAD#:n SEQUENCE#:n FIRST_CHANGE#:n FIRST_TIME:d NEXT_CHANGE#:n "
    "RESETLOGS_CHANGE#:n RESETLOGS_TIME:d CON_ID:n",
)
def _history(env: Env) -> Rows:
    database = env.session.database
    journal = database.storage.journal
    for record, each in enumerate(list(_closed(journal)), 1):
        yield (
            *(
                record,
                record,
                each.thread,
                each.sequence,
                each.first_scn,
                _time(env, each.first_time),
                each.next_scn,
            ),
            *(database.resetlogs_scn, _time(env, database.resetlogs_at), 0),
        )


@view(
    "V$ARCHIVE_DEST_STATUS",
    "DEST_ID:n DEST_NAME:256 STATUS:9 TYPE:16 DATABASE_MODE:15 RECOVERY_MODE:34 DESTINATION:256 "
    "ERROR:256 SRL:3 CON_ID:n",
)
@view(
    "V$ARCHIVE_DEST",
    "DEST_ID:n DEST_NAME:256 STATUS:9 TYPE:16 DATABASE_MODE:15 RECOVERY_MODE:34 DESTINATION:256 "
    "ERROR:256 SRL:3 CON_ID:n",
)
def _destinations(env: Env) -> Rows:
    database = env.session.database
    folder = f"/opt/oracle/archive/{database.name}"
    yield (1, "LOG_ARCHIVE_DEST_1", "VALID", "LOCAL", "OPEN", "IDLE", folder, None, "YES", 0)
    for number in range(2, 6):
        yield (
            number,
            f"LOG_ARCHIVE_DEST_{number}",
            "INACTIVE",
            "LOCAL",
            "UNKNOWN",
            "IDLE",
            None,
            None,
            "NO",
            0,
        )


@view(
    "V$THREAD",
    "THREAD#:n STATUS:6 ENABLED:8 GROUPS:n INSTANCE:80 OPEN_TIME:d CURRENT_GROUP#:n SEQUENCE#:n "
    "CHECKPOINT_CHANGE#:n CHECKPOINT_TIME:d ENABLE_CHANGE#:n ENABLE_TIME:d DISABLE_CHANGE#:n "
    "DISABLE_TIME:d LAST_REDO_SEQUENCE#:n LAST_REDO_BLOCK:n "
    "LAST_REDO_CHANGE#:n LAST_REDO_TIME:d CON_ID:n",
)
def _thread(env: Env) -> Rows:
    database = env.session.database
    journal = database.storage.journal
    now = _time(env, env.now)
    with database.storage.lock:
        if not journal.heartbeat_s:
            database.storage.next_scn()  # what the background processes of an idle instance log
        shown = [
            (each, journal.current(each.number), shown_scn(database, each.number))
            for each in journal.threads.values()
        ]
    for each, current, last_redo in shown:
        checkpoint = last_redo if each.is_open else each.closed_scn
        instance = database.name if each.number == 1 else f"{database.name}{each.number}"
        yield (
            *(each.number, "OPEN" if each.is_open else "CLOSED", each.enabled, GROUPS, instance),
            *(_time(env, each.opened_at), current.group, current.sequence, checkpoint, now),
            *(each.enabled_scn, _time(env, each.opened_at), each.disabled_scn or 0, None),
            *(current.sequence, 2, last_redo, now, 0),
        )


@view(
    "V$LOGMNR_LOGS",
    "LOG_ID:n FILENAME:512 LOW_TIME:d HIGH_TIME:d DB_ID:n DB_NAME:8 RESET_SCN:n RESET_SCN_TIME:d "
    "THREAD_ID:n THREAD_SQN:n LOW_SCN:n NEXT_SCN:n DICTIONARY_BEGIN:3 DICTIONARY_END:3 TYPE:8 "
    "BLOCKSIZE:n FILESIZE:n INFO:32 STATUS:n",
)
def _mined_logs(env: Env) -> Rows:
    database = env.session.database
    for number, added in enumerate(env.session.mining_files):
        each = added.log
        end = NO_END_SCN if each.next_scn is None else each.next_scn
        yield (
            *(
                number + 1,
                added.name,
                _time(env, each.first_time),
                _time(env, each.next_time),
                database.dbid,
            ),
            *(database.name, database.resetlogs_scn, _time(env, database.resetlogs_at)),
            *(each.thread, each.sequence),
            *(
                each.first_scn,
                end,
                "NO",
                "NO",
                "ONLINE" if added.online else "ARCHIVED",
                512,
                LOG_BYTES,
                None,
                0,
            ),
        )


@view(
    "V$LOGMNR_PARAMETERS",
    "START_DATE:d END_DATE:d START_SCN:n END_SCN:n REQUIRED_START_SCN:n OPTIONS:n INFO:32 STATUS:n",
)
def _parameters(env: Env) -> Rows:
    run = env.session.mining
    if run is not None:
        yield (None, None, run.start_scn, run.end_scn, run.start_scn, run.options, None, 0)
