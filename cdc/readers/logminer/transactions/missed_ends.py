"""Transactions that ended in the database and are still open here: their end was not in what LogMiner showed.

LogMiner that was begun inside a transaction may not show its COMMIT. Nothing else tells of that: the rows
would wait for ever. So the open transactions are compared with those of the database, once a minute. One that
is not there any more has ended at or before the SCN of then; once redo was read past it, its end was missed.

Source: Oracle Database Reference 19c: GV$TRANSACTION.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from cdc.errors import RedoLogFailure, RedoNotAvailable, RedoUnreadable, snapshot_hint
from cdc.readers.logminer.mining.rows import Code, transaction_name
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.mining.window import RedoState
from cdc.readers.logminer.transactions.transaction import Transaction

LOOK_EVERY_S = 60.0

END = f"""
select scn, operation_code from v$logmnr_contents
where xid = :xid and scn > :read_to and scn <= :end_scn
and operation_code in ({Code.COMMIT:d}, {Code.ROLLBACK:d})"""  # noqa: S608 - numbers

log = structlog.get_logger(__name__)


class MissedEnds:
    """Looks for them; one for each stream.

    Args:
        system: name of the source.
        session: mines, and asks the database.
    """

    def __init__(self, system: str, session: MiningSession) -> None:
        self._system, self._session = system, session
        self._looked_at = time.monotonic()
        self._ended_by = 0
        self._suspects: dict[str, Transaction] = {}
        self._reported: set[str] = set()

    def look(self, transactions: Sequence[Transaction], read_to: int, state: RedoState) -> list[Transaction]:
        """Compare; returns transactions that were rolled back, which the caller forgets.

        Args:
            transactions: open ones with captured rows.
            read_to: SCN up to which the redo was read.
            state: the redo now.

        Raises:
            RedoUnreadable: a transaction was committed, and its COMMIT was not shown.
        """
        rolled_back: list[Transaction] = []
        if self._suspects and read_to >= self._ended_by:
            still = [one for one in transactions if one.name in self._suspects]
            self._suspects = {}
            rolled_back = [one for one in still if self._is_rolled_back(one, read_to, state)]
        if self._suspects or time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return rolled_back
        self._looked_at = time.monotonic()
        unsettled = [one for one in transactions if one.name not in self._reported]
        if unsettled:
            there = self._session.open_transactions()
            self._ended_by = self._session.current_scn()
            self._suspects = {one.name: one for one in unsettled if one.xid not in there}
        return rolled_back

    def _is_rolled_back(self, one: Transaction, read_to: int, state: RedoState) -> bool:
        """Read the redo of a transaction again, from its start, for its end alone."""
        start = one.start_scn - 1
        binds = {"xid": bytes.fromhex(one.xid), "read_to": start, "end_scn": read_to}
        try:
            ends = [row for array in self._session.mined(END, binds, start, read_to, state) for row in array]
        except (RedoNotAvailable, RedoLogFailure) as exc:
            if isinstance(exc, RedoLogFailure) and not self._session.finds_logs:
                raise  # the log may be read by the next session
            ends = []  # its rows are on disk: what is read now does not wait for its redo
        name = transaction_name(one.xid)
        if not ends:  # in doubt, or rolled back by the database after a crash: its end is still to come
            self._reported.add(one.name)
            log.warning(
                "open_transaction_unknown",
                system=self._system,
                transaction=name,
                user=one.username,
                position=one.start_scn,
                rows=len(one),
            )
            return False
        scn, code = ends[0]
        if code == Code.ROLLBACK:
            return True
        raise RedoUnreadable(
            f"{self._system}: transaction {name} of user {one.username or 'unknown'}, begun at SCN "
            f"{one.start_scn}, has a COMMIT at SCN {scn} that LogMiner did not show when its redo was read",
            hint=f"its {len(one)} rows are not staged; to have them, {snapshot_hint(self._system)}",
        )
