"""A small rule set and hand-made changes for the staging tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import polars as pl

import mapping_rules
from cdc.changes import (
    META_SCHEMA,
    ChangeBatch,
    SourceColumn,
    SourceTable,
    SourceType,
    TableChanges,
    TableName,
    frame_schema,
)
from cdc.positions import Lsn
from mapping_rules import RuleSet

FILES = {
    "systems.yaml": "shop: {conventions: plain, schema: public}\n",
    "entities/customer.yaml": (
        "entity: customer\nkey: [customer_id]\ncolumns:\n"
        "  customer_id: {type: text}\n  name: {type: text, personal: true}\n  note: {type: text}\n"
        "  credit: {type: decimal, precision: 15, scale: 2}\n"
    ),
    "entities/purchase.yaml": (
        "entity: purchase\nkey: [customer_id, number]\ncolumns:\n"
        "  customer_id: {type: text, references: customer}\n  number: {type: integer}\n"
        "  bought_on: {type: date}\n  paid: {type: boolean}\n  paid_at: {type: timestamp}\n"
    ),
    "inbound/customer.yaml": (
        "system: shop\ntable: customer\nkey: [id]\nentity: customer\ncolumns:\n"
        "  customer_id: id\n  name: name\n  note: note\n  credit: credit\nignore: [secret]\n"
    ),
    "inbound/purchase.yaml": (
        "system: shop\ntable: purchase\nkey: [customer_id, number]\nentity: purchase\ncolumns:\n"
        "  customer_id: customer_id\n  number: number\n  bought_on: bought_on\n"
        "  paid: paid\n  paid_at: paid_at\n"
    ),
}

CUSTOMER = SourceTable(
    TableName("public", "customer"),
    (
        SourceColumn("id", SourceType.TEXT, "text", nullable=False),
        SourceColumn("name", SourceType.TEXT, "text"),
        SourceColumn("note", SourceType.TEXT, "text"),
        SourceColumn("credit", SourceType.NUMBER, "numeric(15,2)"),
        SourceColumn("secret", SourceType.TEXT, "text"),
    ),
    ("id",),
)
PURCHASE = SourceTable(
    TableName("public", "purchase"),
    (
        SourceColumn("customer_id", SourceType.TEXT, "text", nullable=False),
        SourceColumn("number", SourceType.NUMBER, "bigint", nullable=False),
        SourceColumn("bought_on", SourceType.DATE, "date"),
        SourceColumn("paid", SourceType.BOOLEAN, "boolean"),
        SourceColumn("paid_at", SourceType.TIMESTAMP_TZ, "timestamptz"),
    ),
    ("customer_id", "number"),
)
EPOCH = datetime(2024, 2, 28, 12, tzinfo=UTC)


OUTBOUND = {
    "systems.yaml": FILES["systems.yaml"] + "till: {conventions: plain, schema: public}\n",
    "outbound/buyer.yaml": (
        "to: till\ntable: public.buyer\nsink: upsert\nkey: {buyer_id: customer.customer_id}\n"
        "from: customer\njoin:\n"
        "  last: {entity: purchase, on: customer_id, pick: {order: [number desc]}}\n"
        "columns: {full_name: customer.name, note: customer.note, credit: customer.credit, "
        "last_bought_on: last.bought_on}\non_delete: delete\n"
    ),
}
"""Files that write each customer, with the day of the last purchase, to a system `till`."""


def rule_set(files: Mapping[str, str] | None = None) -> RuleSet:
    """The rule set of these tests, with other or more files."""
    return mapping_rules.from_files("shop", {**FILES, **(files or {})})


@dataclass(frozen=True)
class Event:
    """One change; images are partial rows, a column missing from an image is absent."""

    operation: str
    position: int
    ordinal: int = 0
    before: Mapping[str, str | None] = field(default_factory=dict)
    after: Mapping[str, str | None] = field(default_factory=dict)
    ours: bool = False
    at: datetime | None = None
    table: SourceTable = CUSTOMER


def customer(
    key: str,
    name: str | None = "Ada",
    note: str | None = None,
    credit: str | None = "1.00",
    other: str | None = "hush",
) -> dict[str, str | None]:
    """A whole row of table customer."""
    return {"id": key, "name": name, "note": note, "credit": credit, "secret": other}


def changes(events: Iterable[Event]) -> TableChanges:
    """Events of one table as the readers give them."""
    listed = list(events)
    table = listed[0].table
    names = table.column_names
    shapes: list[frozenset[str]] = [frozenset()]

    def shape(image: Mapping[str, str | None]) -> int:
        absent = frozenset(names).difference(image)
        if absent not in shapes:
            shapes.append(absent)
        return shapes.index(absent)

    rows = [
        [
            event.operation,
            event.position,
            event.ordinal,
            f"tx{event.position}",
            event.at or EPOCH + timedelta(seconds=event.position),
            event.ours,
            shape(event.before) if event.before else 0,
            shape(event.after) if event.after else 0,
            *[event.before.get(name) for name in names],
            *[event.after.get(name) for name in names],
        ]
        for event in listed
    ]
    frame = pl.DataFrame(rows, schema=frame_schema(table), orient="row")
    assert list(frame.columns)[: len(META_SCHEMA)] == list(META_SCHEMA)
    return TableChanges(table, frame, tuple(shapes))


def batch(
    *events: Event,
    position: int | None = None,
    continues: bool = False,
    snapshot_done: tuple[TableName, ...] = (),
) -> ChangeBatch:
    """A batch of these events, up to the position of the last one."""
    by_table: dict[TableName, list[Event]] = {}
    for event in events:
        by_table.setdefault(event.table.name, []).append(event)
    reached = position if position is not None else max(event.position for event in events)
    return ChangeBatch(
        "shop",
        Lsn(reached),
        {name: changes(found) for name, found in by_table.items()},
        {"at": reached},
        continues=continues,
        snapshot_done=snapshot_done,
    )
