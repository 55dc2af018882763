"""SQL_REDO texts of one table to before and after columns, many rows at once.

Texts of one form go through a template: cut and spread into columns by Polars, without a Python
step per value. Everything else is read by the scanner, row by row, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from operator import contains

import polars as pl

from cdc.changes import AFTER, ALL_PRESENT, BEFORE, UNREADABLE, SourceColumn, SourceTable
from cdc.readers.logminer.redo_sql.canonical_columns import RedoRowError, canonical_columns, has_unreadable
from cdc.readers.logminer.redo_sql.formats import TIMESTAMP_FORMATS
from cdc.readers.logminer.redo_sql.redo_values import Cell, RedoSyntaxError, Statement
from cdc.readers.logminer.redo_sql.statements import read_set_clause, read_statement
from cdc.readers.logminer.redo_sql.templates import (
    APOSTROPHE,
    OPERATIONS,
    Template,
    compile_template,
    cut,
    same_outside,
    skeleton,
    unescaped,
)
from cdc.readers.logminer.redo_sql.undecoded import Undecoded, UnknownColumn
from cdc.readers.logminer.redo_sql.unescaped_apostrophes import read_relaxed
from cdc.readers.logminer.redo_sql.values import ABSENT, EMPTY_LOB, Absent, cell_text, marked

MAX_TEMPLATES = 2_000
"""Skeletons remembered for a table; more means that its texts differ too much for templates."""

COLUMNAR_ROWS = 64
"""Fewer texts than this are read one by one."""

GROUPED_ROWS = 32
"""Texts of one form that are worth a frame of their own."""


@dataclass(frozen=True)
class Images:
    """Before and after columns of texts, in order.

    `frame` has `operation`, `before_shape`, `after_shape` and the before and after columns;
    `shapes` are the sets of absent columns that the shapes index, the empty set first; `unreadable` as in
    `cdc.changes.TableChanges`.
    """

    frame: pl.DataFrame
    shapes: tuple[frozenset[str], ...]
    unreadable: frozenset[str] = frozenset()


class ImageReader:
    """Reads the texts of one table; keeps its templates from batch to batch.

    Args:
        table: the table with its captured columns.
        excluded: columns of the table that are not captured (LONG, XML, LOBs that no rule reads).
        segment_columns: name and data type by segment column number, for undecoded rows.
        charset: Python codec of the database character set, for undecoded rows.
        relaxed: read texts with unescaped apostrophes.
    """

    def __init__(
        self,
        table: SourceTable,
        *,
        excluded: frozenset[str] = frozenset(),
        segment_columns: Mapping[int, tuple[str, str]] | None = None,
        charset: str = "utf-8",
        relaxed: bool = False,
    ) -> None:
        self.table = table
        self._excluded, self.charset = excluded, charset
        self._undecoded = Undecoded(table, segment_columns or {}, charset)
        large = frozenset(column.name for column in table.columns if column.large) | excluded
        self._relaxed = relaxed
        self._read: Callable[[str], Statement] = (
            partial(read_relaxed, unsure=large) if relaxed else read_statement
        )
        self._columns = {column.name: column for column in table.columns}
        self._sides = [f"{side}{name}" for side in (BEFORE, AFTER) for name in self._columns]
        self._templates: dict[str, Template | None] = {}
        self._doubtful = False

    def read(self, texts: Sequence[str]) -> Images:
        """Read texts in order.

        A value that cannot be read says so in its place: a row without one value is worth more than none.
        Before the change it is absent instead, unless it is of the key: what the row becomes is what counts.

        Raises:
            RedoRowError: a text of no known grammar, or an image without its key columns.
        """
        shapes = {ALL_PRESENT: 0}
        self._doubtful = any(map(contains, texts, repeat(UNREADABLE)))
        frames, rest = (
            self._read_alike(texts, shapes) if len(texts) >= COLUMNAR_ROWS else ([], range(len(texts)))
        )
        if rest:
            frames.append(self._read_singly(rest, texts, shapes))
        frame = (frames[0] if len(frames) == 1 else pl.concat(frames).sort("row")).drop("row")
        if not self._doubtful:
            return Images(frame, tuple(shapes))
        frame, unread = self._without_unreadable(frame, shapes)
        return Images(frame, tuple(shapes), unread)

    def _without_unreadable(
        self, frame: pl.DataFrame, shapes: dict[frozenset[str], int]
    ) -> tuple[pl.DataFrame, frozenset[str]]:
        """Before images without what could not be read; the columns where that is left."""
        frame = frame.with_columns(marked(frame[name]) for name in self._sides)
        unread = set()
        for name, column in ((name, name.partition(".")[2]) for name in self._sides):
            if not has_unreadable(frame[name]):
                continue
            if name.startswith(AFTER) or column in self.table.key:
                unread.add(column)
                continue
            bad = frame[name].str.starts_with(UNREADABLE).fill_null(value=False)
            known = {number: absent for absent, number in shapes.items()}
            wider = {number: _shape(known[number] | {column}, shapes) for number in known}
            shape = frame["before_shape"]
            frame = frame.with_columns(
                frame[name].set(bad, None), shape.replace(wider).zip_with(bad, shape).alias("before_shape")
            )
        return frame, frozenset(unread)

    def named(self, statement: Statement) -> Statement:
        """The statement with the table's names, also if LogMiner could not decode it."""
        return self._undecoded.named(statement)

    def statement(self, text: str) -> Statement:
        """Read one text.

        Raises:
            RedoSyntaxError: it is of no known grammar.
        """
        return self.named(self._read(text))

    def changed(self, text: str) -> Mapping[str, Cell]:
        """What an UPDATE sets, its conditions not read; see `statement`."""
        if self._relaxed:  # only the whole text says where a value ends
            return self.statement(text).values
        cells = read_set_clause(text)
        if not self._columns.keys().isdisjoint(cells):
            return cells  # decoded
        return self.named(Statement("UPDATE", None, "", cells)).values

    def tells_large_only(self, text: str | None) -> bool:
        """False if an UPDATE sets a column that is not large; True also where its text cannot be read."""
        try:
            return self.changed_large(text or "") is not None
        except RedoSyntaxError:
            return True

    def changed_large(self, text: str) -> Sequence[tuple[SourceColumn, Cell]] | None:
        """The captured columns that an UPDATE sets if all are large, else None; see `statement`."""
        large = []
        for name, cell in self.changed(text).items():
            column = self._columns.get(name)
            if column is None:
                continue
            if not column.large:
                return None
            large.append((column, cell))
        return large

    def key_of(self, cells: Mapping[str, Cell] | None) -> tuple[str | None, ...] | None:
        """Canonical key of an image; None if a column of it is absent."""
        if cells is None or not self.table.key or not cells.keys() >= set(self.table.key):
            return None
        texts = [cell_text(cells[name], self._columns[name]) for name in self.table.key]
        return tuple(None if isinstance(text, Absent) else text for text in texts)

    def _read_alike(
        self, texts: Sequence[str], shapes: dict[frozenset[str], int]
    ) -> tuple[list[pl.DataFrame], Sequence[int]]:
        """Frames of the most frequent forms, found by comparing columns; the rows that are left."""
        rest, hidden = cut(texts)
        frames, left = [], [hidden]
        worth_it = True
        while worth_it and rest.height >= COLUMNAR_ROWS:
            template, key = self._template_of(rest["text"][0])
            alike = rest.select(same_outside(key)).to_series()
            worth_it = alike.sum() * 4 > rest.height
            found = rest if alike.all() else rest.filter(alike)
            frame = self._spread(found, template, shapes)
            if frame is None:
                left.append(found["row"])
            else:
                frames.append(frame)
            rest = rest.clear() if found is rest else rest.filter(~alike)
        left.append(self._read_grouped(rest, frames, shapes))
        return frames, pl.concat(left).sort().to_list()

    def _read_grouped(
        self,
        rest: pl.DataFrame,
        frames: list[pl.DataFrame],
        shapes: dict[frozenset[str], int],
    ) -> pl.Series:
        """Frames of many forms with few rows each, added to `frames`; the rows of rare forms."""
        groups: dict[str, list[int]] = {}
        for place, text in enumerate(rest["text"]):
            groups.setdefault(skeleton(text), []).append(place)
        left: list[int] = []
        for key, places in groups.items():
            frame = None
            if key and len(places) >= GROUPED_ROWS:
                frame = self._spread(rest[places], self._template(key), shapes)
            if frame is None:
                left.extend(places)
            else:
                frames.append(frame)
        return rest["row"].gather(left) if left else rest["row"].clear()

    def _template_of(self, text: str) -> tuple[Template | None, str]:
        """The template and skeleton of a text whose doubled apostrophes are `APOSTROPHE`."""
        key = skeleton(text)
        return (self._template(key) if key else None), key

    def _template(self, key: str) -> Template | None:
        if key in self._templates:
            return self._templates[key]
        if len(self._templates) >= MAX_TEMPLATES:
            self._templates.clear()
        try:
            template = compile_template(key, self.table, self._read, self._excluded)
        except RedoSyntaxError:
            template = None  # the scanner will say what is wrong with the row
        if template is not None and self._keyless(template):
            template = None
        self._templates[key] = template
        return template

    def _keyless(self, template: Template) -> bool:
        absent = template.after_absent if template.operation == "c" else template.before_absent
        return not absent.isdisjoint(self.table.key)

    def _spread(
        self, alike: pl.DataFrame, template: Template | None, shapes: dict[frozenset[str], int]
    ) -> pl.DataFrame | None:
        """Columns of rows with one template; None if it has none or a format is not the session's own."""
        if template is None:
            return None
        pieces = pl.col("pieces")
        if template.formats:
            texts = alike.select(
                pieces.list.get(piece).unique().implode().alias(str(piece)) for piece in template.formats
            )
            if not all(set(column[0]) <= TIMESTAMP_FORMATS for column in texts):
                return None
        # a value is read once, though most columns of an update have the same before and after
        needed = {
            str(piece): self._columns[name.partition(".")[2]]
            for name, piece in template.pieces.items()
            if piece is not None
        }
        values = alike.select(
            "row", "escaped", *(pieces.list.get(int(piece)).alias(piece) for piece in needed)
        )
        values = self._canonical(unescaped(values, list(needed)), needed)
        return values.select(
            "row",
            *(
                pl.lit(EMPTY_LOB if name in template.empty else None, dtype=pl.String).alias(name)
                if piece is None
                else pl.col(str(piece)).alias(name)
                for name, piece in ((name, template.pieces.get(name)) for name in self._sides)
            ),
            pl.lit(template.operation).alias("operation"),
            pl.lit(_shape(template.before_absent, shapes), dtype=pl.Int16).alias("before_shape"),
            pl.lit(_shape(template.after_absent, shapes), dtype=pl.Int16).alias("after_shape"),
        )

    def _read_singly(
        self, rows: Sequence[int], texts: Sequence[str], shapes: dict[frozenset[str], int]
    ) -> pl.DataFrame:
        """Row by row, through a template where there is one."""
        names = ("row", *self._sides, "operation", "before_shape", "after_shape")
        read = [self._read_one(index, texts[index], shapes) for index in rows]
        schema: dict[str, type[pl.DataType]] = {"row": pl.UInt32} | dict.fromkeys(self._sides, pl.String)
        schema |= {"operation": pl.String, "before_shape": pl.Int16, "after_shape": pl.Int16}
        frame = pl.DataFrame(dict(zip(names, zip(*read, strict=True), strict=True)), schema=schema)
        sides = {
            side + column.name: column
            for side in (BEFORE, AFTER)
            for column in self.table.columns
            if not column.large
        }
        return self._canonical(frame, sides)

    def _canonical(self, frame: pl.DataFrame, columns: Mapping[str, SourceColumn]) -> pl.DataFrame:
        found, unread = canonical_columns(frame, columns)
        self._doubtful = self._doubtful or unread
        return found

    def _read_one(self, index: int, text: str, shapes: dict[frozenset[str], int]) -> tuple[object, ...]:
        if APOSTROPHE not in text:
            escaped = text.replace("''", APOSTROPHE)
            template, _ = self._template_of(escaped)
            if template is not None:
                parts = escaped.split("'")
                if all(parts[piece] in TIMESTAMP_FORMATS for piece in template.formats):
                    if len(escaped) != len(text):
                        parts = [part.replace(APOSTROPHE, "'") for part in parts]
                    return (
                        index,
                        *template.take([*parts, EMPTY_LOB, None]),
                        template.operation,
                        _shape(template.before_absent, shapes),
                        _shape(template.after_absent, shapes),
                    )
        try:
            statement = self._undecoded.named(self._read(text))
            before, before_absent = self._side(statement.before)
            after, after_absent = self._side(statement.after)
        except RedoSyntaxError as exc:
            raise RedoRowError(index, str(exc), altered=isinstance(exc, UnknownColumn)) from exc
        missing = after_absent if statement.operation == "INSERT" else before_absent
        if not missing.isdisjoint(self.table.key):
            raise RedoRowError(index, "the row's key columns are not logged")
        return (
            index,
            *[image.get(name) for image in (before, after) for name in self._columns],
            OPERATIONS[statement.operation],
            _shape(before_absent, shapes),
            _shape(after_absent, shapes),
        )

    def _side(self, cells: Mapping[str, Cell] | None) -> tuple[dict[str, str | None], frozenset[str]]:
        """Texts by column, and the columns whose value is unknown."""
        if cells is None:
            return {}, frozenset(self._columns)
        image: dict[str, str | None] = {}
        absent = set()
        for name, column in self._columns.items():
            text = cell_text(cells[name], column) if name in cells else ABSENT
            if isinstance(text, Absent):
                absent.add(name)
                continue
            image[name] = text
            if text is not None and text.startswith(UNREADABLE):
                self._doubtful = True
        return image, frozenset(absent)


def _shape(absent: frozenset[str], shapes: dict[frozenset[str], int]) -> int:
    return shapes.setdefault(absent, len(shapes))
