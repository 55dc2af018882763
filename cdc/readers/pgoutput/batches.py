"""Portions of the stream become batches: rows get their position and are sorted by table.

`Relations` keeps what the stream and the catalog say of each table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from cdc.changes import META_SCHEMA, ChangeBatch, TableChanges, TableName
from cdc.positions import Lsn
from cdc.readers.pgoutput.tables.captured import CapturedTables
from cdc.readers.pgoutput.tables.catalog import Catalog
from cdc.readers.pgoutput.wire.messages import Relation
from cdc.readers.pgoutput.wire.transactions import OID, Portion, Transaction, TransactionBuffer
from cdc.readers.pgoutput.wire.tuples import table_changes

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
        captured: tables to keep; rows of others, and of stopped ones, are dropped.
    """

    def __init__(self, catalog: Catalog, system: str, captured: CapturedTables) -> None:
        self.known: dict[int, Relation] = {}
        self._catalog = catalog
        self._system = system
        self._captured = captured
        self._tables = catalog.describe()

    def adopt(self, buffer: TransactionBuffer) -> None:
        """Take the description that the buffer has stopped at as the one in force."""
        relation = buffer.relation
        if relation is not None and self._captured.takes(relation, buffer.position):
            self._tables[relation.name] = self._catalog.table_of(relation)
        buffer.adopt()

    def read_again(self, names: Iterable[TableName]) -> None:
        """Take up stopped tables again, under the descriptions that the stream gave last."""
        for relation in self.known.values():
            if relation.name in names and self._captured.takes(relation, Lsn(0)):
                self._tables[relation.name] = self._catalog.table_of(relation)

    def nothing(self, resume: Lsn) -> ChangeBatch:
        """All before `resume` is read, and there was no change."""
        return ChangeBatch(
            self._system,
            Lsn(resume - 1),
            {},
            {"lsn": resume.text},
            stopped=dict(self._captured.stopped),
            definitions=self._captured.take_news(),
        )

    def batch(self, portion: Portion) -> ChangeBatch:
        """Decode a portion; tables without a change are left out."""
        return ChangeBatch(
            self._system,
            portion.position,
            self._changes(portion),
            {"lsn": portion.resume.text},
            continues=portion.continues,
            stopped=dict(self._captured.stopped),
            definitions=self._captured.take_news(),
        )

    def _changes(self, portion: Portion) -> dict[TableName, TableChanges]:
        """Sort the rows by table; those of uncaptured tables are dropped."""
        oids = {raw[OID] for raw in portion.messages}
        captured = {
            oid: relation
            for oid in oids
            if (relation := self._captured_relation(oid, portion.position)) is not None
        }
        if not captured:
            return {}
        meta = row_meta(portion.transactions)
        if len(oids) == 1:
            (relation,) = captured.values()
            return {relation.name: self._decode(relation, portion.messages, meta)}
        places: dict[bytes, list[int]] = {oid: [] for oid in oids}
        for place, raw in enumerate(portion.messages):
            places[raw[OID]].append(place)
        return {
            relation.name: self._decode(
                relation, [portion.messages[place] for place in places[oid]], meta[places[oid]]
            )
            for oid, relation in captured.items()
        }

    def _captured_relation(self, oid: bytes, position: Lsn) -> Relation | None:
        relation = self.known.get(int.from_bytes(oid))
        if relation is None or relation.name not in self._captured.names:
            return None
        return None if self._captured.skips(relation.name, position) else relation

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
