"""A database of a few fixed statements behind the `Database` protocol, for tests of the wire alone."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from sandbox.oracle.cells import decode, encode, encode_number
from sandbox.oracle.engine.state.users import make_verifier
from sandbox.oracle.interface import (
    BatchFault,
    Bind,
    Cell,
    CheckCancel,
    Client,
    Column,
    DbType,
    OracleFault,
    Outcome,
    Row,
    Verifier,
)

Rows = Sequence[Sequence[Cell | list[Cell]]]
ROWID = "AAASnBAAEAAAAIbAAA"
EVERY_TYPE: tuple[tuple[Column, object], ...] = (
    (Column("V", DbType.VARCHAR2, 40, 10), "äöü 😀"),
    (Column("C", DbType.CHAR, 5, 5), "ab   "),
    (Column("N", DbType.NUMBER, precision=15, scale=2), Decimal("-12345678901.05")),
    (Column("A", DbType.NUMBER, scale=-127), Decimal("0.000000000000000000000000000001234")),
    (Column("D", DbType.DATE, 7), datetime(2024, 2, 29, 23, 59, 58)),  # noqa: DTZ001 (DATE has no zone)
    (Column("TS", DbType.TIMESTAMP, 11, scale=6), datetime(1999, 12, 31, 1, 2, 3, 456789)),  # noqa: DTZ001
    (Column("R", DbType.RAW, 16), b"\x00\x01\xff"),
    (Column("RI", DbType.ROWID, 10), ROWID),
    (Column("BD", DbType.BINARY_DOUBLE, 8), -2.5),
    (Column("BF", DbType.BINARY_FLOAT, 4), 0.25),
    (Column("IV", DbType.INTERVAL_DS, 11, scale=6), timedelta(days=-3, hours=-4, seconds=-5)),
    (Column("LG", DbType.LONG, 1), "long " * 100),
)


PLAIN = ("V", "C", "N", "A", "D", "TS", "R")  # what the other client decodes


class FakeDatabase:
    """The user SCOTT/tiger; one service FAKE; one table of (id, name) pairs."""

    name = "FAKE"
    services = frozenset({"FAKE"})
    banner = "Oracle stand-in for tests"

    def __init__(self) -> None:
        self.passwords = {"SCOTT": make_verifier("tiger")}
        self.table: dict[bytes, Cell] = {}
        self.sessions: list[FakeSession] = []
        self.started = threading.Event()

    def verifier(self, user: str, service: str) -> Verifier | None:
        return self.passwords.get(user)

    def open_session(self, client: Client) -> FakeSession:
        session = FakeSession(self, client, len(self.sessions) + 1)
        self.sessions.append(session)
        return session


class FakeSession:
    """Answers statements by pattern; counts what was asked."""

    serial = 7

    def __init__(self, database: FakeDatabase, client: Client, number: int) -> None:
        self.id = number
        self.database = database
        self.client = client
        self.seen: list[Client] = []
        self.executed: list[str] = []
        self.pending: dict[bytes, Cell] = {}
        self.in_transaction = False
        self.schema = ""
        self.closed = False

    def describe(self, statement: str) -> tuple[Column, ...]:
        return self.execute(statement, (), [()], batch_errors=False, check_cancel=lambda: None).columns

    def execute(
        self,
        statement: str,
        binds: Sequence[Bind],
        rows: Rows,
        *,
        batch_errors: bool,
        check_cancel: CheckCancel,
    ) -> Outcome:
        self.executed.append(statement)
        for pattern, method in _STATEMENTS:
            if found := re.match(pattern, statement, re.IGNORECASE | re.DOTALL):
                return method(self, found, binds, rows, batch_errors, check_cancel)
        raise OracleFault(900, "invalid SQL statement", offset=statement.find("!") + 1)

    def commit(self) -> None:
        self.database.table.update(self.pending)
        self.rollback()

    def rollback(self) -> None:
        self.pending = {}
        self.in_transaction = False

    def identify(self, client: Client) -> None:
        self.seen.append(Client(**vars(client)))

    def set_current_schema(self, schema: str) -> None:
        self.schema = schema

    def close(self) -> None:
        self.rollback()
        self.closed = True

    def _constants(self, *_: object) -> Outcome:
        columns = (Column("A", DbType.NUMBER, scale=-127), Column("B", DbType.VARCHAR2, 4, 1))
        return Outcome(columns=columns, rows=iter([(b"\xc1\x02", b"x")]))

    def _numbers(self, found: re.Match[str], *_: object) -> Outcome:
        columns = (Column("ID", DbType.NUMBER, precision=10), Column("NAME", DbType.VARCHAR2, 20, 20))
        return Outcome(columns=columns, rows=_numbered(int(found[1])))

    def _types(self, found: re.Match[str], *_: object) -> Outcome:
        full = tuple(_cell(column, value) for column, value in EVERY_TYPE)
        empty: Row = (None,) * len(full)
        rows = [full, empty, full] if found[1] is None else [full] * int(found[1])
        return Outcome(columns=tuple(column for column, _ in EVERY_TYPE), rows=iter(rows))

    def _plain(self, found: re.Match[str], *_: object) -> Outcome:
        chosen = [(column, value) for column, value in EVERY_TYPE if column.name in PLAIN]
        row = tuple(_cell(column, value) for column, value in chosen)
        rows = [row, (None,) * len(row)] * int(found[1])
        return Outcome(columns=tuple(column for column, _ in chosen), rows=iter(rows))

    def _echo(self, _: re.Match[str], binds: Sequence[Bind], rows: Rows, *__: object) -> Outcome:
        columns = tuple(
            Column(f"C{at}", DbType.CLOB if bind.type == DbType.LONG else bind.type, max(bind.size, 1))
            for at, bind in enumerate(binds, 1)
        )
        row = tuple(cell for cell in rows[0] if not isinstance(cell, list))
        return Outcome(columns=columns, rows=iter([row]))

    def _lobs(self, found: re.Match[str], *_: object) -> Outcome:
        columns = (
            Column("ID", DbType.NUMBER, precision=10),
            Column("TXT", DbType.CLOB, 4000),
            Column("BIN", DbType.BLOB, 4000),
            Column("NAME", DbType.VARCHAR2, 20, 20),
        )
        rows: list[Row] = [
            (encode_number(at), f"täxt {at} ".encode() * at * 1000, b"\x00\xff" * at * 1000, b"n%d" % at)
            for at in range(1, int(found[1]) + 1)
        ]
        rows.append((encode_number(99), None, None, b"none"))
        return Outcome(columns=columns, rows=iter(rows))

    def _insert(
        self,
        found: re.Match[str],
        binds: Sequence[Bind],
        rows: Rows,
        batch_errors: bool,
        *_: object,
    ) -> Outcome:
        outcome = Outcome(last_rowid=ROWID)
        for at, row in enumerate(rows):
            key, name = row[0], row[1]
            assert isinstance(key, bytes)
            assert not isinstance(name, list)
            if key in self.pending or key in self.database.table:
                fault = OracleFault(1, "unique constraint (FAKE.PK) violated", row=at)
                if not batch_errors:
                    self.in_transaction = bool(self.pending)
                    raise fault
                outcome.batch_faults.append(BatchFault(at, fault.code, fault.text))
                outcome.row_counts.append(0)
                continue
            self.pending[key] = name
            outcome.row_counts.append(1)
            returned: list[list[Cell]] = [[key], [name]]
            outcome.returning.append(returned[: sum(bind.returning for bind in binds)])
        outcome.row_count = sum(outcome.row_counts)
        self.in_transaction = True
        return outcome

    def _update(self, *_: object) -> Outcome:
        self.in_transaction = True
        cells = [encode_number(number) for number in (1, 2, 3)]
        return Outcome(row_count=3, returning=[[list(cells)]])

    def _count(self, *_: object) -> Outcome:
        number = len(self.database.table | self.pending)
        return Outcome(columns=(Column("N", DbType.NUMBER),), rows=iter([(encode_number(number),)]))

    def _upper(self, _: re.Match[str], binds: Sequence[Bind], rows: Rows, *__: object) -> Outcome:
        given = {bind.name: cell for bind, cell in zip(binds, rows[0], strict=True)}
        source = given["I"]
        assert not isinstance(source, list)
        text = str(decode(source, DbType.VARCHAR2) or "").upper()
        places = {bind.name: at for at, bind in enumerate(binds)}
        outs: dict[int, Cell | list[Cell] | Outcome] = {places["O"]: encode(text, DbType.VARCHAR2)}
        if "N" in places:
            number = given["N"]
            assert not isinstance(number, list)
            plain = decode(number, DbType.NUMBER)
            assert isinstance(plain, Decimal)
            outs[places["N"]] = encode(plain + 1, DbType.NUMBER)
        return Outcome(outs=outs)

    def _open(self, found: re.Match[str], *_: object) -> Outcome:
        columns = (Column("ID", DbType.NUMBER, precision=10), Column("NAME", DbType.VARCHAR2, 20, 20))
        return Outcome(outs={0: Outcome(columns=columns, rows=_numbered(int(found[1])))})

    def _reverse(self, _: re.Match[str], __: Sequence[Bind], rows: Rows, *___: object) -> Outcome:
        cells = rows[0][0]
        assert isinstance(cells, list)
        return Outcome(outs={0: cells[::-1]})

    def _bigger(self, *_: object) -> Outcome:
        return Outcome(outs={0: "grüße ".encode() * 20000})

    def _raise(self, *_: object) -> Outcome:
        raise OracleFault(20001, "my own error")

    def _crash(self, *_: object) -> Outcome:
        raise KeyError("a slip of the engine")

    def _killed(self, *_: object) -> Outcome:
        raise OracleFault(28, "your session has been killed")

    def _wait(self, *args: object) -> Outcome:
        self.database.started.set()
        check = args[-1]
        assert callable(check)
        while True:
            threading.Event().wait(0.005)
            check()

    def _nothing(self, *_: object) -> Outcome:
        return Outcome()


def _numbered(count: int) -> Iterator[Row]:
    return ((encode_number(number), b"name %d" % number) for number in range(1, count + 1))


def _cell(column: Column, value: object) -> Cell:
    assert isinstance(value, str | bytes | Decimal | datetime | timedelta | float)
    return encode(value, column.type)


_STATEMENTS: tuple[tuple[str, Callable[..., Outcome]], ...] = (
    (r"select 1 a", FakeSession._constants),
    (r"select \* from numbers_(\d+)", FakeSession._numbers),
    (r"select \* from types(?:_(\d+))?", FakeSession._types),
    (r"select \* from plain_(\d+)", FakeSession._plain),
    (r"select \* from lobs_(\d+)", FakeSession._lobs),
    (r"select count", FakeSession._count),
    (r"select :", FakeSession._echo),
    (r"insert into t ", FakeSession._insert),
    (r"update t ", FakeSession._update),
    (r"begin :o := upper", FakeSession._upper),
    (r"begin open :\w+ for (\d+)", FakeSession._open),
    (r"begin reverse", FakeSession._reverse),
    (r"begin :o := big", FakeSession._bigger),
    (r"begin raise", FakeSession._raise),
    (r"begin crash", FakeSession._crash),
    (r"begin killed", FakeSession._killed),
    (r"begin wait", FakeSession._wait),
    (r"(begin|commit|alter session|alter user|create|drop)", FakeSession._nothing),
)
