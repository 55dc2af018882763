"""Columns of texts made canonical, many rows at once; a text that cannot be says so in its place."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from cdc.changes import UNREADABLE, SourceColumn
from cdc.readers.logminer.redo_sql.values import canonical, is_canonical


class RedoRowError(ValueError):
    """A text of a batch that is not a row of its table; `index` is its place in the batch.

    `altered` is True where the table's columns of today do not explain it.
    """

    def __init__(self, index: int, reason: str, *, altered: bool = False) -> None:
        super().__init__(reason)
        self.index, self.reason, self.altered = index, reason, altered


def canonical_columns(frame: pl.DataFrame, columns: Mapping[str, SourceColumn]) -> tuple[pl.DataFrame, bool]:
    """Canonical texts in these columns; most columns are already, which one look over them tells.

    Where a large column says that its value is elsewhere, `cdc.readers.logminer.lobs.large_values` makes it
    canonical.

    Args:
        frame: the texts.
        columns: what the columns are, by name.

    Returns:
        The frame, and whether a text was not a value of its column's type.
    """
    plain = frame.select(is_canonical(pl.col(name), column) for name, column in columns.items())
    changed = [canonical(frame[name], column) for name, column in columns.items() if not plain[name][0]]
    return frame.with_columns(changed), any(has_unreadable(one) for one in changed)


def has_unreadable(values: pl.Series) -> bool:
    """Whether a cell of the column could not be read."""
    return bool(values.str.starts_with(UNREADABLE).any())
