"""Maps the changes of a batch, and finds the values that the log left out.

A value that a change does not hold may be in the batch itself, in earlier slices of its transaction, in
staging, or only in the source. So changes are mapped, looked up, and mapped again with what was found.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import polars as pl
import psycopg

from cdc.changes import TableChanges, TableName
from cdc.ports import ColumnsRead
from cdc.staging.batches.absent import AbsentValues
from cdc.staging.batches.lineage import Place
from cdc.staging.batches.reread import AskSource, Reread, read_again
from cdc.staging.entity_rows.spool import Spool
from mapping_rules import InboundProgram, Mapped
from mapping_rules.language.reasons import Reason

Cursor = psycopg.Cursor[tuple[object, ...]]
_REJECTED = ("source_position", "source_ordinal", "entity_key")


class BatchMapper:
    """Maps the batches of one system.

    Args:
        system: name of the source system.
        programs: compiled inbound rules by table.
        read: columns that rules read, by table.
        spools: slices that wait, by entity.

    Attributes:
        ask_source: reads values again that neither the log nor staging holds; rows that need it become
            dead letters while it is None.
    """

    def __init__(
        self,
        system: str,
        programs: Mapping[TableName, tuple[InboundProgram, ...]],
        read: Mapping[TableName, ColumnsRead],
        spools: Mapping[str, Spool],
    ) -> None:
        self._system, self._programs, self._read, self._spools = system, programs, read, spools
        self.ask_source: AskSource | None = None
        self._absent = AbsentValues(system)

    def map(
        self, cursor: Cursor, tables: Mapping[TableName, TableChanges]
    ) -> tuple[list[tuple[TableName, Mapped]], dict[str, pl.DataFrame]]:
        """Map changes until no value is missing: from the batch, staging or the source, or rejected.

        Args:
            cursor: in the transaction that stages the batch.
            tables: changes by table.

        Returns:
            What each rule made of its table, rejections with it; and the rows to be staged, by entity.

        Raises:
            TransientError: the source cannot be reached now.
            TableChanged: a rule needs a column that the source table lost.
        """
        again = Reread(dict(tables))
        asked = False
        while True:
            mapped = [
                (name, program.apply(changes, unknown=again.unknown, gone=again.gone))
                for name, changes in again.tables.items()
                for program in self._programs.get(name, ())
            ]
            rows, missing = self._known(cursor, [one for _, one in mapped], again.gone, asked=asked)
            if not missing:
                return mapped, rows
            if asked:
                again.unknown |= missing.keys()
            else:
                asked = True
                again = read_again(self._system, tables, missing, self._read, self.ask_source)
            # what takes the row's place is in the batch: nothing waits for this version of it
            replaced = {place for place in again.unknown if missing.get(place)}
            again.unknown -= replaced
            again.gone |= replaced

    def _known(
        self, cursor: Cursor, mapped: list[Mapped], gone: Collection[Place], *, asked: bool
    ) -> tuple[dict[str, pl.DataFrame], dict[Place, bool]]:
        """The rows by entity with what the batch and staging know, and the changes that lack more.

        Of those: does the batch itself bring what takes the row's place?
        """
        by_entity: dict[str, list[Mapped]] = {}
        for one in mapped:
            by_entity.setdefault(one.entity.name, []).append(one)
        found: dict[str, pl.DataFrame] = {}
        missing: dict[Place, bool] = {}
        for name, of_entity in by_entity.items():
            rows = pl.concat([one.rows for one in of_entity])
            rejected = [
                ((position, ordinal), key)
                for one in of_entity
                for position, ordinal, key in one.rejected.select(*_REJECTED).drop_nulls().iter_rows()
            ]
            rows, incomplete = self._absent.complete(cursor, self._spools[name], rows, rejected, gone)
            for place, is_replaced in incomplete.items():  # where several rules read the change, all of them
                missing[place] = is_replaced and missing.get(place, True)
            if not asked:
                missing |= dict.fromkeys((place for one in of_entity for place in _undecided(one)), False)
            if rows.height:
                found[name] = rows
        return found, missing


def _undecided(mapped: Mapped) -> list[Place]:
    """Rejected rows of which a value that is not in the log decides."""
    if mapped.rejected.is_empty():
        return []
    undecided = mapped.rejected.filter(pl.col("reason_code") == Reason.WHERE_UNKNOWN.value)
    return undecided.select("source_position", "source_ordinal").rows()
