"""Results to standard output: an aligned table, or one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer


def show(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, form: str) -> None:
    """Print `rows`; the table shows `columns` in that order, JSON shows every key."""
    if form == "json":
        for row in rows:
            typer.echo(json.dumps(row, default=str, ensure_ascii=False))
        return
    texts = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max([len(c), *(len(t[i]) for t in texts)]) for i, c in enumerate(columns)]
    for line in (list(columns), *texts):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    return str(value)
