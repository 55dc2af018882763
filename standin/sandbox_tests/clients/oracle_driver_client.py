"""oracle-driver, a driver in pure Python: logs in, writes and reads, errs and goes on.

It has no binds, large objects, cursors from PL/SQL or batches, and commits after each statement: values are
written as literals. Arguments: host:port/service, user, password. Prints one JSON object with
what it saw, by step.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pyora
from pyora.connection import Connection

TABLE = (
    "create table pure_t (id number(10) primary key, name varchar2(40), amount number(15,2), opened date, "
    "changed timestamp(6), class char(5), code raw(10))"
)
ROW = (
    "insert into pure_t values (1, 'grüße', 12.50, to_date('2024-02-29 10:11:12', 'YYYY-MM-DD HH24:MI:SS'), "
    "timestamp '2024-02-29 10:11:12.345678', 'ab', hextoraw('0001FF'))"
)


def main(service: str, user: str, password: str) -> dict[str, Any]:
    """Run all steps."""
    seen: dict[str, Any] = {"version": pyora.__version__}

    def connect(secret: str) -> Connection:
        opened = Connection(f"oracle://{user}:{secret}@{service}")
        opened.connect()
        return opened

    def failure(call: Callable[[], Any]) -> str:
        try:
            call()
        except Exception as exc:  # noqa: BLE001 - of what class its errors are is part of what is seen
            return str(exc)[:9]
        return ""

    seen["wrong password"] = failure(lambda: connect("wrong"))
    connection = connect(password)

    def rows(query: str) -> list[list[Any]]:
        return [list(row) for row in connection.query(query).rows()]

    connection.exec(TABLE)
    connection.exec(ROW)
    connection.exec("commit")
    (row,) = rows("select * from pure_t")
    seen["row"] = [value.hex() if isinstance(value, bytes) else str(value) for value in row]
    connection.exec("insert into pure_t (id) values (2)")
    connection.exec("rollback")
    seen["committed by itself"] = len(rows("select id from pure_t"))
    connection.exec(
        "insert into pure_t (id) select rownum + 2 from user_tab_columns a, user_tab_columns b, "
        "user_tab_columns c where rownum <= 300"
    )
    seen["many rows"] = len(rows("select a.id from pure_t a, pure_t b where b.id < 12"))
    for name, text in {
        "parse": "selec 1 from dual",
        "unique": "insert into pure_t (id) values (1)",
    }.items():
        found = failure(lambda text=text: connection.exec(text))  # type: ignore[misc]
        seen[f"error: {name}"] = [found, len(rows("select id from pure_t"))]
    found = failure(lambda: rows("select id from nowhere"))
    seen["error: table"] = [found, len(rows("select id from pure_t"))]
    connection.close()
    return seen


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(*sys.argv[1:])))
