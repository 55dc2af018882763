"""What fixed views are made of: a declaration, and a function that yields rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import TypeVar

from sandbox.oracle import cells
from sandbox.oracle.engine.state.context import Env, Reading, ScopeColumn
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import Cell, Row

Rows = Iterator[Sequence[object]]
Produce = Callable[[Env], Iterable[Sequence[object]]]
Made = TypeVar("Made", bound=Produce)

_KINDS: dict[str, SqlType] = {
    "n": sql_types.NUMBER,
    "d": sql_types.DATE,
    "t": sql_types.TIMESTAMP,
    "r": sql_types.raw(8),
    "c": sql_types.CLOB,
}


def kind_of(code: str) -> SqlType:
    """Type by code: n number, d date, t timestamp, r raw, c clob, or the length of a VARCHAR2."""
    return _KINDS.get(code) or sql_types.text(int(code))


@dataclass
class FixedView:
    """A view computed from Python values: int, str, datetime, bytes or None per column."""

    name: str
    columns: Sequence[ScopeColumn]
    produce: Produce
    free: bool = False
    late: frozenset[int] = field(default_factory=frozenset)

    def rows(self, env: Env, reading: Reading) -> Iterator[Row]:
        """See `context.View`."""
        for values in self.produce(env):
            yield tuple([to_cell(value) for value in values])


def to_cell(value: object) -> Cell:
    """Cell of a Python value; '' is NULL."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, int):
        return cells.encode_number(value)
    if isinstance(value, datetime):
        return cells.encode_timestamp(value)
    return value if isinstance(value, bytes) else None


def columns_of(text: str) -> list[ScopeColumn]:
    """Columns of `NAME:code NAME:code ...`, see `kind_of`."""
    parsed = (part.split(":") for part in text.split())
    return [ScopeColumn(name, kind_of(code)) for name, code in parsed]


_DECLARED: dict[str, list[FixedView]] = {}


def declare(module: str, name: str, columns: str, produce: Produce, *, free: bool = False) -> None:
    """Add a view to those of a module."""
    _DECLARED.setdefault(module, []).append(FixedView(name, columns_of(columns), produce, free))


def declared(module: ModuleType) -> list[FixedView]:
    """The views that a module declares."""
    return list(_DECLARED[module.__name__])


def view(name: str, columns: str, *, free: bool = False) -> Callable[[Made], Made]:
    """Declare a view by what yields its rows; one function may be that of several views.

    Args:
        name: as it is selected from.
        columns: `NAME:code NAME:code ...`, see `kind_of`.
        free: who may log in may read it.
    """

    def take(produce: Made) -> Made:
        declare(produce.__module__, name, columns, produce, free=free)
        return produce

    return take


def host_time(env: Env, seconds: float) -> datetime:
    """A time as a DATE column shows it: of the database host, without its zone and fractions."""
    return env.session.database.local_time(seconds).replace(microsecond=0)


def aliased(found: Iterable[FixedView]) -> Iterator[FixedView]:
    """V$X is also V_$X and GV$X (with INST_ID), as the grants name them."""
    for each in found:
        yield each
        if each.name.startswith("V$"):
            rest = each.name[2:]
            yield FixedView(f"V_${rest}", each.columns, each.produce, each.free, each.late)
            yield _global(each, f"GV${rest}")
            yield _global(each, f"GV_${rest}")


def _global(each: FixedView, name: str) -> FixedView:
    columns = [ScopeColumn("INST_ID", sql_types.NUMBER), *each.columns]
    produce = each.produce
    return FixedView(name, columns, lambda env: ((1, *row) for row in produce(env)), each.free)
