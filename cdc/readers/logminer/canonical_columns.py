"""Columns of texts made canonical, many rows at once; a text that cannot be names its row.

Read next: `cdc.readers.logminer.values`, which knows the forms.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cdc.changes import SourceColumn
from cdc.readers.logminer.cells import RedoSyntaxError
from cdc.readers.logminer.values import canonical, is_canonical


class RedoRowError(ValueError):
    """A text of a batch that cannot be read; `index` is its place in the batch."""

    def __init__(self, index: int, reason: str) -> None:
        super().__init__(reason)
        self.index, self.reason = index, reason


def canonical_columns(frame: pl.DataFrame, columns: Mapping[str, SourceColumn]) -> pl.DataFrame:
    """Canonical texts in these columns; most columns are already, which one look over them tells.

    Where a large column says that its value is elsewhere, `cdc.readers.logminer.large_values` makes it
    canonical.

    Args:
        frame: has a column `row`, the place of each row in its batch.
        columns: what the columns are, by name.

    Raises:
        RedoRowError: a text is no value of its column's type.
    """
    plain = frame.select(is_canonical(pl.col(name), column) for name, column in columns.items())
    changed = []
    for name, column in columns.items():
        if plain[name][0]:
            continue
        try:
            changed.append(canonical(frame[name], column))
        except RedoSyntaxError as exc:
            row = frame["row"][_first_bad(frame[name], column)]
            raise RedoRowError(row, f"{column.name}: {exc}") from exc
    return frame.with_columns(changed)


def _first_bad(values: pl.Series, column: SourceColumn) -> int:
    for index in range(len(values)):
        try:
            canonical(values[index : index + 1], column)
        except RedoSyntaxError:
            return index
    return 0
