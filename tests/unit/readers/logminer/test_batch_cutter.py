"""Committed transactions on their way into batches."""

from __future__ import annotations

import pytest

from cdc.errors import RedoUnreadable
from cdc.readers.logminer.streaming.batch_cutter import BatchCutter
from cdc.readers.logminer.streaming.batches import BatchMaker
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed


def committed(scn: int) -> Committed:
    return Committed(f"{scn:016x}", str(scn), scn, scn, None, None, None, ())


def output(begun: int) -> BatchCutter:
    maker = BatchMaker("ccb", {}, "CCBRIDGE")
    assembly = Assembly("ccb", lambda _row: None)
    return BatchCutter("ccb", maker, assembly, lambda *_: {}, {}, begun, 100, {})


def test_commits_before_the_checkpoint_are_passed_over() -> None:
    """After a restart redo is read again; what was handed out does not come twice."""
    found = output(10)
    assert list(found.take(committed(9))) == []
    assert list(found.take(committed(10))) == []
    assert not found.waiting


def test_commits_out_of_order_are_not_lost() -> None:
    """A commit behind one that was handed out would be dropped by every guard after it: it stops."""
    found = output(10)
    list(found.take(committed(12)))
    with pytest.raises(RedoUnreadable, match="SCN 11 comes after one of SCN 12"):
        list(found.take(committed(11)))
    list(found.flush(20))
    with pytest.raises(RedoUnreadable, match="SCN 19 comes after one of SCN 20"):
        list(found.take(committed(19)))


def test_the_checkpoint_never_goes_back() -> None:
    """Redo from before the checkpoint is read again for what is open; a stop then must not undo the rest."""
    found = output(10)
    [batch] = found.flush(5)
    assert (int(batch.position), batch.resume["committed"]) == (10, 10)
