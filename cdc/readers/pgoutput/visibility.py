"""Which transactions a snapshot sees, and up to which place of the log it certainly sees everything.

A transaction writes its commit record first and becomes visible afterwards: after the flush, or after a
standby has confirmed it. So a commit that stands in the log before a position need not be in a snapshot taken
at that position, and the stream may bring it all the same. The snapshot itself says which transactions it
sees.

Source: PostgreSQL 17 documentation, "System Information Functions", pg_current_snapshot; "WAL Internals";
src/include/access/xlog_internal.h: sizes of page headers.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdc.positions import Lsn

MARGIN_BYTES = 16 * 2**20
"""So much log may be written between the commit record of a transaction and its becoming visible."""
_PAGE_HEADERS = (24, 40)
_XIDS = 2**32


@dataclass(frozen=True)
class Visible:
    """The transactions that a snapshot sees.

    Args:
        xmin: all before it have ended.
        xmax: this one and later ones are not seen.
        running: those between that are not seen either.
    """

    xmin: int
    xmax: int
    running: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Visible:
        """Read `xmin:xmax:xip,xip`, as pg_current_snapshot() gives it."""
        xmin, xmax, running = text.split(":")
        return cls(int(xmin), int(xmax), frozenset(map(int, filter(None, running.split(",")))))

    def sees(self, xid: int) -> bool:
        """Whether a committed transaction is seen.

        Args:
            xid: its number in the log, 32 bits of it.
        """
        full = self.xmax - self.xmax % _XIDS + xid % _XIDS
        if full >= self.xmax + _XIDS // 2:
            full -= _XIDS
        elif full < self.xmax - _XIDS // 2:
            full += _XIDS
        return full < self.xmin or (full < self.xmax and full not in self.running)


def last_commit(insert_at: Lsn, page_bytes: int) -> Lsn:
    """The last position that a commit can have whose record is in the log.

    The stream reaches it even if nothing more is written: a place behind the header of an empty page it
    would not.

    Args:
        insert_at: where the next record will be written.
        page_bytes: wal_block_size.
    """
    into_page = insert_at % page_bytes
    end = insert_at - into_page if into_page in _PAGE_HEADERS else insert_at
    return Lsn(end - 1)
