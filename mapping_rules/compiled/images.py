"""The two images of changed rows, with absent columns distinguished from NULL.

An update that does not log a column leaves it as it was, so a column absent after takes its value
from before where the log holds that. What neither image holds stays absent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from cdc.changes import AFTER, BEFORE, UNREADABLE, Operation, SourceTable, SourceType, TableChanges
from cdc.errors import TableChanged
from mapping_rules.compiled.values import Site, normalised

_operation = pl.col("operation")
IS_UPDATE = _operation == Operation.UPDATE.value
IS_DELETE = _operation == Operation.DELETE.value
IS_TRUNCATE = _operation == Operation.TRUNCATE.value


@dataclass(frozen=True)
class Shapes:
    """What the images of one frame lack: absent columns by shape number, images that exist only.

    Args:
        before: shapes of the before images of updates and deletes.
        after: shapes of the after images of all but deletes and truncates.
    """

    before: frozenset[tuple[int, frozenset[str]]]
    after: frozenset[tuple[int, frozenset[str]]]

    @classmethod
    def of(cls, changes: TableChanges) -> Shapes:
        """The shapes that the frame has; most frames have one or two."""
        kinds = changes.frame[["operation", "before_shape", "after_shape"]]
        found = kinds.head(1).rows() if _are_alike(kinds) else kinds.unique().rows()
        before = {number for operation, number, _ in found if operation in _WITH_BEFORE}
        after = {number for operation, _, number in found if operation not in _WITHOUT_AFTER}
        return cls(
            frozenset((number, changes.shapes[number]) for number in before),
            frozenset((number, changes.shapes[number]) for number in after),
        )


def _are_alike(frame: pl.DataFrame) -> bool:
    """Whether all rows are the same; faster than finding which."""
    return frame.height > 0 and all((column == column[0]).all() for column in frame)


_WITH_BEFORE = (Operation.UPDATE, Operation.DELETE)
_WITHOUT_AFTER = (Operation.DELETE, Operation.TRUNCATE)


@dataclass(frozen=True)
class Images:
    """Expressions over a frame of changes for columns of one table and certain shapes.

    Absence is None where the column cannot be absent from a row of such a frame, so nothing is computed for
    it.
    """

    table: SourceTable
    shapes: Shapes
    site: Site
    unreadable: frozenset[str] = frozenset()

    def source_type(self, column: str) -> SourceType:
        """Type of a source column.

        Raises:
            TableChanged: the table no longer has the column.
        """
        found = self.table.column(column)
        if found is None:
            raise TableChanged(
                f"{self.table.name}: column {column}, which the rules read, does not exist",
                hint="adapt the rules to the table, then run: ccbridge rules check",
            )
        return found.type

    def known_after(self, column: str) -> pl.Expr:
        """Text of the column as the row became, from before where the update did not log it."""
        after = pl.col(AFTER + column)
        absent = self._is_absent(AFTER, column)
        if absent is None:
            return after
        before = pl.when(IS_UPDATE).then(pl.col(BEFORE + column))  # null where absent before too
        return pl.when(absent).then(before).otherwise(after)

    def absent_after(self, column: str) -> pl.Expr | None:
        """True where neither image says what the column became."""
        absent = self._is_absent(AFTER, column)
        if absent is None:
            return None
        before = self._is_absent(BEFORE, column)
        unknown_before = ~IS_UPDATE if before is None else (~IS_UPDATE | before)
        return absent & ~IS_DELETE & unknown_before

    def before(self, column: str) -> pl.Expr:
        """Text of the column as the row was."""
        return pl.col(BEFORE + column)

    def absent_before(self, column: str) -> pl.Expr | None:
        """True where the log does not say what the column was."""
        return self._is_absent(BEFORE, column)

    def old_key(self, column: str) -> pl.Expr:
        """Text of a key column before the change; a key that was not logged did not change."""
        before = pl.when(IS_UPDATE | IS_DELETE).then(pl.col(BEFORE + column))
        absent = self._is_absent(BEFORE, column)
        unknown = ~(IS_UPDATE | IS_DELETE)
        if absent is not None:
            unknown = unknown | absent
        return pl.when(unknown).then(self.known_after(column)).otherwise(before)

    def normal(self, text: pl.Expr, column: str) -> pl.Expr:
        """Text of the column after the vendor's conventions."""
        return normalised(text, self.source_type(column), self.site)

    def unread_after(self, columns: Iterable[str]) -> pl.Expr | None:
        """Why the columns do not say what the row became; null where they do, None where they always do."""
        found = []
        for column in columns:
            if column in self.unreadable:
                text = self.known_after(column)
                why = text.str.extract(rf"^{UNREADABLE}\[([^\]]*)\]")
                found.append(pl.lit(f"column {column}: ") + why)
        return pl.concat_str(found, separator="; ", ignore_nulls=True).replace("", None) if found else None

    def unread_before(self, columns: Iterable[str]) -> pl.Expr | None:
        """True where a key before the change could not be read; None where all could."""
        found = [
            pl.col(BEFORE + one).str.starts_with(UNREADABLE) for one in columns if one in self.unreadable
        ]
        return pl.any_horizontal(found).fill_null(False) if found else None

    def _is_absent(self, side: str, column: str) -> pl.Expr | None:
        shapes = self.shapes.after if side == AFTER else self.shapes.before
        absent = sorted(number for number, columns in shapes if column in columns)
        if not absent:
            return None
        return pl.col(f"{side}shape".replace(".", "_")).is_in(absent)
