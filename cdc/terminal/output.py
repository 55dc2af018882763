"""Results to standard output: an aligned table, or one JSON object a line.

Whatever a command prints goes through `say` or `show`: names and texts come from databases and rule files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import typer

from cdc.printable import masked, printable


def say(text: str = "", *, err: bool = False) -> None:
    """Print text of any origin: no secrets, and nothing that steers the terminal; its lines stay lines."""
    typer.echo(printable(masked(text), lines=True), err=err)


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, form: str) -> None:
    """Print `rows`; the table shows `columns` in that order, JSON shows every key."""
    if form == "json":
        for row in rows:
            typer.echo(json.dumps(row, default=_json))
        return
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(c), *(len(t[i]) for t in texts)]) for i, c in enumerate(columns)]
    for line in (list(columns), *texts):
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _json(value: object) -> str:
    """Moments as ISO 8601 writes them; money as text, so that no cent is lost on the way."""
    return value.isoformat() if isinstance(value, datetime | date) else str(value)


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    return printable(str(value))
