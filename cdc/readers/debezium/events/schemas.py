"""What kind of record each of the engine's schemas stands for, and which table's version.

Debezium gives every record of the same kind the same schema object and makes a new one when a table
changes, so the kind is found once a schema and looked up by its number afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from cdc.changes import SourceTable, TableName
from cdc.errors import OperatorError
from cdc.readers.debezium.engine.connector import Connector
from cdc.readers.debezium.engine.runner import Block

_ENVELOPE = ".Envelope"


class Kind(Enum):
    """Kinds of record."""

    CHANGE = auto()
    UNCAPTURED = auto()  # a change of a table that is not captured
    TRANSACTION = auto()  # BEGIN or END
    NOTIFICATION = auto()
    OTHER = auto()  # heartbeat, message


_KINDS = {
    "io.debezium.connector.common.TransactionMetadataValue": Kind.TRANSACTION,
    "io.debezium.connector.common.Notification": Kind.NOTIFICATION,
}


@dataclass(frozen=True)
class Known:
    """A schema; `table` is the version of the table that a CHANGE is of."""

    kind: Kind
    table: SourceTable | None = None


class Schemas:
    """The schemas of one run of the engine.

    Args:
        connector: describes the tables.
        tables: the captured tables as described when the run began.
    """

    def __init__(self, connector: Connector, tables: Mapping[TableName, SourceTable]) -> None:
        self._connector = connector
        self._tables = dict(tables)
        self._known: dict[str, Known] = {}
        self._kept: list[Any] = []

    def __getitem__(self, number: str) -> Known:
        return self._known[number]

    def learn(self, block: Block) -> None:
        """Look at the schemas that are new in a block.

        Raises:
            OperatorError: a change event without the members that name its table.
        """
        for number in set(block.schemas) - self._known.keys():
            index = block.schemas.index(number)
            schema = block.schema(index)
            self._kept.append(schema)  # or another schema could get its number
            self._known[number] = self._kind(schema, block.values[index])

    def _kind(self, schema: Any, value: str) -> Known:
        name = str(schema.name() or "") if schema is not None else ""
        if not name.endswith(_ENVELOPE):
            return Known(_KINDS.get(name, Kind.OTHER))
        table = _table_of(value)
        if table not in self._tables:
            return Known(Kind.UNCAPTURED)
        columns = frozenset(str(field.name()) for field in schema.field("after").schema().fields())
        if not columns.issuperset(self._tables[table].column_names) or not columns.issubset(
            self._tables[table].column_names
        ):
            self._tables = dict(self._connector.describe())
        described = self._tables.get(table)
        if described is None:
            return Known(Kind.UNCAPTURED)
        kept = tuple(column for column in described.columns if column.name in columns)
        return Known(Kind.CHANGE, SourceTable(table, kept, described.key))


def _table_of(value: str) -> TableName:
    try:
        source = json.loads(value)["source"]
        return TableName(str(source["schema"]), str(source["table"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise OperatorError(
            "debezium handed on a change event without source.schema and source.table",
            hint="report it with the version of debezium",
        ) from exc
