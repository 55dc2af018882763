"""Values read again from the source, put into the changes that do not hold them.

The source returns a row as it is now, or as of the change's own position where it can. A value may so be
newer than its change. That is safe: whatever made it newer is a later change of the same row and comes
along the stream. A row that no longer exists is left out: its end comes along the stream too.

`cdc.ports.ChangeReader.reread` is what asks the source.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl
import structlog

from cdc.changes import AFTER, BEFORE, Operation, SourceTable, TableChanges, TableName
from cdc.errors import OperatorError
from cdc.ports import ColumnsRead, RereadValues, SourceKey

Place = tuple[int, int]
AskSource = Callable[[SourceTable, Sequence[str], Mapping[int, Sequence[SourceKey]]], RereadValues]
"""See `cdc.ports.ChangeReader.reread`."""

log = structlog.get_logger(__name__)


@dataclass
class Reread:
    """The result of asking the source.

    Args:
        tables: the changes with what was found.
        gone: places of changes whose row is no longer in the source.
        unknown: places of changes whose row could not be asked for.
    """

    tables: dict[TableName, TableChanges]
    gone: set[Place] = field(default_factory=set)
    unknown: set[Place] = field(default_factory=set)


def read_again(
    system: str,
    tables: Mapping[TableName, TableChanges],
    missing: Collection[Place],
    read: Mapping[TableName, ColumnsRead],
    ask: AskSource | None,
) -> Reread:
    """Ask the source for the absent columns of some changes.

    Args:
        system: name of the source, for the log.
        tables: changes by table.
        missing: places of the changes with a missing value.
        read: what rules read of each table; nothing else is asked for.
        ask: asks the source; None where it cannot be asked.

    Raises:
        TransientError: the source cannot be reached now.
    """
    result = Reread(dict(tables))
    for name, changes in tables.items():
        places = list(zip(changes.frame["position"], changes.frame["ordinal"], strict=True))
        numbers = [number for number, place in enumerate(places) if place in missing]
        if not numbers:
            continue
        absent = {number: _absent(changes, number) & read[name].names for number in numbers}
        columns = sorted(set().union(*absent.values()).difference(changes.table.key))
        keys = {number: _key(changes, number) for number in numbers}
        asked: dict[int, list[SourceKey]] = {}
        for number, key in keys.items():
            if key is not None:
                asked.setdefault(places[number][0], []).append(key)
        found = _asked(system, changes.table, columns, asked, ask, rows=len(numbers))
        found_texts: dict[int, Sequence[str | None]] = {}
        for number, key in keys.items():
            values = None if found is None or key is None else found.get((places[number][0], key))
            if values is not None:
                found_texts[number] = values
            elif found is None or key is None:
                result.unknown.add(places[number])
            else:
                result.gone.add(places[number])
        if found_texts:
            result.tables[name] = _with_values(changes, columns, absent, found_texts)
        log.info(
            "rows_reread",
            system=system,
            table=str(name),
            rows=len(found_texts),
            gone=len(numbers) - len(found_texts),
        )
    return result


def _asked(
    system: str,
    table: SourceTable,
    columns: Sequence[str],
    keys: Mapping[int, Sequence[SourceKey]],
    ask: AskSource | None,
    *,
    rows: int,
) -> RereadValues | None:
    """The source's answer for one table; None where it cannot be asked."""
    if ask is None or not keys or not columns:
        return None
    try:
        return ask(table, columns, keys)
    except OperatorError as exc:  # one table's rights do not stop the others
        log.warning(
            "reread_failed",
            system=system,
            table=str(table.name),
            rows=rows,
            error_code=exc.code,
            reason=str(exc),
        )
        return None


def _absent(changes: TableChanges, number: int) -> frozenset[str]:
    """Columns that neither image of a change holds."""
    operation, before, after = (
        changes.frame[name][number] for name in ("operation", "before_shape", "after_shape")
    )
    absent: frozenset[str] = changes.shapes[after]
    return absent & changes.shapes[before] if operation == Operation.UPDATE else absent


def _key(changes: TableChanges, number: int) -> SourceKey | None:
    """The row's key in the source after the change; None where the log does not hold it."""
    names, frame = changes.table.key, changes.frame
    if not names or _absent(changes, number) & set(names):
        return None
    absent = changes.shapes[frame["after_shape"][number]]
    return tuple(frame[(BEFORE if name in absent else AFTER) + name][number] for name in names)


def _with_values(
    changes: TableChanges,
    columns: Sequence[str],
    absent: Mapping[int, frozenset[str]],
    found: Mapping[int, Sequence[str | None]],
) -> TableChanges:
    frame = changes.frame
    shapes = {shape: number for number, shape in enumerate(changes.shapes)}
    after: list[int] = frame["after_shape"].to_list()
    values = {name: frame[AFTER + name].to_list() for name in columns}
    for number, texts in found.items():
        for name, text in zip(columns, texts, strict=True):
            if name in absent[number]:
                values[name][number] = text
        shape = changes.shapes[after[number]] - absent[number]
        after[number] = shapes.setdefault(shape, len(shapes))
    filled = frame.with_columns(
        pl.Series("after_shape", after, dtype=pl.Int16),
        *(pl.Series(AFTER + name, column, dtype=pl.String) for name, column in values.items()),
    )
    return replace(changes, frame=filled, shapes=tuple(shapes))
