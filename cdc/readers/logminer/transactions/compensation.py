"""Undoing: what a row with ROLLBACK = 1 compensates is cancelled in its transaction.

Work is undone in reverse order, so of all that a compensation can mean it is the newest: a statement that
has not ended, one that never did, or the rows that end at its row id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import Code, LogRow
from cdc.readers.logminer.transactions.statement_rows import Statements
from cdc.readers.logminer.transactions.undo import Kept, Place, RowStack, fits_statement, place_of


class Layer(NamedTuple):
    """Rows that are kept together, in memory or in one segment on disk.

    `age` is 0 for the newest layer of a transaction; `cancel` takes the index of a row.
    """

    age: int
    stack: RowStack
    cancel: Callable[[int], None]


class Layers(Protocol):
    """The layers of a transaction, newest first."""

    def holding(self, place: Place) -> Iterator[Layer]:
        """Those that may hold a row of a place."""

    def of_statement(self, statement: int) -> Iterator[Layer]:
        """Those that may hold a row of a statement."""


EndsStatement = Callable[[TableName, LogRow], bool]
"""Whether an UPDATE may be the last row of a statement of several: it tells nothing but large columns."""


def undo(
    layers: Layers, statements: Statements, table: TableName, undone: LogRow, ends: EndsStatement
) -> bool:
    """Cancel what a compensation undoes; False if there is nothing that it can mean."""
    place = place_of(table, undone)
    if not place[1]:
        return _undo_without_row_id(layers, statements, place, undone)
    continued = statements.open.get(table)
    if continued and continued.row_id in (None, place[1]) and fits_statement(undone, continued.kind):
        _cancel_statement(layers, statements, table, continued.number)
        return True
    found, loose = _newest(layers, place, undone), statements.newest_loose(table, undone)
    if loose is not None and (found is None or _is_newer(layers, loose >> 2, *found)):
        _cancel_statement(layers, statements, table, loose >> 2)
        if undone.operation_code == Code.DELETE:
            _cancel_updates(layers, place)
        return True
    if found is None:
        return False
    layer, index = found
    mark = layer.stack.marks.get(index, 0)
    if not mark:
        layer.cancel(index)
    elif _was_alone(layer.stack.rows[index], mark, undone, ends):
        layer.cancel(index)
        statements.had_no_end(table, mark)
    else:
        _cancel_statement(layers, statements, table, mark >> 2)
    return True


def _was_alone(kept: Kept | None, mark: int, undone: LogRow, ends: EndsStatement) -> bool:
    """Is an UPDATE that was taken for the last row of a statement one of its own?"""
    if undone.operation_code != Code.UPDATE or kept is None or kept[1].operation_code != Code.UPDATE:
        return False
    return mark & 3 == Code.INSERT or not ends(*kept)  # no update undoes an insert


def _undo_without_row_id(layers: Layers, statements: Statements, place: Place, undone: LogRow) -> bool:
    """Rows of index-organised tables: the newest that fits, and behind an insert its updates."""
    found = _newest(layers, place, undone)
    if found is None:
        return False
    layer, index = found
    mark = layer.stack.marks.get(index, 0)
    if undone.operation_code == Code.DELETE:
        _cancel_updates(layers, place, behind=found)
    if mark:
        _cancel_statement(layers, statements, place[0], mark >> 2)
    else:
        layer.cancel(index)
    return True


def _newest(layers: Layers, place: Place, undone: LogRow) -> tuple[Layer, int] | None:
    for layer in layers.holding(place):
        index = layer.stack.newest(place, undone)
        if index is not None:
            return layer, index
    return None


def _is_newer(layers: Layers, statement: int, layer: Layer, index: int) -> bool:
    """Is the newest row of a statement newer than a row?"""
    for holder in layers.of_statement(statement):
        members = holder.stack.members(statement)
        if members:
            return (-holder.age, members[-1]) > (-layer.age, index)
    return False


def _cancel_statement(layers: Layers, statements: Statements, table: TableName, statement: int) -> None:
    for layer in layers.of_statement(statement):
        for index in layer.stack.members(statement):
            layer.cancel(index)
    statements.forget(table, statement)


def _cancel_updates(layers: Layers, place: Place, *, behind: tuple[Layer, int] | None = None) -> None:
    """Updates of a row whose insert was undone were part of it, where nothing said so."""
    update = LogRow(0, Code.UPDATE, "")
    while (found := _newest(layers, place, update)) is not None:
        layer, index = found
        if behind is not None and (-layer.age, index) < (-behind[0].age, behind[1]):
            return
        layer.cancel(index)
