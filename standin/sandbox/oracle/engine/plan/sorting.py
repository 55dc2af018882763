"""ORDER BY, of queries and of windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

from sandbox.oracle.engine.functions.expressions import Run
from sandbox.oracle.engine.plan.access import checked
from sandbox.oracle.engine.sql.syntax import Order
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.interface import Row


def sort_rows(rows: Iterable[Row], keys: Sequence[tuple[Run, Order]], env: Env) -> list[Row]:
    """Sort stably; NULL is last when ascending and first when descending unless said otherwise."""
    rows = list(rows)
    for run, order in reversed(keys):
        first = order.nulls_first if order.nulls_first is not None else order.descending
        keyed = [(run(row, env), row) for row in checked(rows, env)]
        nulls = [row for key, row in keyed if key is None]
        if nulls:
            keyed = [(key, row) for key, row in keyed if key is not None]
        keyed.sort(key=itemgetter(0), reverse=order.descending)
        others = [row for _, row in keyed]
        rows = nulls + others if first else others + nulls
    return rows
