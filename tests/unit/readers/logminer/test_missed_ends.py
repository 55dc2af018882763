"""Transactions that are not open in the database any more, and whose end was not shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from cdc.errors import CcbridgeError, RedoLogFailure, RedoNotAvailable, RedoUnreadable
from cdc.readers.logminer.mining.session import MiningSession
from cdc.readers.logminer.mining.window import RedoState
from cdc.readers.logminer.transactions import missed_ends
from cdc.readers.logminer.transactions.missed_ends import MissedEnds
from cdc.readers.logminer.transactions.transaction import Transaction

XID = "0a00010057030000"
STATE = RedoState(None, ())


class Session:
    """Knows of no open transaction; its redo holds the end given, or is gone."""

    def __init__(self, end: tuple[int, int] | CcbridgeError | None, *, finds_logs: bool = False) -> None:
        self._end, self.finds_logs = end, finds_logs

    def open_transactions(self) -> frozenset[str]:
        return frozenset()

    def current_scn(self) -> int:
        return 20

    def mined(self, *_: Any) -> Iterator[list[tuple[int, int]]]:
        if isinstance(self._end, CcbridgeError):
            raise self._end
        yield [self._end] if self._end else []


def looked(end: tuple[int, int] | CcbridgeError | None, *, finds_logs: bool = False) -> list[str]:
    """XIDs that were found rolled back, after three looks."""
    missed = MissedEnds("ccb", cast("MiningSession", Session(end, finds_logs=finds_logs)))
    one = Transaction(XID, 7, start_seen=True)
    return [found.xid for read_to in (10, 20, 30) for found in missed.look([one], read_to, STATE)]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missed_ends, "LOOK_EVERY_S", 0.0)


@pytest.mark.parametrize(
    ("end", "finds_logs"),
    [(None, False), (RedoNotAvailable("gone"), False), (RedoLogFailure("ORA-01291"), True)],
)
def test_what_has_no_end_in_the_redo_that_is_there_is_kept(
    end: CcbridgeError | None, *, finds_logs: bool
) -> None:
    """An old transaction in doubt is on disk, its redo deleted: nothing waits for that to be restored."""
    assert looked(end, finds_logs=finds_logs) == []


def test_what_was_rolled_back_is_forgotten() -> None:
    """Its ROLLBACK row was not shown when its redo was read."""
    assert looked((9, 36)) == [XID] * 2


def test_a_commit_that_was_not_shown_stops_reading() -> None:
    """Its changes are older than what was handed out since."""
    with pytest.raises(RedoUnreadable, match="has a COMMIT at SCN 9"):
        looked((9, 7))
    with pytest.raises(RedoLogFailure):
        looked(RedoLogFailure("ORA-00310: another sequence"))
