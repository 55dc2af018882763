"""LOBs of one row while the rows that write to them are read, and the update they stand for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cdc.changes import TableName
from cdc.oracle.connect import identifier
from cdc.readers.logminer.lobs.large_values import FETCH, Fetch
from cdc.readers.logminer.lobs.lobs import LobValue
from cdc.readers.logminer.mining.rows import Code, LogRow
from cdc.readers.logminer.redo_sql.blocks import LobText
from cdc.readers.logminer.redo_sql.redo_values import RedoSyntaxError


@dataclass
class LobParts:
    """LOBs of one row: a value by column, None where it is to be read again."""

    first: LogRow
    locator: LobText
    values: dict[str, LobValue | None] = field(default_factory=dict)

    def apply(self, column: str, lob: LobText) -> None:
        """Apply the operations of one row to a column's value; it is not known where they cannot be read."""
        value = self.values[column]
        try:
            if value is not None:
                value.apply(lob)
        except RedoSyntaxError:
            self.values[column] = None

    def forget(self, column: str) -> None:
        """What was known of a column's value does not count any more."""
        value = self.values[column]
        if value is not None:
            value.forget()

    def known(self) -> dict[str, str | Fetch | None]:
        """Texts by column, None where empty, as far as they are known."""
        return {column: _known(value) for column, value in self.values.items()}

    def made_up(self, table: TableName) -> LogRow:
        """The update that the LOB rows stand for where there is no row of their own."""
        lob = self.locator
        name = f"{identifier(lob.owner or table.schema)}.{identifier(lob.table or table.name)}"
        where = f" where {lob.condition}" if lob.condition else ""
        text = f"update {name} set {identifier(lob.column or '')} = EMPTY_CLOB(){where}"  # noqa: S608
        return replace(self.first, operation_code=Code.UPDATE, sql_redo=text)


def _known(value: LobValue | None) -> str | Fetch | None:
    try:
        text = value.value if value is not None else None
    except RedoSyntaxError:
        return FETCH
    return FETCH if text is None else text or None
