"""Portions of the stream become batches: rows get their position and are sorted by table.

`Relations` keeps what the stream and the catalog say of each table. Read next: `tuples`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cdc.changes import META_SCHEMA, ChangeBatch, TableChanges, TableName
from cdc.readers.pgoutput.catalog import Catalog
from cdc.readers.pgoutput.messages import HEADER_BYTES, Relation
from cdc.readers.pgoutput.transactions import Portion, Transaction, TransactionBuffer
from cdc.readers.pgoutput.tuples import MESSAGE, table_changes

_OID = "oid"


class Relations:
    """The tables of one stream, by the oid under which their rows come.

    Args:
        catalog: asked for types and keys when a table is announced.
        system: name of the system.
        captured: tables to keep; rows of others are dropped.
    """

    def __init__(self, catalog: Catalog, system: str, captured: Sequence[TableName]) -> None:
        self.known: dict[int, Relation] = {}
        self._catalog = catalog
        self._system = system
        self._captured = frozenset(captured)
        self._tables = catalog.describe()

    def adopt(self, buffer: TransactionBuffer) -> None:
        """Take the description that the buffer has stopped at as the one in force."""
        relation = buffer.relation
        if relation is not None and relation.name in self._captured:
            self._tables[relation.name] = self._catalog.table_of(relation)
        buffer.adopt()

    def batch(self, portion: Portion) -> ChangeBatch:
        """Decode a portion; tables without a change are left out."""
        return ChangeBatch(
            self._system, portion.position, self._changes(portion), {"lsn": portion.resume.text},
            continues=portion.continues,
        )  # fmt: skip

    def _changes(self, portion: Portion) -> dict[TableName, TableChanges]:
        if not portion.messages:
            return {}
        rows = with_meta(portion.messages, portion.transactions)
        rows = rows.with_columns(pl.col(MESSAGE).bin.slice(HEADER_BYTES + 1, 4).alias(_OID))
        changes = {}
        for (oid,), part in rows.partition_by(_OID, as_dict=True, include_key=False).items():
            relation = self.known.get(int.from_bytes(oid))
            if relation is not None and relation.name in self._captured:
                table = self._tables[relation.name]
                changes[relation.name] = table_changes(table, relation.identity, part)
        return changes


def with_meta(messages: Sequence[bytes], transactions: Sequence[Transaction]) -> pl.DataFrame:
    """One row a message: position, ordinal, transaction_id, committed_at, ours and the message."""
    filled = [transaction for transaction in transactions if transaction.rows]
    begins = [transaction.begin for transaction in filled]
    first = pl.col("first_ordinal")
    per_transaction = pl.DataFrame(
        {
            "position": [int(begin.commit_lsn) for begin in begins],
            "transaction_id": [str(begin.transaction_id) for begin in begins],
            "committed_at": [begin.committed_us for begin in begins],
            "ours": [transaction.ours for transaction in filled],
            "first_ordinal": [transaction.first_ordinal for transaction in filled],
            "rows": [transaction.rows for transaction in filled],
        },
        schema_overrides={"position": pl.Int64, "committed_at": pl.Int64, "first_ordinal": pl.Int64},
    )
    rows = per_transaction.select(
        "position",
        "transaction_id",
        pl.col("committed_at").cast(META_SCHEMA["committed_at"]),
        "ours",
        ordinal=pl.int_ranges(first, first + pl.col("rows"), dtype=pl.Int64),
    ).explode("ordinal")
    return rows.with_columns(pl.Series(MESSAGE, messages, dtype=pl.Binary))
