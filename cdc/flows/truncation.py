"""TRUNCATE of a captured table stops that table: no row says what was removed, and it may be a mistake.

The other tables continue, as after DDL that drops something (decision 8). What was committed before
it is staged; what comes after it in the same table is not, until the source is read from a new snapshot. The
checkpoint names the tables, so they stay stopped over restarts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import structlog

from cdc.changes import ChangeBatch, Operation, TableChanges, TableName
from cdc.errors import OperatorError, TableTruncated
from cdc.positions import Position

TRUNCATED = "truncated"
"""Member of a checkpoint's `resume`: the tables that stand still, each with its message."""

log = structlog.get_logger(__name__)


def without_truncated(
    batches: Iterable[ChangeBatch],
    resume: Mapping[str, Any],
    stopped: dict[TableName, OperatorError] | None = None,
) -> Iterator[ChangeBatch]:
    """Leave out every table from its first TRUNCATE on, and name it in each batch's `stopped`.

    Args:
        batches: what a reader yields.
        resume: where the reader started; tables stopped before that stay so.
        stopped: tables that are left out; those found are added. One that is taken out is read again.
    """
    stopped = {} if stopped is None else stopped
    stopped |= {
        TableName(schema, name): TableTruncated(system, message)
        for system, schema, name, message in resume.get(TRUNCATED, ())
    }
    for batch in batches:
        tables = {name: changes for name, changes in batch.tables.items() if name not in stopped}
        for name, changes in list(tables.items()):
            at = _first_truncate(changes)
            if at is None:
                continue
            position = type(batch.position)(changes.frame["position"][at])
            stopped[name] = _stop(batch.system, name, position)
            del tables[name]
            if at:
                tables[name] = replace(changes, frame=changes.frame.head(at))
        if not stopped:
            yield batch
            continue
        noted = [
            [batch.system, name.schema, name.name, str(error)] for name, error in sorted(stopped.items())
        ]
        yield replace(
            batch,
            tables=tables,
            stopped={**batch.stopped, **stopped},
            resume={**batch.resume, TRUNCATED: noted},
        )


def _first_truncate(changes: TableChanges) -> int | None:
    """Row number of the first TRUNCATE, None if there is none."""
    is_truncate = changes.frame["operation"] == Operation.TRUNCATE.value
    return is_truncate.arg_max() if is_truncate.any() else None


def _stop(system: str, name: TableName, position: Position) -> TableTruncated:
    error = TableTruncated.of(system, name, at=position)
    log.error(
        "table_stopped",
        system=system,
        table=str(name),
        position=str(position),
        error_code=error.code,
        reason=str(error),
    )
    return error
