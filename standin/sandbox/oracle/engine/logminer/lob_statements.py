"""A change of a table with LOBs as LogMiner shows it: several rows that one compensation undoes.

The first row holds the plain columns and has no row id, nor have the rows of the LOBs. The last one has it:
an UPDATE of the LOBs that lie in the row or are NULL, or an INTERNAL row that names no table where none
does. What is undone comes as one row with the row id.

Source: rows recorded of 26ai Free 23.26 (debezium/dbz#1960).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sandbox.oracle.engine.logminer.lob_redo import NAMES, lob_rows
from sandbox.oracle.engine.logminer.redo_text import Renderer
from sandbox.oracle.engine.store.journal import Operation, Record

INTERNAL = 0


class Part(NamedTuple):
    """One row of the statement; `sequence` counts from 1, as SEQUENCE# does."""

    code: int
    name: str
    text: str | None
    has_row_id: bool
    sequence: int


def statement_rows(renderer: Renderer, record: Record) -> list[Part] | None:
    """The rows of a record, None for one that is a row of its own."""
    if record.operation not in (Operation.INSERT, Operation.UPDATE):
        return None
    if record.undo:
        return [_part(Operation.UPDATE, None, sequence=1)] if record.lob is not None else None
    large = renderer.large(record)
    if not large and record.lob is None:
        return None
    parts = [
        part._replace(sequence=number) for number, part in enumerate(_rows(renderer, record, large), start=1)
    ]
    if parts[-1].code == INTERNAL:  # never the first of its statement
        parts[-1] = parts[-1]._replace(sequence=max(2, len(parts)))
    return parts


def _rows(renderer: Renderer, record: Record, large: list[int]) -> Iterator[Part]:
    lobs = list(lob_rows(renderer, record))
    first = renderer.first_text(record, large, has_lob_rows=bool(lobs)) if record.lob is None else None
    if first is not None:
        yield _part(record.operation, first, has_row_id=False)
    for number, (code, text) in enumerate(lobs):
        # a LOB that is changed in its place is located by its row
        yield Part(code, NAMES[code], text, has_row_id=record.lob is not None and number == 0, sequence=0)
    last = renderer.last_text(record, large) if record.lob is None else None
    if last is not None:
        yield _part(Operation.UPDATE, last)
    else:
        yield Part(INTERNAL, "INTERNAL", None, has_row_id=True, sequence=0)


def _part(operation: Operation, text: str | None, *, has_row_id: bool = True, sequence: int = 0) -> Part:
    return Part(int(operation), operation.name, text, has_row_id, sequence)
