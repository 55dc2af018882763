"""Memory that one very large transaction takes, from the rows of LogMiner to the batches.

Run: `python -m benchmarks.long_transaction [rows]`; prints one JSON line. Rows are generated and fed to
the assembly, a hundredth of them is undone again, and the transaction comes out in slices. The bar is
512 MB resident for 5,000,000 rows, in the whole process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.readers.logminer.mining.rows import LogRow
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.streaming.batch_cutter import BatchCutter
from cdc.readers.logminer.streaming.batches import BatchMaker
from cdc.readers.logminer.transactions.assembly import Assembly
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.open_transactions import SpillStore

ROWS = 5_000_000
MAX_CHANGES = 20_000
UNDONE_EVERY, UNDONE = 10_000, 100
XID = "0a00010057030000"
TABLE = TableName("CISADM", "CI_BSEG_CALC_LN")


def table() -> SourceTable:
    """A bill line: what a billing batch writes by the million."""
    columns = [
        SourceColumn("BSEG_ID", SourceType.TEXT, "CHAR(12)", length=12, nullable=False),
        SourceColumn("SEQNO", SourceType.NUMBER, "NUMBER(5)", scale=0, nullable=False),
        SourceColumn("CALC_AMT", SourceType.NUMBER, "NUMBER(15,2)", scale=2),
        SourceColumn("DESCR_ON_BILL", SourceType.TEXT, "VARCHAR2(80)", length=80),
        SourceColumn("VERSION", SourceType.NUMBER, "NUMBER(5)", scale=0),
    ]
    return SourceTable(TABLE, tuple(columns), ("BSEG_ID", "SEQNO"))


def log_rows(rows: int) -> Iterator[LogRow]:
    """START, inserts, now and then the last ones undone newest first, COMMIT."""
    yield LogRow(1, 6, XID)
    for number in range(rows):
        yield _insert(number, undo=False)
        if number % UNDONE_EVERY == UNDONE_EVERY - 1:
            yield from (_insert(number - back, undo=True) for back in range(UNDONE))
    yield LogRow(rows + 2, 7, XID)


def _insert(number: int, *, undo: bool) -> LogRow:
    row_id = f"AAAR3sAAE{number:09d}"
    text = (
        f'insert into "CISADM"."CI_BSEG_CALC_LN"("BSEG_ID","SEQNO","CALC_AMT","DESCR_ON_BILL","VERSION") '
        f"values ('{number:012d}','{number % 20}','{number % 9999}.25',"
        f"'Energy charge, tariff {number % 7}','1');"
    )
    return LogRow(
        number + 2,
        2 if undo else 1,
        XID,
        text,
        rollback=int(undo),
        row_id=row_id,
        data_obj=74_858,
        owner=TABLE.schema,
        table=TABLE.name,
        rs_id=f" 0x{number >> 9:06x}.{number & 511:08x}.0010 ",
        username="CISUSER",
        operation="INSERT",
    )


def resident_bytes() -> int:
    """Highest resident size of this process so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("VmHWM is not in /proc/self/status")


def main(rows: int = ROWS) -> None:
    """Feed, collect and print the figure."""
    before = resident_bytes()
    work = SpillStore("bench", None, every_s=30)
    assembly = Assembly("bench", lambda _row: TABLE, spill=work.spill)
    maker = BatchMaker("bench", {TABLE: ImageReader(table())}, "CCBRIDGE")
    output = BatchCutter(
        "bench",
        maker,
        assembly,
        lambda transactions, position, all_read: work.resume(transactions, position, all_read=all_read),
        {},
        0,
        MAX_CHANGES,
        {"read_from": 0, "committed": 0},
    )
    started, changes, slices, spilled_bytes = time.monotonic(), 0, 0, 0
    try:
        for row in log_rows(rows):
            event = assembly.add(row)
            if isinstance(event, Committed):
                file = event.transaction.file if event.transaction else None
                spilled_bytes = file.path.stat().st_size if file else 0
                for batch in output.take(event):
                    changes, slices = changes + batch.rows, slices + 1
        for batch in output.flush(rows + 2):
            changes, slices = changes + batch.rows, slices + 1
    finally:
        work.close()
    figure = {
        "bench": "long_transaction",
        "rows": rows,
        "changes": changes,
        "slices": slices,
        "spilled_bytes": spilled_bytes,
        "resident_before_bytes": before,
        "resident_bytes": resident_bytes(),
        "bar_resident_bytes": 512 * 2**20,
        "elapsed_s": round(time.monotonic() - started, 1),
    }
    print(json.dumps(figure))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
