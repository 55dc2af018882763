"""Verdicts that need the database itself: its views, flashback queries, LogMiner's ranges."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from cdc.assumptions import Check, NotTried, Said, judge
from cdc.changes import TableName
from cdc.errors import NotGranted
from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.flashback.snapshot import NOW, OLDEST_OPEN
from cdc.readers.logminer.mining.available_logs import available_logs
from cdc.readers.logminer.mining.rows import Code
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.mining.window import FLUSH_S
from cdc.readers.logminer.probing.evidence import CONTROL, DATA, Evidence
from cdc.readers.logminer.probing.recorder import Recorder
from cdc.readers.logminer.probing.recording import Row
from cdc.readers.logminer.probing.scratch import Scratch
from cdc.readers.logminer.probing.watch import Watch
from cdc.readers.logminer.probing.workload import OPEN_STEP
from cdc.readers.logminer.redo_sql.charsets import codec
from cdc.readers.logminer.tables.dictionary import object_ids
from cdc.readers.logminer.tables.selected import quoted

TUNED_RETENTION = "select max(tuned_undoretention) from v$undostat"
RETENTION = "select to_number(value) from v$parameter where name = 'undo_retention'"
LEAST_RETENTION_S = 900
CLOCK_SLACK = timedelta(minutes=1)


class ViewChecks:
    """Checks over the bridge's own connections.

    Args:
        system: name of the system, for messages.
        session: its LogMiner session.
        scratch: the scratch schema.
        recorder: read the redo.
        evidence: the recorded redo; raises NotTried where there is none.
        watch: what was seen of the flushed SCN; raises NotTried where it was not watched.
    """

    def __init__(
        self,
        system: str,
        session: MiningSession,
        scratch: Scratch,
        recorder: Recorder,
        evidence: Callable[[], Evidence],
        watch: Callable[[], Watch],
    ) -> None:
        self._system, self._session, self._scratch = system, session, scratch
        self._recorder, self._evidence, self._watch = recorder, evidence, watch

    @property
    def checks(self) -> dict[str, Check]:
        """Each check by the name of its assumption."""
        return {
            "oldest-open": self._oldest_open,
            "commit-scn": self._commit_scn,
            "commit-visible": self._commit_visible,
            "thread-number": self._thread_number,
            "row-time": self._row_time,
            "query-is-complete": self._query_is_complete,
            "last-redo-moves": self._last_redo_moves,
            "end-at-last-redo": self._end_at_last_redo,
            "start-again": self._start_again,
            "current-log": self._current_log,
            "log-sequence": self._log_sequence,
            "thread-states": self._thread_states,
            "flashback": self._flashback,
            "undo-retention": self._undo_retention,
            "objects-seen": self._objects_seen,
            "character-set": self._character_set,
        }

    def _rows(self, statement: str, *, in_root: bool = True, **binds: object) -> list[tuple[Any, ...]]:
        connection = self._session.connection if in_root else self._session.tables_connection
        with oracle_errors(self._system), connection.cursor() as cursor:
            cursor.execute(statement, binds, fetch_decimals=False)
            return list(cursor.fetchall())

    def _table(self, name: str) -> str:
        return quoted(TableName(self._scratch.schema, name))

    def _row(self, step: str, code: Code) -> Row:
        rows = [row for row in self._evidence().rows(step) if row["OPERATION_CODE"] == code]
        if not rows:
            raise NotTried(f"the redo shows no {code.name} row of the transaction {step}")
        return rows[0]

    # -- transactions --------------------------------------------------------------------------

    def _oldest_open(self) -> Said:
        started = int(self._row(OPEN_STEP.name, Code.START)["SCN"])
        found = self._rows(OLDEST_OPEN)[0][0]
        oldest = int(found) if found else None
        text = f"START row at {started}, oldest START_SCN {oldest}"
        return judge(oldest is not None and oldest <= started, text)

    def _commit_scn(self) -> Said:
        committed = int(self._row("row-scn", Code.COMMIT)["SCN"])
        found = self._rows(f"select ora_rowscn from {self._table('CCBP_ROWDEP')}", in_root=False)  # noqa: S608
        shown = int(found[0][0])
        return judge(shown == committed, f"ORA_ROWSCN is that of the COMMIT row {shown - committed:+d}")

    def _commit_visible(self) -> Said:
        committed = int(self._row("row-scn", Code.COMMIT)["SCN"])
        counts = [
            int(
                self._rows(
                    f"select count(*) from {self._table('CCBP_ROWDEP')} as of scn :scn",  # noqa: S608
                    in_root=False,
                    scn=scn,
                )[0][0]
            )
            for scn in (committed - 1, committed, committed + 1)
        ]
        before, at, after = counts
        text = f"rows as of the SCN before, of it, behind it: {before}, {at}, {after}"
        return judge((before, at) == (0, 1), text)

    def _thread_number(self) -> Said:
        threads = {one.thread for one in self._session.look().threads}
        counts = Counter(row["THREAD#"] for row in self._evidence().all_rows())
        odd = {number: count for number, count in counts.items() if number not in threads}
        return judge(not odd, f"threads {sorted(threads)}, rows by THREAD# {dict(counts)}")

    def _row_time(self) -> Said:
        shown = self._row("plain", Code.COMMIT)["TIMESTAMP"]
        when = datetime.fromisoformat(str(shown))
        now = self._rows(NOW)[0][1]
        age = now - when
        ahead = self._session.host_time.offset
        text = f"{age.total_seconds():.0f} s before the host's local time, which is UTC {_offset(ahead)}"
        return judge(-CLOCK_SLACK <= age <= timedelta(minutes=10), text)

    def _query_is_complete(self) -> Said:
        evidence = self._evidence()
        xids = {step.xid for step in evidence.recording.steps.values() if step.xid}
        tables = {name.name for name in evidence.recording.tables}
        state = self._session.look()
        start, end = self._recorder.start, self._recorder.end
        passed = Counter(
            (row.xid, row.scn, row.operation_code, row.row_id, row.rs_id, row.ssn)
            for array in self._session.rows(start, start, end, state)
            for row in array
        )
        needed = Counter(
            (row["XID"], row["SCN"], row["OPERATION_CODE"], row["ROW_ID"], row["RS_ID"], row["SSN"])
            for row in evidence.all_rows()
            if row["XID"] in xids and _is_needed(row, tables)
        )
        lost = needed - passed
        codes = sorted({code for _, _, code, *_ in lost})
        return judge(
            not lost, f"{needed.total()} rows needed, {lost.total()} left out {codes or ''}".rstrip()
        )

    # -- the log -------------------------------------------------------------------------------

    def _last_redo_moves(self) -> Said:
        watch = self._watch()
        return judge(bool(watch.waits_s) and max(watch.waits_s) <= FLUSH_S, watch.summary)

    def _end_at_last_redo(self) -> Said:
        self._evidence()
        end = self._session.look().flushed_scn
        refused = self._recorder.starts_at(end)
        return judge(not refused, refused or f"ended at {end}")

    def _start_again(self) -> Said:
        self._evidence()
        middle = (self._recorder.start + self._recorder.end) // 2
        refused = self._recorder.starts_at(middle) or self._recorder.starts_at(self._recorder.end)
        return judge(not refused, refused or "two ranges, one after the other")

    def _current_log(self) -> Said:
        self._require_lists()
        state = self._session.look()
        scn = self._session.current_scn()
        logs = available_logs(self._session.connection, self._system, scn).logs
        current: dict[int, set[int]] = defaultdict(set)
        for log in logs:
            if not log.archived and log.next_scn is None:
                current[log.thread].add(log.sequence)
        wrong = [one.thread for one in state.threads if one.is_open and len(current[one.thread]) != 1]
        return judge(not wrong, f"sequences { ({t: sorted(s) for t, s in current.items()}) }")

    def _require_lists(self) -> None:
        if self._session.finds_logs:
            raise NotTried("inside a pluggable database LogMiner finds the logs itself")

    def _log_sequence(self) -> Said:
        self._require_lists()
        pairs = list(self._pairs())
        broken = [
            f"thread {thread}: sequence {sequence} ends at {end}, the next begins at {begin}"
            for thread, sequence, end, begin in pairs
            if end > begin
        ]
        return judge(not broken, "; ".join(broken[:3]) or f"{len(pairs)} pairs of logs")

    def _pairs(self) -> Iterator[tuple[int, int, int, int]]:
        logs = {
            (log.thread, log.sequence): log
            for log in available_logs(self._session.connection, self._system, 1).logs
            if log.usable
        }
        for (thread, sequence), log in sorted(logs.items()):
            after = logs.get((thread, sequence + 1))
            if after is not None and log.next_scn is not None:
                yield thread, sequence, int(log.next_scn), int(after.first_scn)

    def _thread_states(self) -> Said:
        threads = self._session.look().threads
        states = ", ".join(
            f"{one.thread} {'open' if one.is_open else 'closed'} {'private' if one.private else 'public'}"
            for one in threads
        )
        silent = [one.thread for one in threads if one.is_open and not one.last_redo_scn]
        return judge(not silent, f"threads: {states}")

    # -- tables --------------------------------------------------------------------------------

    def _flashback(self) -> Said:
        scn = int(self._row("lob-plain", Code.COMMIT)["SCN"])
        rows = self._rows(
            f"select N, D from {self._table('CCBP_LOB')} as of scn :scn where ID = 2",  # noqa: S608
            in_root=False,
            scn=scn,
        )
        return judge(
            rows == [("both", "third")], f"{len(rows)} row of the commit, since deleted, with its LOB"
        )

    def _undo_retention(self) -> Said:
        try:
            seconds, source = self._rows(TUNED_RETENTION)[0][0], "V$UNDOSTAT.TUNED_UNDORETENTION"
        except NotGranted:
            seconds, source = self._rows(RETENTION)[0][0], "parameter undo_retention (V$UNDOSTAT not granted)"
        return judge(int(seconds or 0) >= LEAST_RETENTION_S, f"{source}: {seconds} s")

    def _objects_seen(self) -> Said:
        evidence = self._evidence()
        names = [TableName(self._scratch.schema, name.name) for name in evidence.recording.tables]
        known = object_ids(self._session.tables_connection, names, self._system)
        unseen: dict[str, set[int]] = {}
        for name in names:
            used = {
                int(row["DATA_OBJ#"])
                for row in evidence.all_rows()
                if row["OPERATION_CODE"] in DATA and row["TABLE_NAME"] == name.name and row["DATA_OBJ#"]
            }
            if used - known.get(name, frozenset()):
                unseen[name.name] = used - known.get(name, frozenset())
        text = ", ".join(f"{name} ({len(ids)} ids)" for name, ids in unseen.items())
        return judge(not unseen, f"not seen: {text}" if text else f"{len(names)} tables")

    def _character_set(self) -> Said:
        name = str(self._evidence().recording.facts["character_set"])
        try:
            return judge(bool(codec(name)), name)
        except LookupError:
            return judge(False, f"{name} has no codec")


def _is_needed(row: Row, tables: set[str]) -> bool:
    """Is it a row that the assembly must see?"""
    if row["OPERATION_CODE"] in CONTROL:
        return True
    captured = row["TABLE_NAME"] in tables or row["SEG_OWNER"] == "UNKNOWN"
    return captured and row["OPERATION_CODE"] in DATA


def _offset(offset: timedelta) -> str:
    minutes = int(offset.total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
