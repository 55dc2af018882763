"""When the temporary tables of a session are emptied: seldom, and by what is cheap for what is in them.

Truncating makes new files, which takes longer than a write of a few rows; rows that are left in make the
table longer to read. So rows of former uses stay, deleted or distinguished by their numbers, until there are
many. A rollback undoes a truncate too: after it nothing is known of what is in there.
"""

from __future__ import annotations

from collections.abc import Callable

TRUNCATE_FROM = 2_000
"""Rows, live or deleted, from which on a table is truncated."""


class ScratchRows:
    """How many rows were put into the temporary tables that one use of a session shares."""

    def __init__(self) -> None:
        self._rows: int | None = 0

    @property
    def few(self) -> bool:
        """Deleting the rows costs less than truncating."""
        return self._rows is not None and self._rows < TRUNCATE_FROM

    @property
    def rows(self) -> int:
        """Rows since the tables were truncated; call `make_room` before."""
        if self._rows is None:
            raise RuntimeError("rows of a session's temporary tables after a rollback: not known")
        return self._rows

    def make_room(self, truncate: Callable[[], object], *, coming: int = 0) -> None:
        """Have the tables truncated if they hold many rows, will hold many, or may hold any.

        Args:
            truncate: does it; called at most once.
            coming: rows that are put in next, counted here; call `add` instead where their number is only
                known later.
        """
        if self._rows is None or self._rows + coming >= TRUNCATE_FROM:
            truncate()
            self._rows = 0
        self._rows += coming

    def add(self, rows: int) -> None:
        """Rows were put in."""
        self._rows = self.rows + rows

    def rolled_back(self) -> None:
        """What the tables hold is not known any more."""
        self._rows = None
