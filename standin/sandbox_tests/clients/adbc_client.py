"""adbc-driver-oracle, an Arrow driver written in Go: logs in, writes and reads every type, errs and goes on.

A program of its own: it needs packages that the project does not. Arguments: host:port/service, user,
password. Prints one JSON object with what it saw, by step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import adbc_driver_oracle.dbapi as adbc
import pyarrow as pa

TABLE = (
    "create table adbc_t (id number(10) primary key, name varchar2(40), amount number(15,2), opened date, "
    "changed timestamp(6), zoned timestamp(6) with time zone, class char(5), code raw(10), "
    "weight binary_double, ratio binary_float, term interval year to month, "
    "pause interval day to second, note clob, picture blob)"
)
MOMENT = datetime(2024, 2, 29, 10, 11, 12, 345678, UTC)


def main(service: str, user: str, password: str) -> dict[str, Any]:
    """Run all steps."""
    seen: dict[str, Any] = {}

    def connect(secret: str) -> Any:
        options = {"username": user, "password": secret}
        return adbc.connect(uri=f"oracle://{service}", db_kwargs=options, autocommit=False)

    def failure(call: Callable[[], Any]) -> str:
        try:
            call()
        except adbc.Error as exc:
            text = str(exc)
            return text[text.index("ORA-") :][:9] if "ORA-" in text else text
        return ""

    seen["wrong password"] = failure(lambda: connect("wrong"))
    with connect(password) as connection, connection.cursor() as cursor:

        def rows(query: str, parameters: Any = None) -> list[list[Any]]:
            cursor.execute(query, parameters)
            return [list(row) for row in cursor.fetchall()]

        cursor.execute(TABLE)
        cursor.execute(
            "insert into adbc_t (id, name, amount, opened, changed, zoned, class, code, weight, ratio, term, "
            "pause, note, picture) values (:1, :2, :3, :4, :5, :6, :7, :8, :9, :10, to_yminterval('2-3'), "
            "to_dsinterval('1 02:03:04.005'), :11, :12)",
            [
                1,
                "grüße",
                Decimal("12.50"),
                MOMENT,
                MOMENT,
                MOMENT,
                "ab",
                b"\0\1\xff",
                0.5,
                0.25,
                "é" * 1000,
                b"\7" * 1500,
            ],
        )
        connection.commit()
        (row,) = rows(
            "select id, name, amount, opened, changed, zoned, class, code, weight, ratio, note, picture "
            "from adbc_t"
        )
        (intervals,) = rows("select to_char(term), to_char(pause) from adbc_t")
        seen["row"] = [
            *(str(value) for value in row[:7]),
            row[7].hex(),
            *row[8:10],
            *intervals,
            len(row[10]),
            len(row[11]),
        ]
        numbers = pa.table({"ID": list(range(10, 3010)), "NAME": [f"name {n}" for n in range(3000)]})
        cursor.executemany("insert into adbc_t (id, name) values (:1, :2)", numbers)
        seen["in batch"] = int(rows("select count(*) from adbc_t")[0][0])
        connection.rollback()
        seen["rolled back"] = int(rows("select count(*) from adbc_t")[0][0])
        seen["ingested"] = cursor.adbc_ingest("ADBC_I", numbers, mode="create")
        seen["in table"] = int(rows('select count(*) from "ADBC_I"')[0][0])
        connection.commit()
        for name, text in {
            "parse": "selec 1 from dual",
            "table": "select id from nowhere",
            "column": "select id, nothing from adbc_t",
            "unique": "insert into adbc_t (id) values (1)",
            "raised": "begin raise_application_error(-20001, 'no'); end;",
            "number": "select to_number('x') from dual",
        }.items():
            found = failure(lambda text=text: rows(text))  # type: ignore[misc]
            seen[f"error: {name}"] = [found, int(rows("select count(*) from adbc_t where id = 1")[0][0])]
        connection.rollback()
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
