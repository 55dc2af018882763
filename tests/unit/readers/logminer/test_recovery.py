"""Failed LogMiner sessions: how often a new one is tried; and how old an open transaction may get."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from cdc.changes import TableName
from cdc.errors import (
    OperatorError,
    RedoLogFailure,
    RedoNotAvailable,
    ServerFailure,
    ServerMemory,
    SessionLost,
    TransientError,
)
from cdc.readers.logminer.mining.host_time import HostTime
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.recovery import Recovery
from cdc.readers.logminer.transactions.open_transaction_age import OldestOpen
from cdc.readers.logminer.transactions.transaction import Transaction

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "tries", "instead"),
    [
        (RedoLogFailure("ccb: ORA-00353"), 4, RedoNotAvailable),
        (ServerFailure("ccb: ORA-00600"), 1, OperatorError),
        (ServerMemory("ccb: ORA-04036"), 5, ServerMemory),
        (SessionLost("ccb: ORA-01306"), 5, SessionLost),
    ],
)
def test_sessions_are_replaced_a_few_times(
    error: TransientError, tries: int, instead: type[Exception]
) -> None:
    """Pauses grow; then an operator must know, or the flow continues more slowly."""
    recovery = Recovery()
    pauses = [recovery.pause_s(error) for _ in range(tries)]
    assert pauses == sorted(set(pauses))
    with pytest.raises(instead, match=str(error)):
        recovery.pause_s(error)


def test_count_starts_again_after_a_window() -> None:
    """Failures far apart are not a sign that something stays broken."""
    recovery = Recovery()
    for _ in range(20):
        assert recovery.pause_s(ServerFailure("ccb: ORA-00600")) == 0.2
        recovery.progressed()


def open_since(hours: float, xid: str = "0a00010057030000") -> Transaction:
    transaction = Transaction(xid, 77, start_seen=True, username="CISUSER")
    transaction.started_at = (NOW - timedelta(hours=hours)).replace(tzinfo=None)
    transaction.append(TableName("S", "T"), LogRow(78, 1, xid, "text", row_id="R1"))
    return transaction


def test_old_transaction_is_reported_of_once() -> None:
    """Before the logs of its start are deleted someone hears its id, user, age and rows."""
    oldest = OldestOpen("ccb", alarm_share=0.5)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            oldest.measure([open_since(13), open_since(1, "0b")], NOW - timedelta(hours=24), NOW, HostTime())
    (entry,) = logs
    assert (entry["event"], entry["transaction"], entry["user"]) == (
        "open_transaction_old",
        "10.1.855",
        "CISUSER",
    )
    assert (entry["age_s"], entry["redo_retained_s"], entry["rows"]) == (13 * 3600, 24 * 3600, 1)
    assert oldest.figures["oldest_open_s"] == 13 * 3600
    assert oldest.figures["open_transactions"] == 2


@pytest.mark.parametrize("retained", [timedelta(hours=27), None])
def test_transaction_within_its_share_is_not_reported_of(retained: timedelta | None) -> None:
    """No alarm below the share, nor where no log is archived yet."""
    with structlog.testing.capture_logs() as logs:
        oldest = OldestOpen("ccb", alarm_share=0.5)
        oldest.measure([open_since(13)], NOW - retained if retained else None, NOW, HostTime())
    assert logs == []


def test_start_from_a_manifest_counts_too() -> None:
    """After a restart the start is known as text."""
    transaction = open_since(5)
    transaction.started_at = str(transaction.started_at)
    oldest = OldestOpen("ccb", alarm_share=1)
    oldest.measure([transaction], None, NOW, HostTime())
    assert oldest.figures["oldest_open_s"] == 5 * 3600
