"""How many SQL_REDO texts as wide as CI_PER one core turns into typed columns a second.

Run: `python -m benchmarks.redo_parse [rows]`; prints one JSON line for each kind of text. The bar
is 100,000 rows/s. Polars is held to one thread and time is the process's own, so the figure is one core's.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time

os.environ["POLARS_MAX_THREADS"] = "1"

from cdc.changes import SourceColumn, SourceTable, SourceType, TableName
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.redo_sql.statements import read_statement

WIDTH = 37
"""Columns of CI_PER."""
BATCH = 20_000
SEED = 7


def table() -> SourceTable:
    """A table of CI_PER's width: a key, texts, a date and a counter."""
    columns = [SourceColumn("PER_ID", SourceType.TEXT, "CHAR(10)", length=10, nullable=False)]
    columns += [
        SourceColumn(f"OVRD_COLUMN{index:02d}", SourceType.TEXT, "VARCHAR2(254)", length=254)
        for index in range(WIDTH - 3)
    ]
    columns += [
        SourceColumn("SETUP_DT", SourceType.TIMESTAMP, "DATE"),
        SourceColumn("VERSION", SourceType.NUMBER, "NUMBER(5)", scale=0),
    ]
    return SourceTable(TableName("CISADM", "CI_PER"), tuple(columns), ("PER_ID",))


def texts(rows: int, operation: str) -> list[str]:
    """Inserts, or updates of two columns with all columns logged; every 20th has an apostrophe."""
    generator = random.Random(SEED)  # noqa: S311 - data, no secret
    words = (" ", "P ", "FRA", "12 rue de la Liberté", "a.person@example.org", "some longer text here")
    names = [column.name for column in table().columns]
    made = []
    for row in range(rows):
        values = [f"'{generator.randrange(10**9, 10**10)}'"]
        values += [f"'{generator.choice(words)}'" for _ in range(WIDTH - 3)]
        if row % 20 == 0:
            values[3] = "'rue de l''Église'"
        values += ["TO_DATE('2024-02-29 00:00:00', 'YYYY-MM-DD HH24:MI:SS')", f"'{row % 100}'"]
        if operation == "insert":
            listed = ",".join(f'"{name}"' for name in names)
            made.append(f'insert into "CISADM"."CI_PER"({listed}) values ({",".join(values)});')
        else:
            where = " and ".join(f'"{name}" = {value}' for name, value in zip(names, values, strict=True))
            made.append(
                f'update "CISADM"."CI_PER" set "OVRD_COLUMN04" = \'x{row}\', "VERSION" = \'{row % 100 + 1}\' '
                f"where {where} and ROWID = 'AAAR3sAAEAAAACXAAA';"
            )
    return made


def main(rows: int = 200_000) -> None:
    """Measure each kind of text and print its figure."""
    for operation in ("insert", "update"):
        batch = texts(BATCH, operation)
        reader = ImageReader(table())
        reader.read(batch[:100])
        started = time.process_time()
        for _ in range(max(1, rows // BATCH)):
            reader.read(batch)
        elapsed = time.process_time() - started
        read = max(1, rows // BATCH) * BATCH
        started = time.process_time()
        for text in batch[:1000]:
            read_statement(text)
        strict = 1000 / (time.process_time() - started)
        figure = {
            "bench": f"redo_parse_{operation}",
            "rows": read,
            "text_bytes": len(batch[1]),
            "rows_per_s": round(read / elapsed),
            "strict_scanner_rows_per_s": round(strict),
            "bar_rows_per_s": 100_000,
        }
        print(json.dumps(figure))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
