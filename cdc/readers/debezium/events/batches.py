"""Portions of the stream become batches: events get their place and are sorted by table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from cdc.changes import ChangeBatch, SourceTable, TableChanges, TableName
from cdc.readers.debezium.engine.connector import Boundary, Connector
from cdc.readers.debezium.events.images import table_changes
from cdc.readers.debezium.events.schemas import Schemas
from cdc.readers.debezium.events.transactions import Event, Part, Portion

_PLACES = {"position": pl.Int64, "ordinal": pl.Int64}


def batches(system: str, connector: Connector, schemas: Schemas, portion: Portion) -> Iterator[ChangeBatch]:
    """The batches of a portion: one, or one more for each place where a table changes its columns."""
    places = _places(portion.parts)
    position = portion.parts[-1].position
    cuts = [*_cuts(schemas, portion.events), len(portion.events)]
    start = 0
    for cut in cuts:
        tables = changes(connector, schemas, portion.events[start:cut], places[start:cut])
        last = cut == len(portion.events)
        yield ChangeBatch(
            system,
            connector.type_of_position(position),
            tables,
            resume(portion.end, portion),
            continues=portion.continues or not last,
        )
        start = cut


def changes(
    connector: Connector, schemas: Schemas, events: Sequence[Event], places: pl.DataFrame
) -> dict[TableName, TableChanges]:
    """Sort events by table and decode them; no table may change its columns among them."""
    rows: dict[SourceTable, list[int]] = {}
    by_schema: dict[str, list[int]] = {}
    for index, (schema, _) in enumerate(events):
        found = by_schema.get(schema)
        if found is None:
            table = schemas[schema].table
            found = by_schema[schema] = rows.setdefault(table, []) if table is not None else []
        found.append(index)
    return {
        table.name: table_changes(connector, table, [events[index][1] for index in indexes], places[indexes])
        for table, indexes in rows.items()
    }


def resume(boundary: Boundary, portion: Portion | None = None) -> dict[str, Any]:
    """What `read` needs to continue after a boundary."""
    found: dict[str, Any] = {"offset": dict(boundary.offset), "position": boundary.position}
    if portion is not None and not portion.continues:
        last = portion.parts[-1]
        if last.position == boundary.position:
            found["ordinal"] = last.first_ordinal + last.events
    return found


def _places(parts: Sequence[Part]) -> pl.DataFrame:
    positions: list[int] = []
    ordinals: list[int] = []
    for part in parts:
        positions += [part.position] * part.events
        ordinals += range(part.first_ordinal, part.first_ordinal + part.events)
    return pl.DataFrame({"position": positions, "ordinal": ordinals}, schema=_PLACES)


def _cuts(schemas: Schemas, events: Sequence[Event]) -> Iterator[int]:
    """Where an event has other columns than an earlier one of its table."""
    used = {schema for schema, _ in events}
    versions = {table for schema in used if (table := schemas[schema].table) is not None}
    if len(versions) == len({table.name for table in versions}):
        return
    in_force: dict[TableName, SourceTable] = {}
    for index, (schema, _) in enumerate(events):
        table = schemas[schema].table
        if table is not None and in_force.setdefault(table.name, table) != table:
            in_force = {table.name: table}
            yield index
