r"""The form of a SQL_REDO text with its quoted texts taken out, read once and used for many rows.

Rows of one table that change the same columns differ in their quoted texts only. Cutting a text at
every apostrophe leaves its *skeleton* in the even pieces and the quoted texts in the odd ones; the
strict scanner reads each skeleton once, with a numbered mark in place of each quoted text, and the
template remembers which piece is which column. A skeleton whose every quoted text is a whole value
of a plain form has a template; all others are read by the scanner row by row.

Doubled apostrophes become `\0` before the cut, so a skeleton never depends on what a text holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter

import polars as pl

from cdc.changes import AFTER, BEFORE, SourceColumn, SourceTable, SourceType
from cdc.readers.logminer.redo_sql.redo_values import Call, Cell, Hex, Statement, Unsupported
from cdc.readers.logminer.redo_sql.scanner import MARK

APOSTROPHE = "\0"
_DATETIME_CALLS = frozenset(("TO_DATE", "TO_TIMESTAMP"))
_INTERVAL_CALLS = frozenset(("TO_YMINTERVAL", "TO_DSINTERVAL"))
OPERATIONS = {"INSERT": "c", "UPDATE": "u", "DELETE": "d"}


@dataclass(frozen=True)
class Template:
    """Which piece of a text is which column of a frame.

    `pieces` maps frame columns (`before.X`, `after.X`) to the index of their piece, None for NULL;
    `take` gives the values of all frame columns, in order, from a list of pieces with None at its end;
    `empty` are frame columns of large columns that the text says are empty: `take` gives the item before
    the last for them; `formats` are pieces that must hold one of
    `cdc.readers.logminer.redo_sql.formats.TIMESTAMP_FORMATS`.
    """

    operation: str
    pieces: Mapping[str, int | None]
    take: Callable[[Sequence[str | None]], tuple[str | None, ...]]
    formats: tuple[int, ...]
    before_absent: frozenset[str]
    after_absent: frozenset[str]
    empty: frozenset[str] = frozenset()


def skeleton(text: str) -> str:
    """The skeleton of a text whose doubled apostrophes are `APOSTROPHE`; '' if it has none."""
    pieces = text.split("'")
    return "'".join(pieces[::2]) if len(pieces) % 2 else ""


def cut(texts: Sequence[str]) -> tuple[pl.DataFrame, pl.Series]:
    """Texts cut at each apostrophe.

    Returns:
        A frame of `row`, the text's place; `text` with `APOSTROPHE` for doubled apostrophes; `escaped`,
        whether it has any; `pieces`. And the rows left out of it, whose text holds that mark itself.
    """
    text = pl.Series("text", texts, dtype=pl.String)
    hidden = text.str.contains(APOSTROPHE, literal=True).arg_true()
    doubled = text.str.contains("''", literal=True).arg_true()
    text = text.scatter(doubled, text.gather(doubled).str.replace_all("''", APOSTROPHE, literal=True))
    frame = pl.DataFrame(
        [
            pl.int_range(len(texts), dtype=pl.UInt32, eager=True).alias("row"),
            text,
            text.str.contains(APOSTROPHE, literal=True).alias("escaped"),
            text.str.split("'").alias("pieces"),
        ]
    )
    return (frame.filter(~pl.col("row").is_in(hidden.implode())) if len(hidden) else frame), hidden


def unescaped(values: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Apostrophes back in their place in these columns; only columns that have some are written again."""
    escaped = values.filter("escaped")
    if escaped.is_empty():
        return values
    found = escaped.select(pl.col(name).str.contains(APOSTROPHE, literal=True).any() for name in names)
    return values.with_columns(
        pl.col(name).str.replace_all(APOSTROPHE, "'", literal=True) for name in names if found[name][0]
    )


def same_outside(key: str) -> pl.Expr:
    """Expression over texts cut at each apostrophe (`pieces`): True where the outside pieces are `key`'s."""
    if not key:
        return pl.int_range(pl.len()) == 0  # the first text only: it has no skeleton
    outside = key.split("'")
    pieces = pl.col("pieces")
    return pl.all_horizontal(
        pieces.list.len() == 2 * len(outside) - 1,
        *(pieces.list.get(2 * index, null_on_oob=True) == constant for index, constant in enumerate(outside)),
    ).fill_null(value=False)


def compile_template(
    key: str, table: SourceTable, read: Callable[[str], Statement], excluded: frozenset[str]
) -> Template | None:
    """The template of a skeleton, or None if its rows must be read one by one.

    Args:
        key: the skeleton.
        table: the table the rows belong to.
        read: the scanner.
        excluded: columns of the table that are not captured.

    Raises:
        RedoSyntaxError: the skeleton is of no known grammar.
    """
    if APOSTROPHE in key or not key:
        return None  # an empty quoted text, an apostrophe no template can see, an unfinished text
    outside = key.split("'")
    marked = outside[0] + "".join(
        f"'{MARK}{2 * index + 1}{MARK}'{piece}" for index, piece in enumerate(outside[1:])
    )
    statement = read(marked)
    columns = {column.name: column for column in table.columns}
    pieces: dict[str, int | None] = {}
    formats: list[int] = []
    used: set[int] = set()
    empty: set[str] = set()
    if statement.rowid is not None:
        used.add(_piece(statement.rowid) or 0)
    sides: dict[str, Mapping[str, Cell] | None] = {BEFORE: statement.before, AFTER: statement.after}
    absent: dict[str, frozenset[str]] = {}
    for side, cells in sides.items():
        if cells is None:
            absent[side] = frozenset(columns)
            continue
        missing = set(columns) - set(cells)
        for name, cell in cells.items():
            column = columns.get(name)
            if isinstance(cell, Unsupported) and column is not None:
                if column.large:
                    return None
                missing.add(name)
                continue
            if column is not None and column.large and _is_empty_lob(cell):
                empty.add(side + name)
                continue
            found = _role(cell, column)
            if found is None and cell is not None and not (name in excluded and _is_empty_lob(cell)):
                return None
            role, model = found or (None, None)
            if role is not None:
                used.add(role)
            if model is not None:
                used.add(model)
                formats.append(model)
            if column is not None:
                pieces[side + name] = role
        absent[side] = frozenset(missing)
    if used - {0} != set(range(1, 2 * len(outside) - 1, 2)):
        return None
    sides_of_columns = [side + name for side in (BEFORE, AFTER) for name in columns]
    places = [-2 if name in empty else pieces.get(name) for name in sides_of_columns]
    return Template(
        OPERATIONS[statement.operation],
        pieces,
        itemgetter(*(-1 if place is None else place for place in places)),
        tuple(dict.fromkeys(formats)),
        absent[BEFORE],
        absent[AFTER],
        frozenset(empty),
    )


def _is_empty_lob(cell: Cell) -> bool:
    return isinstance(cell, Call) and not cell.args


def _piece(text: Cell) -> int | None:
    """The piece that a mark stands for; None if the text is not exactly one mark."""
    if isinstance(text, str) and len(text) > 2 and text[0] == text[-1] == MARK:
        digits = text[1:-1]
        return int(digits) if digits.isdigit() else None
    return None


def _role(cell: Cell, column: SourceColumn | None) -> tuple[int, int | None] | None:
    """Piece of the value and piece of its format; None where the value needs the scanner."""
    kind = column.type if column else None
    if isinstance(cell, str):
        plain = kind in (SourceType.TEXT, SourceType.NUMBER, SourceType.OTHER, None)
        piece = _piece(cell)
        return (piece, None) if plain and piece else None
    if isinstance(cell, Hex):
        piece = _piece(cell.digits)
        return (piece, None) if kind in (SourceType.BINARY, None) and piece else None
    if not isinstance(cell, Call) or cell.literal or not cell.args:
        return None
    piece = _piece(cell.args[0])
    if not piece:
        return None
    if len(cell.args) == 1:
        fits = (
            (cell.name == "TO_TIMESTAMP" and kind in (SourceType.TIMESTAMP, None))
            or (cell.name == "TO_TIMESTAMP_TZ" and kind in (SourceType.TIMESTAMP_TZ, None))
            or (cell.name in _INTERVAL_CALLS and kind in (SourceType.OTHER, None))
        )
        return (piece, None) if fits else None
    model = _piece(cell.args[1])
    if (
        cell.name in _DATETIME_CALLS
        and kind in (SourceType.TIMESTAMP, None)
        and len(cell.args) == 2
        and model
    ):
        return (piece, model)
    return None
