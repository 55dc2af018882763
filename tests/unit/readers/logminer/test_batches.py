"""Committed transactions as change batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from cdc.changes import WHO, SourceColumn, SourceTable, SourceType, TableName
from cdc.errors import RedoUnreadable
from cdc.readers.logminer.mining.host_time import HostTime
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.streaming.batches import BatchMaker, Slice
from cdc.readers.logminer.transactions.events import Committed

PER = TableName("CISADM", "CI_PER")
ACCT = TableName("CISADM", "CI_ACCT")
HOST_TIME = datetime(2024, 3, 1, 0, 30)  # noqa: DTZ001 - the redo's times are host-local


def maker(
    *,
    has_apply_log: bool = False,
    stopped: Mapping[TableName, int] = MappingProxyType({}),
    host_time: HostTime | None = None,
) -> BatchMaker:
    columns = (SourceColumn("ID", SourceType.TEXT, "CHAR(1)"),)
    readers = {name: ImageReader(SourceTable(name, columns, ("ID",))) for name in (PER, ACCT)}
    return BatchMaker(
        "ccb", readers, "CCBRIDGE", has_apply_log=has_apply_log, stopped=stopped, host_time=host_time
    )


def row(table: TableName, key: str) -> tuple[TableName, LogRow]:
    text = f'insert into "{table.schema}"."{table.name}"("ID") values (\'{key}\')'
    return table, LogRow(7, 1, "0a00010057030000", text, rs_id=" 0x1.2.3 ")


def committed(
    *rows: tuple[TableName, LogRow],
    scn: int = 9,
    user: str | None = None,
    client: str | None = None,
    marked: bool = False,
) -> Committed:
    return Committed("0a00010057030000", "10.1.855", scn, 7, HOST_TIME, user, client, rows, marked=marked)


def test_rows_keep_their_order_over_tables() -> None:
    """Ordinals count over all tables of a commit SCN, so the order is known from the frames."""
    one = committed(row(PER, "a"), row(ACCT, "b"), row(PER, "c"))
    two = committed(row(ACCT, "d"))
    tables = maker().tables([Slice(one, tuple(one.rows), 0), Slice(two, tuple(two.rows), 3)])
    assert tables[PER].frame["ordinal"].to_list() == [0, 2]
    assert tables[ACCT].frame["ordinal"].to_list() == [1, 3]
    assert tables[PER].frame["after.ID"].to_list() == ["a", "c"]
    assert set(tables[PER].frame["transaction_id"]) == {"10.1.855"}


def test_a_table_ends_between_transactions() -> None:
    """One that was open when its table stopped is left out whole, one that had committed is not."""
    before, after = committed(row(PER, "a"), scn=9), committed(row(PER, "b"), row(ACCT, "c"), scn=11)
    stopped: dict[TableName, int] = {}
    slices = [Slice(one, tuple(one.rows), 0) for one in (before, after)]
    made = maker(stopped=stopped)
    stopped[PER] = 10
    tables = made.tables(slices)
    assert tables[PER].frame["after.ID"].to_list() == ["a"]
    assert tables[ACCT].frame["ordinal"].to_list() == [1]


def test_who_made_a_change_goes_with_it() -> None:
    """User and client identifier of its transaction; null where it has none."""
    slices = [
        Slice(one, tuple(one.rows), number)
        for number, one in enumerate(
            [committed(row(PER, "a"), user="CISUSER", client="jdoe"), committed(row(PER, "b"), client="")]
        )
    ]
    frame = maker().tables(slices)[PER].frame
    assert frame.select(WHO).rows() == [("CISUSER", "jdoe"), (None, None)]


def test_commit_time_is_utc() -> None:
    """The redo's host-local time becomes an instant."""
    one = committed(row(PER, "a"))
    made = maker(host_time=HostTime(timedelta(hours=1)))
    frame = made.tables([Slice(one, tuple(one.rows), 0)])[PER].frame
    assert frame["committed_at"].to_list() == [datetime(2024, 2, 29, 23, 30, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("user", "client", "ours"),
    [
        ("CCBRIDGE", None, True),
        ("CCBRIDGE", "ccbridge", True),
        ("CCBRIDGE", "another tool", False),
        ("CISUSER", "ccbridge", False),
        (None, "ccbridge", True),
        (None, None, False),
        (None, "batch", False),
    ],
)
def test_own_writes(user: str | None, client: str | None, *, ours: bool) -> None:
    """Our user's work is ours; where the user is unknown our client identifier says so; else it is not."""
    one = committed(row(PER, "a"), user=user, client=client)
    frame = maker().tables([Slice(one, tuple(one.rows), 0)])[PER].frame
    assert frame["ours"].to_list() == [ours]


@pytest.mark.parametrize(
    ("user", "client", "marked", "ours"),
    [
        ("CCBRIDGE", "ccbridge", False, False),
        ("CCBRIDGE", None, True, True),
        (None, None, True, True),
        (None, "ccbridge", False, False),
    ],
)
def test_with_an_apply_log_its_row_alone_decides(
    user: str | None, client: str | None, *, marked: bool, ours: bool
) -> None:
    """A DBA who works under our name is not taken for us, and we are known where the redo names no one."""
    one = committed(row(PER, "a"), user=user, client=client, marked=marked)
    frame = maker(has_apply_log=True).tables([Slice(one, tuple(one.rows), 0)])[PER].frame
    assert frame["ours"].to_list() == [ours]


def test_unreadable_row_is_named_without_its_values() -> None:
    """The error says table, SCN, transaction and place in the redo, and nothing of what the row holds."""
    table, bad = row(PER, "secret")
    bad = replace(bad, sql_redo=(bad.sql_redo or "") + " garbage")
    one = committed((table, bad))
    with pytest.raises(RedoUnreadable) as caught:
        maker().tables([Slice(one, tuple(one.rows), 0)])
    message = str(caught.value)
    assert "CISADM.CI_PER, row at SCN 7, transaction 10.1.855, RS_ID 0x1.2.3" in message
    assert "secret" not in message
