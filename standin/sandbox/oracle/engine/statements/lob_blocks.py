"""Blocks that change one LOB in place by DBMS_LOB.

`declare l clob; begin select note into l from t where id = 1 for update; dbms_lob.write(l, 3, 1, 'abc');
dbms_lob.writeappend(l, 1, 'x'); dbms_lob.trim(l, 2); dbms_lob.erase(l, 1, 2); end;`: arguments are numbers,
literals and binds. ERASE takes its amount as a number here; in Oracle it is a variable. A LOB that is small
before and after lies in its row: its change is an UPDATE row. Any other is in the redo without one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from sandbox.oracle import cells
from sandbox.oracle.engine.logminer.redo_text import lob_limit
from sandbox.oracle.engine.plan.dml import DeletePlan
from sandbox.oracle.engine.plan.prepare import prepared_for
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.store.journal import LobChange
from sandbox.oracle.interface import Bind, Cell, CheckCancel, DbType, OracleFault, Outcome, Row

_BLOCK = re.compile(
    r"\s*declare\s+(?P<name>\w+)\s+n?[cb]lob\s*;\s*begin\s+select\s+(?P<column>\w+)\s+into\s+(?P=name)\s+"
    r"from\s+(?P<table>\S+)\s+where\s+(?P<where>.*?)\s+for\s+update\s*;(?P<calls>.*)\bend\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)
_CALL = re.compile(
    r"\s*dbms_lob\s*\.\s*(?P<what>write|writeappend|trim|erase)\s*\(\s*(?P<name>\w+)\s*,"
    r"(?P<arguments>(?:[^'()]|'(?:[^']|'')*'|\([^()]*\))*)\)\s*;",
    re.IGNORECASE,
)
_ARGUMENT = re.compile(r"\s*((?:'(?:[^']|'')*'|\([^()]*\)|[^',()])+)\s*(?:,|\Z)")


def run(
    session: Session,
    text: str,
    binds: Sequence[Bind],
    row: Sequence[Cell | list[Cell]],
    evaluate: Callable[[str], Cell],
    check: CheckCancel,
) -> Outcome | None:
    """Run such a block; None if the block is of another form.

    Raises:
        OracleFault: ORA-01403 when there is no such row, ORA-22275 when its LOB is null.
    """
    block = _BLOCK.fullmatch(text)
    if block is None:
        return None
    number, found, plan = _locked(session, block["table"], block["where"], binds, row, check)
    table = plan.table
    place = table.shape.place(block["column"].upper())
    if place is None or table.shape.columns[place].type.base not in (DbType.CLOB, DbType.BLOB):
        raise OracleFault(904, f'"{block["column"].upper()}": invalid identifier')
    for what, arguments in _calls(block["calls"], block["name"]):
        current = found[place]
        if current is None:
            raise OracleFault(22275, "invalid LOB locator specified")
        values = [evaluate(argument) for argument in arguments]
        binary = table.shape.columns[place].type.base is DbType.BLOB
        change = _change(what, place, values, current, binary=binary)
        after = _applied(current, change, binary=binary)
        found = (*found[:place], after, *found[place + 1 :])
        limit = lob_limit(table.shape.columns[place].type.base)
        in_row = len(current) <= limit and 0 < len(after) <= limit
        with session.storage.lock:
            session.storage.update(session.begin(), table, number, found, lob=None if in_row else change)
    return Outcome(row_count=1)


def _locked(
    session: Session,
    table: str,
    where: str,
    binds: Sequence[Bind],
    row: Sequence[Cell | list[Cell]],
    check: CheckCancel,
) -> tuple[int, Row, DeletePlan]:
    from sandbox.oracle.engine.plan.prepare import bind_type  # it imports what runs blocks

    used = [
        at
        for name in re.findall(r":(\w+)", where)
        for at, bind in enumerate(binds)
        if bind.name.upper() == name.upper()
    ]
    kinds = tuple(bind_type(binds[at]) for at in used)
    prepared = prepared_for(session, f"delete from {table} where {where}", kinds)  # noqa: S608
    if not isinstance(prepared.dml, DeletePlan):
        raise OracleFault(903, "invalid table name")
    values = [row[at] for at in used]
    with session.storage.lock:
        env = session.env([value for value in values if not isinstance(value, list)], check)
        found = prepared.dml.matching(session, env)
    if len(found) != 1:
        raise OracleFault(
            1422 if found else 1403, "exact fetch returns one row" if found else "no data found"
        )
    number, cells_of_row = found[0]
    return number, cells_of_row[: prepared.dml.width], prepared.dml


def _calls(text: str, name: str) -> Iterator[tuple[str, list[str]]]:
    at = 0
    while text[at:].strip():
        call = _CALL.match(text, at)
        if call is None or call["name"].lower() != name.lower():
            raise OracleFault(6550, f"line 1, column 1:\nPLS-00103: not simulated: {text[at : at + 80]}")
        yield call["what"].lower(), [found.strip() for found in _ARGUMENT.findall(call["arguments"])]
        at = call.end()


def _change(what: str, place: int, values: Sequence[Cell], current: bytes, *, binary: bool) -> LobChange:
    numbers = [
        cells.decode_integer(value) for value in values[: 2 if what in ("write", "erase") else 1] if value
    ]
    if what == "trim":
        return LobChange("trim", place, 1, numbers[0], b"")
    if what == "erase":
        return LobChange("erase", place, numbers[1] if len(numbers) > 1 else 1, numbers[0], b"")
    data = values[-1] or b""
    units = _units(data, binary=binary)[: numbers[0] * _unit(binary=binary)]
    size = len(_units(current, binary=binary)) // _unit(binary=binary)
    offset = size + 1 if what == "writeappend" else numbers[1]
    return LobChange("write", place, offset, numbers[0], _cell(units, binary=binary))


def _applied(current: bytes, change: LobChange, *, binary: bool) -> bytes:
    unit = _unit(binary=binary)
    value = bytearray(_units(current, binary=binary))
    blank = b"\0" if binary else " ".encode("utf-16-be")
    start = (change.offset - 1) * unit
    if change.kind == "trim":
        del value[change.amount * unit :]
    elif change.kind == "erase":
        end = min(len(value), start + change.amount * unit)
        value[start:end] = blank * (max(end - start, 0) // unit)
    else:
        data = _units(change.data, binary=binary)
        value += blank * (max(start - len(value), 0) // unit)
        value[start : start + len(data)] = data
    return _cell(bytes(value), binary=binary)


def _unit(*, binary: bool) -> int:
    return 1 if binary else 2


def _units(cell: bytes, *, binary: bool) -> bytes:
    return cell if binary else cell.decode().encode("utf-16-be")


def _cell(units: bytes, *, binary: bool) -> bytes:
    return units if binary else units.decode("utf-16-be").encode()
