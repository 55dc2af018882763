"""How old the oldest open transaction is, measured against how long the database keeps its redo.

A transaction that stays open for days holds the restart position; when the logs of its start are
deleted, a restart can no longer see it whole. So it is reported in time.

Source: Oracle Database Reference 19c: V$ARCHIVED_LOG.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

import oracledb
import structlog

from cdc.oracle.errors import oracle_errors
from cdc.readers.logminer.mining.host_time import HostTime
from cdc.readers.logminer.mining.rows import transaction_name
from cdc.readers.logminer.transactions.transaction import Transaction

LOOK_EVERY_S = 60.0
RETAINED = """
select min(a.first_change#), min(a.first_time), cast(systimestamp as date) from v$archived_log a, v$database d
where a.archived = 'YES' and a.deleted = 'NO' and a.name is not null
and a.resetlogs_change# = d.resetlogs_change#"""

log = structlog.get_logger(__name__)


class OldestOpen:
    """Checks once a minute, and warns once of each transaction.

    Args:
        system: name of the source.
        alarm_share: share of the redo's retention from which a transaction is too old.
    """

    def __init__(self, system: str, *, alarm_share: float) -> None:
        self._system, self._alarm_share = system, alarm_share
        self._looked_at = -LOOK_EVERY_S
        self._warned: set[str] = set()
        self.figures: dict[str, float | int] = {}

    def look(
        self, connection: oracledb.Connection, transactions: Sequence[Transaction], host_time: HostTime
    ) -> None:
        """Renew `figures` if a minute has passed.

        Args:
            connection: to the database that is mined.
            transactions: open ones with captured rows, oldest first.
            host_time: of the database that is mined.
        """
        if time.monotonic() - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = time.monotonic()
        with oracle_errors(self._system), connection.cursor() as cursor:
            cursor.execute(RETAINED, fetch_decimals=False)
            scn, oldest_log, now = cursor.fetchone()
        since = host_time.utc(int(scn), oldest_log) if oldest_log else None
        self.measure(transactions, since, (now - host_time.offset).replace(tzinfo=UTC), host_time)

    def measure(
        self,
        transactions: Sequence[Transaction],
        oldest_log: datetime | None,
        now: datetime,
        host_time: HostTime,
    ) -> None:
        """Renew `figures`; times are in UTC, only those of the transactions are the database host's own."""
        retained_s = (now - oldest_log).total_seconds() if oldest_log else 0.0
        self.figures = {"open_transactions": len(transactions), "redo_retained_s": retained_s}
        self._warned &= {one.name for one in transactions}
        if not transactions:
            return
        oldest = transactions[0]
        local = _time(oldest.started_at)
        started = host_time.utc(oldest.start_scn, local) if local else None
        age_s = max(0.0, (now - started).total_seconds()) if started else 0.0
        self.figures |= {
            "oldest_open_s": age_s,
            "oldest_open_scn": oldest.start_scn,
            "oldest_open_rows": len(oldest),
        }
        if retained_s and age_s > self._alarm_share * retained_s and oldest.name not in self._warned:
            self._warned.add(oldest.name)
            log.warning(
                "open_transaction_old",
                system=self._system,
                transaction=transaction_name(oldest.xid),
                user=oldest.username,
                started=str(started),
                rows=len(oldest),
                age_s=round(age_s),
                redo_retained_s=round(retained_s),
            )


def _time(value: object) -> datetime | None:
    """A DATE of the redo, or its text from a manifest."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, str):
        with suppress(ValueError):
            return datetime.fromisoformat(value)
    return None
