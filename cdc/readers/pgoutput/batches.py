"""Portions of the stream become batches: rows get their position and are sorted by table.

`Relations` keeps what the stream and the catalog say of each table. Read next: `tuples`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cdc.changes import META_SCHEMA, ChangeBatch, TableChanges, TableName
from cdc.errors import TableChanged
from cdc.readers.pgoutput.catalog import Catalog
from cdc.readers.pgoutput.messages import Relation
from cdc.readers.pgoutput.transactions import OID, Portion, Transaction, TransactionBuffer
from cdc.readers.pgoutput.tuples import table_changes

_META = {
    "position": pl.Int64,
    "ordinal": pl.Int64,
    "transaction_id": pl.String,
    "committed_at": META_SCHEMA["committed_at"],
    "ours": pl.Boolean,
}


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
        """Take the description that the buffer has stopped at as the one in force.

        Raises:
            TableChanged: a captured table goes on under another name.
        """
        relation = buffer.relation
        if relation is not None:
            former = self.known.get(relation.oid)
            if former is not None and former.name in self._captured and relation.name not in self._captured:
                raise TableChanged(
                    f"{self._system}: table {former.name} was renamed to {relation.name}",
                    hint="rename it back, or change the rules of that table",
                )
            if relation.name in self._captured:
                self._tables[relation.name] = self._catalog.table_of(relation)
        buffer.adopt()

    def batch(self, portion: Portion) -> ChangeBatch:
        """Decode a portion; tables without a change are left out."""
        return ChangeBatch(
            self._system, portion.position, self._changes(portion), {"lsn": portion.resume.text},
            continues=portion.continues,
        )  # fmt: skip

    def _changes(self, portion: Portion) -> dict[TableName, TableChanges]:
        """Sort the rows by table; those of uncaptured tables are dropped."""
        oids = {raw[OID] for raw in portion.messages}
        wanted = {oid: relation for oid in oids if (relation := self._captured_relation(oid)) is not None}
        if not wanted:
            return {}
        meta = row_meta(portion.transactions)
        if len(oids) == 1:
            (relation,) = wanted.values()
            return {relation.name: self._decode(relation, portion.messages, meta)}
        places: dict[bytes, list[int]] = {oid: [] for oid in oids}
        for place, raw in enumerate(portion.messages):
            places[raw[OID]].append(place)
        return {
            relation.name: self._decode(
                relation, [portion.messages[place] for place in places[oid]], meta[places[oid]]
            )
            for oid, relation in wanted.items()
        }

    def _captured_relation(self, oid: bytes) -> Relation | None:
        relation = self.known.get(int.from_bytes(oid))
        return relation if relation is not None and relation.name in self._captured else None

    def _decode(self, relation: Relation, messages: Sequence[bytes], meta: pl.DataFrame) -> TableChanges:
        return table_changes(self._tables[relation.name], relation.identity, messages, meta)


def row_meta(transactions: Sequence[Transaction]) -> pl.DataFrame:
    """One row a row message: position, ordinal, transaction_id, committed_at and ours."""
    columns: dict[str, list[object]] = {name: [] for name in _META}
    for transaction in transactions:
        begin, rows = transaction.begin, transaction.rows
        columns["position"] += [int(begin.commit_lsn)] * rows
        columns["ordinal"] += range(transaction.first_ordinal, transaction.first_ordinal + rows)
        columns["transaction_id"] += [str(begin.transaction_id)] * rows
        columns["committed_at"] += [begin.committed_us] * rows  # since 1970
        columns["ours"] += [transaction.ours] * rows
    return pl.DataFrame(
        [
            pl.Series(name, values, dtype=pl.Int64 if name == "committed_at" else kind).cast(kind)
            for (name, values), kind in zip(columns.items(), _META.values(), strict=True)
        ]
    )
