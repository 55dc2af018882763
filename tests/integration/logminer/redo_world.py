"""Runs histories on the Oracle stand-in, reads them with `LogMinerReader` and stages them for real.

One server, one staging database and a handful of sessions serve all histories; each begins with new
source tables and empty staging tables. Read before: `redo_history`.
"""

from __future__ import annotations

import itertools
import random
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import oracledb

import mapping_rules
from cdc.changes import ChangeBatch, TableName
from cdc.config import OracleSystem
from cdc.errors import OperatorError, TransientError
from cdc.postgres.connect import connect
from cdc.readers.logminer import LogMinerReader
from cdc.readers.logminer.checks.grants import dictionary_grants
from cdc.staging.batches.stage import Stager
from sandbox.oracle_process import SYSTEM_PASSWORD
from tests.contract.logminer_source import BRIDGE, SECRET
from tests.integration.logminer.redo_history import (
    ACCT,
    CREATE,
    END,
    ITEM,
    KEYS,
    LARGE,
    SESSIONS,
    SPARE,
    Change,
    Model,
    Row,
    Step,
    short,
)
from tests.unit.staging.world import World

OWNER, SYSTEM = "HIST", "bill"
TABLES = (ACCT, ITEM)
DEADLINE_S = 60.0
RENEW_S = 4.0
HELD_S = 2.5
"""No redo stays in a log buffer for more than three seconds, so none is held back for longer."""
FAILING = frozenset({1, 12899})
COLUMNS_CHANGED = "CDC-103"
MOST_EXTRA = 2
RULES = {
    "systems.yaml": f"{SYSTEM}: {{conventions: plain, schema: {OWNER}}}\n",
    "entities/acct.yaml": (
        "entity: acct\nkey: [acct_id]\ncolumns:\n  acct_id: {type: integer}\n  name: {type: text}\n"
        "  amount: {type: decimal, precision: 15, scale: 2}\n  note: {type: text}\n"
        "  made: {type: timestamp}\n  memo: {type: text}\n"
    ),
    "entities/item.yaml": (
        "entity: item\nkey: [code, line]\ncolumns:\n  code: {type: text}\n  line: {type: integer}\n"
        "  label: {type: text}\n  qty: {type: decimal, precision: 38, scale: 9}\n"
    ),
    "inbound/acct.yaml": (
        f"system: {SYSTEM}\ntable: ACCT\nkey: [ID]\nentity: acct\ncolumns:\n"
        "  acct_id: ID\n  name: NAME\n  amount: AMOUNT\n  note: NOTE\n  made: MADE\n  memo: MEMO\n"
    ),
    "inbound/item.yaml": (
        f"system: {SYSTEM}\ntable: ITEM\nkey: [CODE, LINE]\nentity: item\ncolumns:\n"
        "  code: CODE\n  line: LINE\n  label: LABEL\n  qty: QTY\n"
    ),
}
ENTITIES = {
    ACCT: "select acct_id::text, name, amount, note, to_char(made at time zone 'UTC', "
    "'YYYY-MM-DD HH24:MI:SS'), memo, tombstone from staging.acct",
    ITEM: "select code, line::text, label, qty, tombstone from staging.item",
}
STAGED = (
    "staging.acct, staging.acct_history, staging.item, staging.item_history, staging.change, staging.batch, "
    "staging.checkpoint, staging.dead_letter"
)


def rule_set() -> mapping_rules.RuleSet:
    """Two tables, two entities."""
    return mapping_rules.from_files("bill", RULES)


class RedoWorld:
    """The servers and sessions that all histories share.

    Args:
        dsn: of the stand-in.
        staging: a migrated staging database for `rule_set`.
        folder: for the files of open transactions.
    """

    def __init__(self, dsn: str, staging: World, folder: Path) -> None:
        self.dsn, self.staging, self.folder = dsn, staging, folder
        self.system = oracledb.connect(user="SYSTEM", password=SYSTEM_PASSWORD, dsn=dsn)
        self.administer(f'create user {OWNER} identified by "{SECRET}"')
        self.administer(f"grant create session to {OWNER}")
        for grant in dictionary_grants(BRIDGE):
            self.administer(grant.removesuffix(";"))
        self.administer(f"alter user {OWNER} quota unlimited on USERS")
        self.call("open_thread(thread => 2)")
        self.writers = [self.writer() for _ in range(SESSIONS)]
        self.threads = [1] * SESSIONS
        self.administer(f"create table {OWNER}.BEAT (id number(1))")
        self.other = self.writer()
        self.runs = 0
        self._renewed_at = 0.0

    def writer(self) -> oracledb.Connection:
        """A new session of the application."""
        return oracledb.connect(user=OWNER, password=SECRET, dsn=self.dsn)

    def administer(self, statement: str) -> None:
        """A DBA's statement."""
        with self.system.cursor() as cursor:
            cursor.execute(statement)

    def call(self, procedure: str) -> None:
        """A call of the failure list."""
        self.administer(f"begin sandbox_faults.{procedure}; end;")

    def fresh_tables(self, logged: str) -> None:
        """Source and staging as if nothing had happened; `logged` is what ITEM logs besides changes."""
        self.runs += 1
        for procedure in (
            "clear",
            "flush",
            "switch_logs(every => 100000)",
            "delay_archiving(looks => 0)",
            "heartbeat(seconds => 0)",
        ):
            self.call(procedure)
        for table in TABLES:
            if self.runs > 1:
                self.administer(f"drop table {OWNER}.{table} purge")
            self.administer(CREATE[table].format(owner=OWNER))
            level = "all" if table == ACCT else logged
            self.administer(f"alter table {OWNER}.{table} add supplemental log data ({level}) columns")
            self.administer(f"grant select, flashback on {OWNER}.{table} to {BRIDGE}")
        for stager in self.staging.stagers:
            stager.close()
        self.staging.stagers.clear()
        self.staging.execute(f"truncate {STAGED}")
        self.keep_lease(at_once=True)

    def keep_lease(self, *, at_once: bool = False) -> None:
        """Renew the lease of staging before it runs out, however slow the machine is."""
        now = time.monotonic()
        if at_once or now - self._renewed_at > RENEW_S:
            self.staging.lease.renew()
            self._renewed_at = now

    def write_everywhere(self) -> None:
        """Both instances write something that no one reads, as any that is not idle does."""
        with self.other.cursor() as cursor:
            for thread in (1, 2):
                cursor.execute(f"begin sandbox_faults.use_thread(thread => {thread}); end;")
                cursor.execute("insert into BEAT values (1)")
                self.other.commit()

    def close(self) -> None:
        """End the sessions."""
        for connection in (*self.writers, self.other, self.system):
            connection.close()


class Play:
    """One history on its way: writers, model, reader and stager.

    Args:
        world: what is shared.
        seed: chooses the reader's settings.
    """

    def __init__(self, world: RedoWorld, seed: int) -> None:
        pick = random.Random(seed)  # noqa: S311 - reproducible work, no secret
        self.world, self.model = world, Model()
        self.max_changes = pick.choice((1, 3, 50))
        keeps = pick.random() < 0.6
        self.settings = OracleSystem(
            kind="oracle",
            dsn=world.dsn,
            user=BRIDGE,
            password=SECRET,
            owner=OWNER,
            insecure=True,
            poll_interval_ms=1,
            max_window_scn=pick.choice((2, 7, 40, 100_000)),
            open_transaction_bytes=pick.choice((1_500, 2**27)),
            spill_directory=world.folder if keeps else None,
            open_transaction_write_s=0,
        )
        self.switch_every = pick.choice((5, 40, 100_000))
        self.late = pick.choice((0, 0, 0, 1))
        self.flushed_every = 3 if seed % 8 == 7 else 0
        self.logged = pick.choice(("all", "all", "primary key"))
        self.reader: LogMinerReader | None = None
        self.stager: Stager | None = None
        self.resume: dict[str, Any] | None = None
        self.shared = 0
        self.pairs: list[list[Change]] = []
        self.stopped: dict[str, OperatorError] = {}

    # -- steps ---------------------------------------------------------------------------------

    def run(self, steps: Sequence[Step]) -> None:
        """Play a history to its end and compare; raises AssertionError where staging is wrong."""
        self.world.fresh_tables(self.logged)
        self.world.call(f"switch_logs(every => {self.switch_every})")
        self.world.call(f"delay_archiving(looks => {self.late})")
        self.world.call(f"heartbeat(seconds => {self.flushed_every})")
        try:
            for step in steps:
                self.step(step)
            self.finish()
        finally:
            for connection in self.world.writers:
                connection.rollback()
            if self.reader is not None:
                self.reader.close()
        self.compare()

    def step(self, step: Step) -> None:
        """Do one step."""
        if step.kind == "rekey" and step.table == ITEM and self.logged != "all":
            return  # the log does not hold the columns that stayed, so nothing tells the new key's row
        special = getattr(self, "_" + step.kind.replace(" ", "_"), None)
        if special is not None:
            special(step)
            return
        for sql in self.model.apply(step):
            self._execute(step.session, sql.text, fails=sql.fails)

    def _execute(self, session: int, text: str, *, fails: bool) -> None:
        with self.world.writers[session].cursor() as cursor:
            try:
                cursor.execute(text)
            except oracledb.DatabaseError as exc:
                code = exc.args[0].code
                assert fails, f"ORA-{code} of: {text}"
                assert code in FAILING, f"ORA-{code} of: {text}"
            else:
                assert not fails, f"did not fail: {text}"

    def _snapshot(self, step: Step) -> None:
        if self.resume is not None:
            return
        self.model.snapshot()
        self.stager = self._new_stager()
        self._open_reader()
        assert self.reader is not None
        for batch in self.reader.snapshot(max_rows=5, stop=lambda: False):
            self.stager.stage(batch)
            self.resume = dict(batch.resume)
        self.stager.snapshot_completed()

    def _read(self, step: Step, *, within_s: float = DEADLINE_S) -> None:
        """Look for changes a few times, and not longer than that, and stage what comes."""
        self._snapshot(step)
        looks, is_late = itertools.count(), self._later(within_s)
        self._stage(lambda: next(looks) >= step.number or is_late())

    def _lose(self, step: Step) -> None:
        """Read and crash before anything is staged."""
        self._snapshot(step)
        looks = itertools.count()
        try:
            for _ in self._batches(lambda: next(looks) >= step.number):
                break
        except TransientError:
            pass
        self._restart(step)

    def _restart(self, step: Step) -> None:
        """A new process: all it knows is the checkpoint."""
        if self.reader is None or self.stager is None:
            return
        self.reader.close()
        stored = self.stager.resume()
        assert stored is not None
        self.resume = dict(stored.resume)
        self._open_reader()

    def _failure(self, step: Step) -> None:
        self.world.call("clear")
        self.world.call(step.word)

    def _switch(self, step: Step) -> None:
        thread = step.session % 2
        self.world.administer("alter system archive log current" if thread else "alter system switch logfile")

    def _column(self, step: Step) -> None:
        """Add a column; DDL waits for the open transactions of its table, so they commit first."""
        if len(self.model.extra) == MOST_EXTRA:
            return
        for session in range(SESSIONS):
            if not self.model.is_idle(session, ACCT):
                self.step(Step("commit", session))
        name = f"EXTRA{len(self.model.extra)}"
        self.world.administer(f"alter table {OWNER}.{ACCT} add ({name} varchar2(60))")
        self.model.add_column(name)

    def _unused(self, step: Step) -> None:
        """ITEM loses a column that no rule reads; rows of before that are not yet read stop it by name."""
        if self.resume is None or self.model.may_stop:
            return
        for session in range(SESSIONS):
            if not self.model.is_idle(session, ITEM):
                self.step(Step("commit", session))
        self.world.administer(f"alter table {OWNER}.{ITEM} set unused ({SPARE})")
        self.model.may_stop.add(ITEM)

    def _thread(self, step: Step) -> None:
        """A session goes to the other instance, between transactions."""
        if all(self.model.is_idle(step.session, table) for table in TABLES):
            self.step(Step("commit", step.session))
            self._use_thread(step.session, step.number)

    def _use_thread(self, session: int, thread: int) -> None:
        with self.world.writers[session].cursor() as cursor:
            cursor.execute(f"begin sandbox_faults.use_thread(thread => {thread}); end;")
        self.world.threads[session] = thread

    def _bounce(self, step: Step) -> None:
        """The second instance is shut down, for `number` looks of the reader, and started again."""
        for session in range(SESSIONS):
            if self.world.threads[session] == 2:
                self.step(Step("commit", session))
                self._use_thread(session, 1)
        self.world.call("flush")
        self.world.call("close_thread(thread => 2)")
        if step.number:
            self._read(step)
        self.world.call("open_thread(thread => 2)")

    def _delay(self, step: Step) -> None:
        self.world.call(f"delay_flush(thread => {step.number})")

    def _flush(self, step: Step) -> None:
        self.world.call("flush")

    def _share(self, step: Step) -> None:
        """Two sessions commit with the same SCN, and perhaps a flush and a look come between them."""
        for session in (0, 1):
            self.shared += 1
            self.step(Step("insert", session, ACCT, ((str(500 + self.shared),),)))
        self.world.call("share_commits(times => 1)")
        self.step(Step("commit", 0))
        if step.number:
            for thread in (1, 2):
                self.world.call(f"hold_flush(thread => {thread})")
        self.step(Step("commit", 1))
        self.pairs.append(self.model.log[-2])
        self.world.call("share_commits(times => 0)")
        if step.number:
            self._read(Step("read", number=step.number), within_s=HELD_S)
            self.world.call("flush")

    def _kill(self, step: Step) -> None:
        """A writer's session dies: its work is rolled back."""
        self.model.apply(Step("rollback", step.session))
        old = self.world.writers[step.session]
        with old.cursor() as cursor:
            cursor.execute("select sys_context('userenv', 'sid') from dual")
            (sid,) = cursor.fetchone()
        self.world.administer(f"alter system kill session '{sid},1'")
        old.close()
        self.world.writers[step.session] = self.world.writer()
        self.world.threads[step.session] = 1

    # -- reading -------------------------------------------------------------------------------

    def _open_reader(self) -> None:
        read = mapping_rules.columns_read(self.world.staging.rule_set, SYSTEM)
        tables = [TableName(OWNER, table) for table in TABLES]
        self.reader = LogMinerReader(SYSTEM, self.settings, tables, read)
        assert self.stager is not None
        self.stager.mapper.ask_source = self.reader.reread

    def _new_stager(self) -> Stager:
        staging = self.world.staging
        made = Stager(
            connect(staging.settings, application="histories"),
            staging.rule_set,
            SYSTEM,
            kind="oracle",
            time_zone="UTC",
            run_id=uuid.uuid4(),
            lease=staging.lease,
        )
        staging.stagers.append(made)
        return made

    def _batches(self, stop: Any) -> Iterator[ChangeBatch]:
        assert self.reader is not None
        assert self.resume is not None
        stream = self.reader.read(self.resume, max_changes=self.max_changes, stop=stop)
        with closing(stream):  # type: ignore[type-var]
            yield from stream

    def _stage(self, stop: Any) -> bool:
        """Stage what comes until `stop`; True if the last row of the history was among it."""
        self.world.keep_lease()
        assert self.stager is not None
        ended = False
        try:
            for batch in self._batches(stop):
                self._check_stops(batch)
                self.stager.stage(batch)
                if batch.continues:
                    continue
                self.resume = dict(batch.resume)
                assert self.reader is not None
                self.reader.acknowledge(self.resume)
                acct = batch.tables.get(TableName(OWNER, ACCT))
                ended = ended or (acct is not None and END[0] in acct.frame["after.ID"].to_list())
                if ended:
                    break
        except TransientError:
            self._restart(Step("restart"))
        return ended

    def _check_stops(self, batch: ChangeBatch) -> None:
        """Only a table that lost a column stops, and the error says that its columns are the matter."""
        for name, error in batch.stopped.items():
            assert name.name in self.model.may_stop, batch.stopped
            assert error.code == COLUMNS_CHANGED, (error.code, error)
            self.stopped[name.name] = error

    def finish(self) -> None:
        """Commit all work, and read until it has arrived."""
        for session in range(SESSIONS):
            self.step(Step("commit", session))
        self._snapshot(Step("snapshot"))
        self.step(Step("insert", 0, ACCT, (END,)))
        self.step(Step("commit", 0))
        self.world.write_everywhere()
        deadline = time.monotonic() + DEADLINE_S
        seconds = 1.0 if self.flushed_every else DEADLINE_S
        while not self._stage(self._later(seconds)):
            assert time.monotonic() < deadline, "the end of the history never arrived"
            if self.flushed_every:
                self.world.write_everywhere()
                seconds *= 2  # each time it reads from the checkpoint on, which takes its time

    @staticmethod
    def _later(seconds: float) -> Callable[[], bool]:
        """Becomes true so many seconds from now."""
        then = time.monotonic() + seconds
        return lambda: time.monotonic() > then

    # -- comparing -----------------------------------------------------------------------------

    def compare(self) -> None:
        """Staging holds what the model says: rows, and each committed change once in commit order."""
        assert self.world.staging.query("select reason from staging.dead_letter") == []
        for table in set(TABLES) - self.stopped.keys():
            staged, expected = self._staged_rows(table), self._expected_rows(table)
            for key in expected:
                if table == ACCT and expected[key] is None and (table, key) not in self.model.loaded:
                    staged.setdefault(key, None)  # it was gone before its LOBs could be read
            wrong = sorted(
                key for key in {*staged, *expected} if staged.get(key, ()) != expected.get(key, ())
            )
            assert not wrong, f"{table}: " + "; ".join(
                short(f"{key}: staged {staged.get(key, 'nothing')}, expected {expected.get(key, 'nothing')}")
                for key in wrong
            )
        self._compare_log()

    def _staged_rows(self, table: str) -> dict[Any, Any]:
        width = len(KEYS[table])
        return {
            tuple(row[:width]): None if row[-1] else tuple(row[width:-1])
            for row in self.world.staging.query(ENTITIES[table])
        }

    def _expected_rows(self, table: str) -> dict[Any, Any]:
        needed: dict[Any, Any] = {key: None for name, key in self.model.ever if name == table}
        for (name, key), row in self.model.rows.items():
            if name == table:
                values: list[Any] = list(row.values())[len(key) : {ACCT: 6, ITEM: 4}[table]]
                values[1] = None if values[1] is None else Decimal(values[1])  # amount, quantity
                needed[key] = tuple(values)
        return needed

    def compare_stopped(self) -> None:
        """After a stop: what was staged is the beginning of what was committed."""
        self._compare_log(stopped=True)

    def _compare_log(self, *, stopped: bool = False) -> None:
        staged = self.world.staging.query(
            "select source_position, transaction_id, table_name, operation, before, after "
            "from staging.change where operation <> 'r' order by source_position, source_ordinal"
        )
        log = self._in_logged_order(
            {row[5]["ID"]: n for n, row in enumerate(staged) if row[2:4] == (ACCT, "c")}
        )
        for table in self.stopped:
            self._compare_beginning(log, staged, table)
            log = [rest for one in log if (rest := [change for change in one if change.table != table])]
            staged = [row for row in staged if row[2] != table]
        found = iter(staged)
        last = 0
        for transaction in log:
            rows = list(itertools.islice(found, len(transaction)))
            if stopped and not rows:
                return
            heads = {(row[0], row[1]) for row in rows}
            assert len(rows) == len(transaction), f"{len(transaction) - len(rows)} changes are missing"
            assert len(heads) == 1, f"changes of several transactions where one was expected: {heads}"
            assert rows[0][0] >= last, "out of commit order"
            last = rows[0][0]
            at = 0
            for _, statement in itertools.groupby(transaction, key=lambda change: change.statement):
                expected = list(statement)
                self._compare_statement(expected, rows[at : at + len(expected)])
                at += len(expected)
        assert list(found) == [], "changes that were never committed, or twice"

    def _compare_beginning(self, log: list[list[Change]], staged: list[Any], table: str) -> None:
        """Of a table that was stopped, the first transactions came, each whole."""
        rows = iter([row for row in staged if row[2] == table])
        for one in log:
            needed = [change for change in one if change.table == table]
            found = list(itertools.islice(rows, len(needed)))
            if needed and not found:
                break
            assert len(found) == len(needed), f"{table}: part of a transaction"
            for _, statement in itertools.groupby(needed, key=lambda change: change.statement):
                expected = list(statement)
                self._compare_statement(expected, found[: len(expected)])
                del found[: len(expected)]
        assert list(rows) == [], f"{table}: changes that were never committed, or twice"

    def _in_logged_order(self, places: dict[str, int]) -> list[list[Change]]:
        """The committed transactions; two that share an SCN touch different rows and may come either way."""
        log = list(self.model.log)
        for first in [n for n, one in enumerate(log) if any(one is pair for pair in self.pairs)]:
            one, other = (places.get(str((log[n][-1].after or {}).get("ID")), 0) for n in (first, first + 1))
            if one > other:
                log[first : first + 2] = log[first + 1], log[first]
        return log

    def _compare_statement(self, expected: list[Change], rows: list[Any]) -> None:
        """Rows of one statement come in an order of the database's choice."""
        waiting = list(expected)
        for _, _, table, operation, before, after in rows:
            fits = [
                change
                for change in waiting
                if (change.table, change.operation) == (table, operation)
                and _holds(change, change.before, before)
                and _holds(change, change.after, after)
            ]
            assert fits, short(f"{operation} of {table}: {before} -> {after}; expected: {waiting}")
            waiting.remove(fits[0])


def _holds(change: Change, expected: Row | None, image: Row | None) -> bool:
    """True if an image says what the row was: all of it, where the whole row is logged."""
    if expected is None or image is None:
        return expected is None and image is None
    # a LOB is read as of the commit, or by no one
    expected = {name: value for name, value in expected.items() if name not in LARGE}
    image = {name: value for name, value in image.items() if name not in LARGE | {SPARE}}
    logged = {name: value for name, value in image.items() if name in expected or value is not None}
    if any(name not in expected or expected[name] != value for name, value in logged.items()):
        return False
    if change.table == ACCT or change.operation != "u":
        return set(expected) <= set(image)
    return set(KEYS[change.table]) <= set(image)
