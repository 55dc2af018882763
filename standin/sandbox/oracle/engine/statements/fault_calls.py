"""The procedures of package SANDBOX_FAULTS; SYS and SYSTEM may call them, USE_THREAD everybody.

    add_error(code, message, statement, username, skip, times, after_rows, moment, argument, below)
    add_delay(seconds, statement, username, skip, times, after_rows, moment)
    add_disconnect(statement, username, skip, times, after_rows, moment)      clear
    switch_logs(every)    delay_archiving(looks)    purge_logs(how, up_to, thread)    restore_logs
    copy_log(thread)      clear_logs(thread)
    open_thread(thread, private, read_only)         close_thread(thread)    use_thread(thread)
    disable_thread(thread)                          enable_thread(thread)
    delay_flush(thread)   hold_flush(thread)        flush                   heartbeat(seconds)
    late_commits(on)      mine_from_start(scns, commits)
    share_commits(times)  new_incarnation           open_pdb(name)
    leave_apostrophes                               mine_in_root_only       audit_logins(on)
    move_clock(seconds)
    open_database(mode, role, restricted)           set_character_set(name)

What they do is in the manual of the sandbox.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.oracle.engine.state.containers import READ_WRITE
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements.packages import PROCEDURES, Arguments, Procedure
from sandbox.oracle.engine.store.journal import LogFile
from sandbox.oracle.engine.store.redo_threads import GROUPS, RedoThread
from sandbox.oracle.faults.messages import message
from sandbox.oracle.faults.script import Moment
from sandbox.oracle.interface import OracleFault

Action = Callable[[Session, Arguments], None]
ADMINISTRATORS = ("SYS", "SYSTEM")


def _refused(text: str) -> OracleFault:
    return OracleFault(20998, f"sandbox_faults: {text}")


def _moment(arguments: Arguments) -> Moment:
    default = Moment.FETCH if arguments.has("AFTER_ROWS") else Moment.STATEMENT
    given = arguments.text("MOMENT").upper() or default
    if given not in Moment.__members__:
        raise _refused(f"moment is one of {', '.join(Moment)}, not {given}")
    return Moment(given)


def _add(session: Session, arguments: Arguments, code: int, text: str, seconds: float = 0.0) -> None:
    session.database.faults.add(
        _moment(arguments),
        code,
        text,
        statement=arguments.text("STATEMENT"),
        user=arguments.text("USERNAME").upper(),
        skip=arguments.number("SKIP"),
        left=arguments.number("TIMES", 1),
        after_rows=arguments.number("AFTER_ROWS"),
        seconds=seconds,
    )


def _add_error(session: Session, arguments: Arguments) -> None:
    code = arguments.number("CODE")
    if code <= 0:
        raise _refused("code is an ORA number above 0")
    text = arguments.text("MESSAGE") or message(
        code, argument=arguments.text("ARGUMENT"), below=arguments.number("BELOW", 3113)
    )
    _add(session, arguments, code, text)


def _add_delay(session: Session, arguments: Arguments) -> None:
    seconds = arguments.seconds("SECONDS")
    if seconds <= 0:
        raise _refused("seconds is a number above 0")
    _add(session, arguments, 0, "", seconds)


def _add_disconnect(session: Session, arguments: Arguments) -> None:
    _add(session, arguments, 0, "")


def _clear(session: Session, arguments: Arguments) -> None:
    session.database.faults.clear()


def _switch_logs(session: Session, arguments: Arguments) -> None:
    every = arguments.number("EVERY")
    if every <= 0:
        raise _refused("every is a number of redo records above 0")
    with session.storage.lock:
        session.storage.journal.set_log_size(every)


def _delay_archiving(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        session.storage.journal.archiver_looks = arguments.number("LOOKS")


def _closed(session: Session, arguments: Arguments) -> list[LogFile]:
    up_to, thread = arguments.number("UP_TO"), arguments.number("THREAD")
    return [
        log
        for log in session.storage.journal.logs
        if not log.current and (not up_to or log.sequence <= up_to) and thread in (0, log.thread)
    ]


def _purge_logs(session: Session, arguments: Arguments) -> None:
    how = arguments.text("HOW").upper() or "DELETED"
    if how not in ("DELETED", "LOST"):
        raise _refused(f"how is DELETED or LOST, not {how}")
    with session.storage.lock:
        for log in _closed(session, arguments):
            log.deleted, log.lost = how == "DELETED", how == "LOST"


def _restore_logs(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        for log in _closed(session, arguments):
            log.restored = log.restored or log.deleted or log.lost
            log.deleted = log.lost = False
            log.hidden_looks = 0


def _open_thread(session: Session, arguments: Arguments) -> None:
    number, storage = arguments.number("THREAD", 2), session.storage
    with storage.lock:
        journal = storage.journal
        known = journal.threads.get(number)
        usable = known is None or (not known.is_open and known.disabled_scn is None)
        if not usable or not 1 <= number <= len(journal.threads) + 1:
            raise _refused(f"thread {number} cannot be opened")
        private, read_only = bool(arguments.number("PRIVATE")), bool(arguments.number("READ_ONLY"))
        journal.open_thread(number, storage.next_scn(), private=private, read_only=read_only)


def _disable_thread(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        _closed_thread(session, arguments).disabled_scn = session.storage.next_scn()


def _enable_thread(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        thread = _closed_thread(session, arguments)
        thread.disabled_scn, thread.enabled_scn = None, session.storage.next_scn()


def _closed_thread(session: Session, arguments: Arguments) -> RedoThread:
    number = arguments.number("THREAD", 2)
    found = session.storage.journal.threads.get(number)
    if found is None or found.is_open:
        raise _refused(f"thread {number} is not closed")
    return found


def _close_thread(session: Session, arguments: Arguments) -> None:
    number, storage = arguments.number("THREAD", 2), session.storage
    with storage.lock:
        if any(transaction.thread == number for transaction in storage.open_transactions):
            raise _refused(f"thread {number} has open transactions")
        _thread(session, number)
        storage.journal.close_thread(number, storage.next_scn())


def _thread(session: Session, number: int) -> int:
    found = session.storage.journal.threads.get(number)
    if found is None or not found.is_open:
        raise _refused(f"thread {number} is not open")
    return number


def _use_thread(session: Session, arguments: Arguments) -> None:
    if session.transaction is not None:
        raise _refused("a session changes its thread between transactions")
    session.thread = _thread(session, arguments.number("THREAD", 1))


def _delay_flush(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        session.storage.journal.threads[_thread(session, arguments.number("THREAD", 1))].delayed = True


def _hold_flush(session: Session, arguments: Arguments) -> None:
    storage = session.storage
    with storage.lock:
        thread = storage.journal.threads[_thread(session, arguments.number("THREAD", 1))]
        thread.delayed = False
        thread.flushed = thread.flushed or storage.journal.flush_point(storage.scn)


def _flush(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        for thread in session.storage.journal.threads.values():
            thread.delayed, thread.flushed, thread.written = False, None, None


def _heartbeat(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        given = arguments.has("SECONDS")
        session.storage.journal.heartbeat_s = arguments.seconds("SECONDS") if given else 3.0


def _copy_log(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        number = _thread(session, arguments.number("THREAD", 1))
        session.storage.journal.copy_current(number, session.storage.next_scn())


def _clear_logs(session: Session, arguments: Arguments) -> None:
    """What was not used yet is being cleared; of a closed thread, what it was closed with too."""
    number, journal = arguments.number("THREAD", 1), session.storage.journal
    with session.storage.lock:
        used = {log.group for log in journal.of_thread(number)}
        groups = {(number - 1) * GROUPS + place for place in range(1, GROUPS + 1)}
        journal.cleared_groups |= groups - used
        if not journal.threads[number].is_open:
            journal.cleared_groups.add(journal.current(number).group)


def _share_commits(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        session.storage.shared_commits = arguments.number("TIMES", 1)


def _late_commits(session: Session, arguments: Arguments) -> None:
    with session.storage.lock:
        session.storage.late_commits = bool(arguments.number("ON", 1))


def _mine_from_start(session: Session, arguments: Arguments) -> None:
    journal = session.storage.journal
    journal.record_scns, journal.loses_commits = arguments.number("SCNS"), bool(arguments.number("COMMITS"))


def _new_incarnation(session: Session, arguments: Arguments) -> None:
    database = session.database
    with session.storage.lock:
        database.resetlogs_scn, database.resetlogs_at = session.storage.next_scn(), database.clock()


def _leave_apostrophes(session: Session, arguments: Arguments) -> None:
    session.database.unescaped_strings = True


def _mine_in_root_only(session: Session, arguments: Arguments) -> None:
    """A release before 19.10: START_LOGMNR is refused inside a pluggable database."""
    session.database.mines_in_pdb = False


def _audit_logins(session: Session, arguments: Arguments) -> None:
    session.database.audits_logins = bool(arguments.number("ON", 1))


def _move_clock(session: Session, arguments: Arguments) -> None:
    session.database.clock_shift_s += arguments.seconds("SECONDS")


def _open_database(session: Session, arguments: Arguments) -> None:
    """Open the session's container, or all of them from the root, in a mode, as primary or standby."""
    database, here = session.database, session.container
    first = next(iter(database.containers))
    if here is first:
        database.role = arguments.text("ROLE").upper() or "PRIMARY"
    for one in database.containers:
        if here in (first, one):
            one.open_mode = arguments.text("MODE").upper() or READ_WRITE
            one.restricted = bool(arguments.number("RESTRICTED"))


def _set_character_set(session: Session, arguments: Arguments) -> None:
    session.container.character_set = arguments.text("NAME").upper() or "AL32UTF8"


def _open_pdb(session: Session, arguments: Arguments) -> None:
    name = arguments.text("NAME").upper()
    if not name:
        raise _refused("a pluggable database has a name")
    session.database.containers.plug_in(name)


def _restricted(action: Action) -> Action:
    def checked(session: Session, arguments: Arguments) -> None:
        if session.user not in ADMINISTRATORS:
            raise OracleFault(
                6550, "line 1, column 7:\nPLS-00201: identifier 'SANDBOX_FAULTS' must be declared"
            )
        action(session, arguments)

    return checked


_WHEN = ("STATEMENT", "USERNAME", "SKIP", "TIMES", "AFTER_ROWS", "MOMENT")
_ACTIONS: dict[str, tuple[tuple[str, ...], Action]] = {
    "ADD_ERROR": (("CODE", "MESSAGE", *_WHEN, "ARGUMENT", "BELOW"), _add_error),
    "ADD_DELAY": (("SECONDS", *_WHEN), _add_delay),
    "ADD_DISCONNECT": (_WHEN, _add_disconnect),
    "CLEAR": ((), _clear),
    "SWITCH_LOGS": (("EVERY",), _switch_logs),
    "DELAY_ARCHIVING": (("LOOKS",), _delay_archiving),
    "PURGE_LOGS": (("HOW", "UP_TO", "THREAD"), _purge_logs),
    "RESTORE_LOGS": (("UP_TO", "THREAD"), _restore_logs),
    "COPY_LOG": (("THREAD",), _copy_log),
    "CLEAR_LOGS": (("THREAD",), _clear_logs),
    "OPEN_THREAD": (("THREAD", "PRIVATE", "READ_ONLY"), _open_thread),
    "DISABLE_THREAD": (("THREAD",), _disable_thread),
    "ENABLE_THREAD": (("THREAD",), _enable_thread),
    "CLOSE_THREAD": (("THREAD",), _close_thread),
    "DELAY_FLUSH": (("THREAD",), _delay_flush),
    "HOLD_FLUSH": (("THREAD",), _hold_flush),
    "FLUSH": ((), _flush),
    "HEARTBEAT": (("SECONDS",), _heartbeat),
    "SHARE_COMMITS": (("TIMES",), _share_commits),
    "LATE_COMMITS": (("ON",), _late_commits),
    "MINE_FROM_START": (("SCNS", "COMMITS"), _mine_from_start),
    "NEW_INCARNATION": ((), _new_incarnation),
    "LEAVE_APOSTROPHES": ((), _leave_apostrophes),
    "OPEN_PDB": (("NAME",), _open_pdb),
    "MINE_IN_ROOT_ONLY": ((), _mine_in_root_only),
    "AUDIT_LOGINS": (("ON",), _audit_logins),
    "MOVE_CLOCK": (("SECONDS",), _move_clock),
    "OPEN_DATABASE": (("MODE", "ROLE", "RESTRICTED"), _open_database),
    "SET_CHARACTER_SET": (("NAME",), _set_character_set),
}
PROCEDURES.update(
    {
        f"SANDBOX_FAULTS.{name}": Procedure(parameters, _restricted(action))
        for name, (parameters, action) in _ACTIONS.items()
    }
)
PROCEDURES["SANDBOX_FAULTS.USE_THREAD"] = Procedure(("THREAD",), _use_thread)
