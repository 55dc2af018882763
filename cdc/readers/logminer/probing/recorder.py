"""The redo of the probe's own transactions, read through LogMiner as the reader reads it.

First the inserts into CCBP_STEP tell which transactions are ours, then all their rows are read, INTERNAL
ones included.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from cdc.assumptions import Deadline, NotTried
from cdc.config import OracleSystem
from cdc.errors import RedoLogFailure, RedoNotAvailable
from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.probing.recording import RECORDED, Recording, Redaction, Row, alias
from cdc.readers.logminer.probing.scratch import Progress, Scratch
from cdc.readers.logminer.probing.transactions import Transactions
from cdc.readers.logminer.probing.workload import BEAT, OPEN_STEP, STEP, STEPS, TABLES
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError
from cdc.readers.logminer.redo_sql.statements import read_statement
from cdc.readers.logminer.tables.captured import CHARACTER_SET

FLUSH_PATIENCE_S = 30.0
BEAT_EVERY_S = 0.5
UNKNOWN_SEQUENCE = "ffffffff"

FIND_STEPS = f"""
select xid, sql_redo from v$logmnr_contents
where scn > :read_to and scn <= :end_scn and seg_owner = :owner and table_name = '{STEP}'
and operation_code = 1 and rollback = 0"""  # noqa: S608 - our own name
MOVE_BEAT = f"""
merge into {BEAT} B using (select 1 as ID from DUAL) S on (B.ID = S.ID)
when matched then update set B.N = B.N + 1
when not matched then insert (ID, N) values (1, 0)"""  # noqa: S608 - our own name
OBJECT_IDS = """
select object_name, object_id, data_object_id from user_objects where object_type like 'TABLE%'
union all
select i.table_name, o.object_id, o.data_object_id
from user_indexes i join user_objects o on o.object_name = i.index_name
where i.index_type = 'IOT - TOP'"""
READ_STEPS = """
select {columns} from v$logmnr_contents
where scn > :read_to and scn <= :end_scn
and (xid in ({xids}) or (operation_code = 5 and seg_owner = :owner))"""


class Recorder:
    """Makes the workload and reads its redo.

    Args:
        system: name of the system, for messages.
        settings: how the bridge reaches it.
        session: the bridge's LogMiner session.
        scratch: the opened scratch schema.
        deadline: of the probe.
    """

    def __init__(
        self,
        system: str,
        settings: OracleSystem,
        session: MiningSession,
        scratch: Scratch,
        deadline: Deadline,
    ) -> None:
        self._system, self._settings, self._session = system, settings, session
        self._scratch, self._deadline = scratch, deadline
        self._transactions = Transactions(system, scratch, deadline)
        self.start = self.end = 0
        self.split: list[Row] = []

    def scn(self) -> int:
        """The database's SCN now."""
        return self._session.current_scn()

    @contextmanager
    def made(self, progress: Progress) -> Iterator[Recording]:
        """Run the workload and give its recording; one transaction stays open until the block ends.

        Raises:
            NotTried: the redo cannot be read here.
            CcbridgeError: a session was lost.
        """
        self.start = self.scn() - 1
        for number, step in enumerate(STEPS, 1):
            progress(f"transaction {number} of {len(STEPS)}: {step.name}")
            self._transactions.make(step, scn=self.scn)
        self.beat()
        open_session = self._scratch.login()
        try:
            self._transactions.leave_open(open_session, OPEN_STEP)
            progress("waiting for the redo to be written")
            self.end = self.flushed()
            progress("reading the redo")
            yield self.recorded()
        finally:
            open_session.close()

    def beat(self) -> None:
        """Commit one row, so that there is redo to write."""
        self._scratch.run(MOVE_BEAT)
        self._scratch.run("commit")

    def flushed(self) -> int:
        """The SCN now, once everything up to it is on disk.

        Raises:
            NotTried: it is not in time.
        """
        until = self.scn()
        deadline = time.monotonic() + min(FLUSH_PATIENCE_S, self._deadline.left_s)
        while self._session.look().flushed_scn <= until:
            if time.monotonic() > deadline:
                raise NotTried(
                    f"V$THREAD.LAST_REDO_CHANGE# did not pass SCN {until} in {FLUSH_PATIENCE_S:.0f} s",
                    hint="select thread#, status, enabled, last_redo_change# from v$thread; "
                    "does an open thread stand still?",
                )
            self.beat()
            time.sleep(BEAT_EVERY_S)
        return until

    def recorded(self) -> Recording:
        """Everything LogMiner shows of the workload."""
        owner = self._scratch.schema
        named = {
            name: xid
            for xid, text in self.mined(FIND_STEPS, {"owner": owner}, self.start)
            if (name := _step_name(text)) is not None
        }
        for name, step in self._transactions.steps.items():
            step.xid = named[name].hex() if name in named else ""
        objects = self._objects()
        redaction = Redaction(
            owner,
            {self._settings.user.upper(): "BRIDGE", owner: "SCRATCH"},
            {"CDB$ROOT": "CDB$ROOT", **({self._settings.pdb: "PDB"} if self._settings.pdb else {})},
            frozenset(("probe", "probe-changed", "ccbridge")),
            frozenset(number for numbers in objects.values() for number in numbers),
        )
        tables = {one.table.name: one for one in map(alias, self._scratch.described.values())}
        rows = [redaction.row(row) for row in self.rows(list(named.values()), self.start)]
        split = self._transactions.steps.get("split")
        if split is not None and split.xid:
            self.split = [redaction.row(row) for row in self.rows([named["split"]], split.scn)]
        facts = {"release": self._session.connection.version, "character_set": self._character_set()}
        return Recording(facts, tables, self._transactions.steps, rows, objects, self._transactions.row_ids())

    def _objects(self) -> dict[str, list[int]]:
        """Object ids of the probe's tables as their owner sees them."""
        names = {table.name for table in TABLES}
        found: dict[str, set[int]] = {}
        for name, *numbers in self._scratch.run(OBJECT_IDS):
            if str(name) in names:
                found.setdefault(str(name), set()).update(int(str(n)) for n in numbers if n)
        return {name: sorted(numbers) for name, numbers in found.items()}

    def rows(self, xids: list[bytes], start: int) -> list[Row]:
        """All rows of transactions from an SCN on."""
        if not xids:
            return []
        asked = [*xids, *(xid[:4] + bytes.fromhex(UNKNOWN_SEQUENCE) for xid in xids)]
        statement = READ_STEPS.format(
            columns=", ".join(name.lower() for name in RECORDED),
            xids=", ".join(f":x{number}" for number in range(len(asked))),
        )
        binds = {"owner": self._scratch.schema} | {f"x{at}": xid for at, xid in enumerate(asked)}
        found: list[Row] = [
            {name: _plain(value) for name, value in zip(RECORDED, row, strict=True)}
            for row in self.mined(statement, binds, start)
        ]
        pdb = self._settings.pdb
        return [row for row in found if pdb is None or row["SRC_CON_NAME"] in (pdb, None)]

    def mined(self, statement: str, binds: Mapping[str, object], start: int) -> list[tuple[Any, ...]]:
        """Rows of a query on the redo from an SCN on to the end of the workload."""
        binds = {**binds, "read_to": start, "end_scn": self.end}
        state = self._session.look()
        return [
            row for array in self._session.mined(statement, binds, start, self.end, state) for row in array
        ]

    def starts_at(self, end: int) -> str:
        """Try LogMiner up to an SCN; the reason if it refuses, else ''."""
        state = self._session.look()
        binds = {"owner": self._scratch.schema, "read_to": self.start, "end_scn": end}
        try:
            for _ in self._session.mined(FIND_STEPS, binds, self.start, end, state):
                pass
        except (RedoLogFailure, RedoNotAvailable) as exc:
            return str(exc)
        return ""

    def _character_set(self) -> str:
        with oracle_errors(self._system), self._session.tables_connection.cursor() as cursor:
            cursor.execute(CHARACTER_SET)
            row = cursor.fetchone()
        return str(row[0]) if row else "AL32UTF8"


def _step_name(text: str | None) -> str | None:
    try:
        return str(read_statement(text or "").values.get("STEP"))
    except RedoSyntaxError:
        return None


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    return value
