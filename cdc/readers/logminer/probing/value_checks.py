"""Verdicts on the texts of SQL_REDO: each value as the database converts it itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

from cdc.assumptions import NotTried, Said, differs, holds, judge
from cdc.readers.logminer.probing.evidence import DATA, Evidence
from cdc.readers.logminer.redo_sql.redo_values import Cell, RedoSyntaxError
from cdc.readers.logminer.redo_sql.statements import read_statement


def no_rowid_in_text(found: Evidence) -> Said:
    """No text of a data row names ROWID; those of compensations are never read."""
    rows = [row for row in found.all_rows() if row["OPERATION_CODE"] in DATA and row["SQL_REDO"]]
    naming = [row for row in rows if not row["CSF"] and _rowid(row["SQL_REDO"]) is not None]
    forward = sum(not row["ROLLBACK"] for row in naming)
    text = f"{len(rows)} texts, {forward} with a ROWID, {len(naming) - forward} of compensations"
    return judge(not forward, text)


def _rowid(text: str) -> str | None:
    try:
        return read_statement(text).rowid
    except RedoSyntaxError:
        return None


def long_texts(found: Evidence) -> Said:
    """Pieces of long texts."""
    pieces: Counter[tuple[str, int]] = Counter()
    longest = 0
    for row in found.rows("long-text"):
        if row["CSF"]:
            pieces[row["RS_ID"], row["SSN"]] += 1
        longest = max(longest, len((row["SQL_REDO"] or "").encode()))
    said = found.read_right("long-text")
    if not pieces:
        return differs(f"no row has CSF = 1, the longest text has {longest} bytes; {said.reason}")
    text = f"{len(pieces)} texts in up to {max(pieces.values()) + 1} pieces, the longest of {longest} bytes"
    return Said(said.verdict, f"{text}; {said.reason}")


def _values(step: str, table: str, *columns: str, keys: tuple[str, ...] = ()) -> Callable[[Evidence], Said]:
    """A check that columns were read right; `keys` are the ids of rows that matter, all if none."""

    def check(found: Evidence) -> Said:
        rows = found.rows(step)
        problems = [
            str(problem)
            for problem in found.replays[step].problems
            if not problem.table
            or (
                (problem.table == table and problem.column in ("", *columns))
                and (not keys or any(f'["{key}"]' in problem.text for key in keys))
            )
        ]
        if problems:
            return differs("; ".join(problems[:3]))
        after = found.recording.steps[step].after.get(table, {})
        values = sum(row.get(column) is not None for row in after.values() for column in columns)
        if not after:
            raise NotTried(f"the table {table} is not described")
        forms = {_form(cell) for row in rows for cell in _cells(row["SQL_REDO"], columns)}
        return holds(f"{values} values read right; forms: {', '.join(sorted(filter(None, forms))) or 'none'}")

    return check


def _cells(text: str | None, columns: tuple[str, ...]) -> list[Cell]:
    try:
        values = read_statement(text or "").values
    except RedoSyntaxError:
        return []
    return [values[column] for column in columns if column in values]


def _form(cell: Cell) -> str:
    """How a cell is written, without its value."""
    if cell is None:
        return "NULL"
    name = getattr(cell, "name", "")
    return str(name) if name else "quoted" if isinstance(cell, str) else type(cell).__name__


def empty_string(found: Evidence) -> Said:
    """'' in a VARCHAR2."""
    found.rows("typed")
    stored = found.recording.steps["typed"].after.get("CCBP_TYPED", {}).get('["2"]', {}).get("V", "?")
    return _values("typed", "CCBP_TYPED", "V", keys=("2",))(found) if stored is None else differs("is kept")


CHECKS: Mapping[str, Callable[[Evidence], Said]] = {
    "no-rowid-in-text": no_rowid_in_text,
    "long-texts": long_texts,
    "char-padding": _values("typed", "CCBP_TYPED", "C"),
    "empty-string": empty_string,
    "text-values": _values("typed", "CCBP_TYPED", "V", keys=("3", "5")),
    "number-text": _values("typed", "CCBP_TYPED", "NU", "NS"),
    "date-text": _values("typed", "CCBP_TYPED", "DT", "TS"),
    "zone-text": _values("typed", "CCBP_TYPED", "TZ"),
    "local-zone-text": _values("local-time-zone", "CCBP_LOCAL", "LT"),
    "raw-text": _values("typed", "CCBP_TYPED", "R"),
    "national-text": _values("national", "CCBP_NATIONAL", "NC", "NV"),
    "float-text": _values("floats", "CCBP_FLOATS", "BF", "BD"),
    "interval-text": _values("intervals", "CCBP_INTERVALS", "YM", "DS"),
}
